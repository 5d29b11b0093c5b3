"""The error rates of face verification as a plot: how many are let in rightly, how many wrongly."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from maxprune.errors import UsageError
from maxprune.measure.verification import Roc
from maxprune.report.figure import CYCLE, GREY, looks, new_figure, short, svg

_STYLES = ("-", "--", "-.")


def roc_plot(curves: Mapping[str, Roc]) -> str:
    """TAR against FAR on a logarithmic axis, as an SVG element: a curve a network.

    Every curve is the TAR of `Roc.tar_at`, so it begins at the smallest FAR that its pairs can
    show. Where it crosses the line of FAR = FRR, the EER is marked; the legend names it. The axis
    of TAR begins at the ten under the lowest curve.

    Args:
        curves: by the name for the legend.

    Raises:
        UsageError: there are no curves.
    """
    if not curves:
        raise UsageError("there are no curves of error rates to plot")
    smallest = min(1 / curve.different for curve in curves.values())
    with looks("roc"):
        figure = new_figure(4.2)
        axes = figure.subplots()
        _far_axis(axes, min(smallest, 0.1))
        lowest = 100.0
        for index, (name, curve) in enumerate(curves.items()):
            colour, style = CYCLE[index % len(CYCLE)], _STYLES[index // len(CYCLE) % len(_STYLES)]
            label = f"{short(name)}: EER {100 * curve.eer:.2f}%"
            far, tar = _attainable(curve)
            lowest = min(lowest, tar[0], 100 * (1 - curve.eer))
            axes.plot(
                far, tar, style, drawstyle="steps-post", color=colour, lw=1.5,
                marker="o", markevery=[], ms=6, mec="white", label=label,
            )  # fmt: skip
            axes.plot(
                max(curve.eer, far[0]), 100 * (1 - curve.eer), "o",
                color=colour, ms=7, mec="white", zorder=3, clip_on=False,
            )  # fmt: skip
        axes.set_ylim(10 * min(lowest // 10, 9), 100)
        axes.set_ylabel("same pairs accepted, TAR [%]")
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8)
        return svg(figure, "roc", "Share of same pairs accepted against different pairs accepted")


def _far_axis(axes: Axes, smallest: float) -> None:
    """The logarithmic axis of FAR, and the line on which FAR and FRR are equal."""
    axes.set_xscale("log")
    axes.set_xlim(smallest, 1)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda far, _: f"{100 * far:g}"))
    axes.set_xlabel("different pairs accepted, FAR [%]")
    axes.grid(True)
    line = np.geomspace(smallest, 1, 100)
    axes.plot(line, 100 * (1 - line), ":", color=GREY, lw=1, label="FAR = FRR")


def _attainable(curve: Roc) -> tuple[list[float], list[float]]:
    """Every FAR at which the best TAR rises, and that TAR in percent, up to a FAR of 1."""
    first = 1 / curve.different
    last = torch.searchsorted(curve.far, torch.unique(curve.far), right=True) - 1
    far, tar = curve.far[last].clamp_min(first), 100 * (1 - curve.frr[last])
    start = int(torch.searchsorted(far, first, right=True)) - 1
    far, tar = far[start:], tar[start:]
    rises = torch.ones(len(tar), dtype=torch.bool)
    rises[1:-1] = tar[1:-1] > tar[:-2]
    return far[rises].tolist(), tar[rises].tolist()
