"""What all plots share: their looks, their colours, and the way to an SVG string."""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from collections.abc import Iterator

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# Okabe and Ito, "Color Universal Design" (2008): told apart by every kind of colour vision.
BLUE, VERMILLION, GREEN = "#0072B2", "#D55E00", "#009E73"
ORANGE, SKY, PURPLE = "#E69F00", "#56B4E9", "#CC79A7"
INK, GREY, PALE = "#1f2933", "#7b8794", "#d5dbe1"
CYCLE = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, INK)

WIDTH = 8.6
"""The width of every figure in inches."""

_LOOKS: dict[str, object] = {
    "figure.dpi": 72,
    "figure.facecolor": "white",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": "#e6eaee",
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "hatch.linewidth": 0.6,
    "svg.fonttype": "none",
}


@contextlib.contextmanager
def looks(name: str) -> Iterator[None]:
    """The settings a figure is built and written in; `name` makes its ids its own.

    The settings of the caller's matplotlib come back afterwards. Glyphs that matplotlib's font
    lacks are no fault: the text stays text, and the browser has other fonts.
    """
    settings = {**_LOOKS, "svg.hashsalt": name}
    with matplotlib.style.context(["default", settings]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="(Glyph|Matplotlib currently)")
        yield


def new_figure(height: float) -> Figure:
    """A figure of `height` inches with a canvas of its own, outside pyplot."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def short(name: str, limit: int = 20) -> str:
    """A name on one line of at most `limit` characters.

    >>> short("weights pruned to 3.5 percent", 16)
    'weights pruned …'
    """
    line = " ".join(name.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def freeze(figure: Figure) -> None:
    """Fix the layout, so that positions on the canvas can be asked for."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")


def rows_of_bars(
    axes: Axes, values: list[int], names: list[str], texts: list[str] | None = None
) -> None:
    """The axes of horizontal bars, first on top, each figure written at the end of its bar."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(length=0)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.set_xlim(0, max([*values, 1]) * 1.42)
    for place, value in enumerate(values):
        axes.annotate(
            texts[place] if texts else f"{value:,}",
            (value, place),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )


def svg(figure: Figure, name: str, label: str) -> str:
    """The figure as an `<svg>` element, the same for the same input.

    It scales to the width it is given. All ids begin with `name`, so that several figures live in
    one document; `label` is what a screen reader says.
    """
    buffer = io.StringIO()
    empty = {"Date": None, "Creator": None, "Format": None, "Type": None}
    figure.savefig(buffer, format="svg", metadata=empty)
    text = buffer.getvalue()
    text = text[text.index("<svg") :].strip()
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r'(\sid="|"#|url\(#)', rf"\g<1>{name}-", text)
    head, rest = text.split(">", 1)
    head = re.sub(r'\s(width|height)="[^"]*"', "", head)
    return f'{head} role="img" aria-label="{label}">{rest}'
