"""The figures of the pages, drawn from the files in results/, the same on every run.

    python3 docs/tools/figures.py [--out docs/methods]

What they show of the digits' network is measured by benchmarks/figures.py.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from channel_figures import maxout_figure, pls_figure, scores_figure
from judging_figures import faces_figure, small_figure, squeeze_figure, tests_figure
from matplotlib.figure import Figure
from weight_figures import int8_figure, sharing_figure, weights_figure

from maxprune.files import write_text
from maxprune.report.figure import looks, new_figure, svg

ROOT = Path(__file__).parents[2]
FIGURES: dict[str, tuple[float, str, Callable[[Figure, Path], None]]] = {
    "maxout": (3.0, "Units of four neurons lose the least winning one, three times", maxout_figure),
    "pls": (2.6, "Importance of every channel by PLS-VIP", pls_figure),
    "scores": (3.0, "Accuracy against the share of channels that each score removed",
               scores_figure),
    "weights": (3.0, "Zeros that grow, and accuracy against the share of zeros", weights_figure),
    "sharing": (3.0, "A layer's weights with their shared values, and bytes of coded files",
                sharing_figure),
    "int8": (2.4, "Bytes of ONNX files with weights in 32 and in 8 bits", int8_figure),
    "squeeze": (3.4, "Errors against the size of everything that squeeze tried", squeeze_figure),
    "small": (4.3, "Test error of small networks against their size", small_figure),
    "tests": (3.0, "What a number of samples can show", tests_figure),
    "faces": (3.0, "False acceptance and false rejection against the threshold", faces_figure),
}  # fmt: skip
"""By name: height in inches, what a screen reader says, and what draws it."""


def drawn(name: str, results: Path = ROOT / "results") -> str:
    """A figure as SVG that stands alone."""
    height, label, draw = FIGURES[name]
    with looks(name):
        figure = new_figure(height)
        draw(figure, results)
        return svg(figure, name, label).replace("<svg ", _HEAD, 1) + "\n"


_HEAD = '<svg font-family="DejaVu Sans, Verdana, sans-serif" '

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "methods")
    out: Path = parser.parse_args().out
    for each in FIGURES:
        write_text(out / f"{each}.svg", drawn(each))
