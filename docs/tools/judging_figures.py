"""Figures of the tests that judge networks, of error rates, and of a frontier."""

from __future__ import annotations

from pathlib import Path

import torch
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from maxprune.files import read_json
from maxprune.measure import loss_bound, randomization_test
from maxprune.report.figure import BLUE, GREEN, GREY, INK, VERMILLION
from maxprune.report.frontier import draw_frontier
from maxprune.report.squeezed import draw_squeezed
from maxprune.results import Results
from maxprune.studies.squeezed import SqueezedCell

SAMPLES = (100, 200, 500, 1000, 2000, 5000, 10_000, 20_000)
DIFFERING = {0.0: GREEN, 0.02: BLUE, 0.1: VERMILLION}
COUNTS = {10: GREEN, 40: BLUE, 160: VERMILLION}


def tests_figure(figure: Figure, _: Path) -> None:
    """Left: the largest loss not refuted. Right: the p-value of so many differing samples."""
    left, right = figure.subplots(1, 2)
    for share, colour in DIFFERING.items():
        left.plot(SAMPLES, [_bound(n, share) for n in SAMPLES], "o-", ms=3.5, lw=1.2, color=colour,
                  label=f"{share:.0%} of the samples differ")  # fmt: skip
    left.axhline(0.5, color=INK, lw=0.8, ls="--")
    left.set_xscale("log")
    left.set_yscale("log")
    left.set_xlabel("samples, gains and losses in balance")
    left.set_ylabel("loss that cannot be refuted [points]")
    for axis in (left.xaxis, left.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,g}"))
    left.set_title("non-inferiority")
    left.legend(loc="upper right", fontsize=7.5)
    for count, colour in COUNTS.items():
        gained = range(count // 2 + 1)
        right.plot([100 * g / count for g in gained], [_p(count, g) for g in gained], "-",
                   color=colour, lw=1.2, label=f"{count} samples differ")  # fmt: skip
    right.axhline(0.05, color=INK, lw=0.8, ls="--")
    right.set_xlabel("of them gained, the others lost [%]")
    right.set_ylabel("p")
    right.set_title("randomization test")
    right.legend(loc="upper left", fontsize=7.5)


def squeeze_figure(figure: Figure, results: Path) -> None:
    """Everything that was tried with the digits' network, by parameters and by bytes."""
    found = Results.model_validate(read_json(results / "squeeze-digits" / "results.json"))
    draw_frontier(figure, found)


def small_figure(figure: Figure, results: Path) -> None:
    """The study of small networks."""
    found = read_json(results / "small" / "small.json")["records"]
    draw_squeezed(figure, [SqueezedCell.model_validate(cell) for cell in found])


def _outcomes(n: int, lost: int, gained: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Right or wrong of two networks on n samples, of which some only one gets right."""
    first, second = torch.ones(n, dtype=torch.bool), torch.ones(n, dtype=torch.bool)
    second[:lost] = False
    first[lost : lost + gained] = False
    return first, second


def _bound(n: int, share: float) -> float:
    each = round(n * share / 2)
    return loss_bound(*_outcomes(n, each, each))


def _p(count: int, gained: int) -> float:
    return randomization_test(*_outcomes(count, count - gained, gained))


def faces_figure(figure: Figure, results: Path) -> None:
    """FAR and FRR by threshold, of pairs of digits."""
    found = read_json(results / "benchmarks" / "figures.json")["pairs"]
    axes = figure.subplots()
    thresholds = found["thresholds"]
    axes.plot(thresholds, [100 * r for r in found["far"]], color=VERMILLION, lw=1.4,
              label="FAR: different digits accepted")  # fmt: skip
    axes.plot(thresholds, [100 * r for r in found["frr"]], color=BLUE, lw=1.4,
              label="FRR: same digits rejected")  # fmt: skip
    axes.axvline(found["eer_threshold"], color=GREY, lw=0.8, ls="--")
    axes.plot([found["eer_threshold"]], [100 * found["eer"]], "o", color=INK, ms=5)
    axes.annotate(
        f"EER {100 * found['eer']:.2f}%", (found["eer_threshold"], 100 * found["eer"]),
        xytext=(8, 8), textcoords="offset points",
    )  # fmt: skip
    axes.set_xlabel("threshold of the Bray-Curtis distance")
    axes.set_ylabel("of the pairs [%]")
    axes.set_xlim(0, 1)
    axes.grid(axis="y")
    axes.legend(loc="center right")
