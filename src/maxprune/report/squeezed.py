"""The tables and the plot of the study of small networks."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from rich.table import Table

from maxprune.plural import plural
from maxprune.report.figure import BLUE, INK, SKY, VERMILLION, freeze, looks, new_figure, svg
from maxprune.report.frontier import draw_published, name_published
from maxprune.report.plain import figures, plain_table
from maxprune.report.words import probability, span
from maxprune.studies.published import CODED as PUBLISHED_CODED
from maxprune.studies.published import PRUNED
from maxprune.studies.squeezed.recipe import ANEW, CODED, FINAL, TAUGHT, UNCUT, ZEROS
from maxprune.studies.squeezed.records import SqueezedCell

COLORS = {FINAL: BLUE, ANEW: VERMILLION, TAUGHT: SKY}
ERRORS_SHOWN = (0.4, 0.6, 0.8, 1, 1.5, 2, 3, 5, 10, 20, 50)
ERRORS = "test and held: mean error over the seeds, ± standard deviation of the test error"


def dense_table(cells: Sequence[SqueezedCell], augmented: bool) -> Table:
    """Networks without a zero: behind each cut, trained on, and the same architecture anew.

    Args:
        cells: of the study.
        augmented: which of them.
    """
    seeds = max((len(cell.seeds) for cell in cells), default=0)
    some = [c for c in cells if c.augmented == augmented and c.way not in (ZEROS, CODED)]
    beside = any(cell.p_values for cell in some)
    table = plain_table(
        f"LeNet-5 cut small{', and the same network trained from nothing' if beside else ''}, "
        f"{plural(seeds, 'seed')}, {_how(augmented)}",
        f"{ERRORS}\nepochs: seen in all, with those of the uncut network"
        + ("\np: randomization test against the one from nothing without a teacher, each seed's"
           if beside else ""),
        between=1,
    )  # fmt: skip
    table.add_column("network", no_wrap=True)
    figures(table, "parameters", "epochs", "held\n%", "test\n%", "", *(["p"] if beside else []))
    rows = sorted(some, key=lambda cell: (cell.way != UNCUT, -cell.size))
    for place, cell in enumerate(rows):
        following = rows[place + 1].size if place + 1 < len(rows) else cell.size
        table.add_row(
            cell.way, span(cell.parameters), f"{cell.epochs:g}", *_errors(cell),
            *([" ".join(probability(p) for p in cell.p_values)] if beside else []),
            end_section=following != cell.size,
        )  # fmt: skip
    return table


def coded_table(cells: Sequence[SqueezedCell], augmented: bool) -> Table:
    """Networks with zeros, and their coded files.

    Args:
        cells: of the study.
        augmented: which of them.
    """
    table = plain_table(
        f"With zeros, and in coded files, {_how(augmented)}",
        f"{ERRORS}\nfrom: parameters of the cut network, before single weights went\n"
        "bytes: of the whole file, which opens as a network; mean over the seeds",
        between=1,
    )
    table.add_column("", no_wrap=True)
    figures(table, "from", "zeros\n%", "bits", "not 0", "bytes", "held\n%", "test\n%", "")
    rows = [c for c in cells if c.augmented == augmented and c.way in (ZEROS, CODED)]
    for cell in rows:
        table.add_row(
            cell.way, f"{cell.size:,}", f"{100 * cell.zero:g}", str(cell.bits or 32),
            span(cell.nonzero), f"{fmean(cell.bytes):,.0f}" if cell.way == CODED else "",
            *_errors(cell),
        )  # fmt: skip
    return table


def _how(augmented: bool) -> str:
    return "with augmentation" if augmented else "without augmentation"


def _errors(cell: SqueezedCell) -> tuple[str, str, str]:
    spread = "" if cell.spread is None else f"±{cell.spread:.2f}"
    return f"{cell.held_error:.2f}", f"{cell.error:.2f}", spread


def squeezed_plot(cells: Sequence[SqueezedCell], published: bool = True) -> str:
    """Errors against sizes, as an SVG element; see `draw_squeezed`."""
    with looks("squeezed"):
        figure = new_figure(4.3)
        draw_squeezed(figure, cells, published)
        return svg(figure, "squeezed", "Test error of small networks against their size")


def draw_squeezed(figure: Figure, cells: Sequence[SqueezedCell], published: bool = True) -> None:
    """Test error against parameters that are not zero, and against bytes.

    Args:
        figure: to draw in; its layout is fixed.
        cells: of the study.
        published: whether to draw published networks, which are of MNIST, beside it.
    """
    left, right = figure.subplots(1, 2, sharey=True)
    for augmented in (True, False):
        some = [cell for cell in cells if cell.augmented == augmented]
        _dense(left, some, augmented)
        coded = sorted((c for c in some if c.way == CODED), key=lambda c: fmean(c.bytes))
        _line(right, coded, [fmean(c.bytes) for c in coded], INK, augmented, "coded", 0)
    beside = ((left, PRUNED), (right, PUBLISHED_CODED)) if published else ()
    for panel, others in beside:
        draw_published(panel, others)
    left.set_xlabel("parameters that are not zero")
    right.set_xlabel("bytes of the file")
    left.set_ylabel("test error [%]")
    for panel in (left, right):
        panel.set_xscale("log")
        panel.set_yscale("log")
        panel.invert_xaxis()
        panel.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
        panel.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
        panel.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
        panel.xaxis.set_minor_locator(NullLocator())
        panel.yaxis.set_minor_locator(NullLocator())
        panel.grid(visible=True)
    low, high = left.get_ylim()
    left.set_yticks([error for error in ERRORS_SHOWN if low <= error <= high])
    figure.legend(
        *left.get_legend_handles_labels(), loc="outside upper center", ncols=4, fontsize=7
    )
    freeze(figure)
    for panel, others in beside:
        name_published(panel, others)


def _dense(panel: Axes, cells: Sequence[SqueezedCell], augmented: bool) -> None:
    for way, color in COLORS.items():
        some = [c for c in cells if c.way in ((way, UNCUT) if way == FINAL else (way,))]
        _line(panel, some, [fmean(c.parameters) for c in some], color, augmented, way, 1)
    zeros = sorted((c for c in cells if c.way == ZEROS), key=lambda c: fmean(c.nonzero))
    _line(panel, zeros, [fmean(c.nonzero) for c in zeros], INK, augmented, "single weights gone", 0)


def _line(
    panel: Axes, cells: Sequence[SqueezedCell], sizes: Sequence[float], color: str,
    augmented: bool, label: str, width: float,
) -> None:  # fmt: skip
    if not cells:
        return
    panel.plot(
        sizes, [cell.error for cell in cells], "o" if augmented else "s", color=color, ms=4,
        ls="-" if augmented else "--", lw=width, mfc=color if augmented else "none",
        label=label if augmented else f"{label}, no augmentation",
    )  # fmt: skip
    for cell, size in zip(cells, sizes, strict=True):
        errors = [100 - accuracy for accuracy in cell.accuracies]
        panel.plot([size, size], [min(errors), max(errors)], color=color, lw=0.8)
