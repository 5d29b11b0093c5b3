"""The plots of the steps: accuracy against size, sizes by step, training loss.

Every function gives an SVG element as a string that embeds in HTML.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from maxprune.errors import UsageError
from maxprune.report.figure import (
    BLUE,
    CYCLE,
    GREEN,
    GREY,
    INK,
    SKY,
    VERMILLION,
    freeze,
    looks,
    new_figure,
    rows_of_bars,
    short,
    svg,
)
from maxprune.report.labels import Point, place_labels
from maxprune.report.rows import rows
from maxprune.results import Curve, Results, Step

_SMALLEST = 0.001  # percent; what is less is drawn there on a logarithmic axis


def accuracy_plot(results: Results) -> str:
    """Accuracy against the parameters kept, before and after retraining.

    Kept are the parameters that exist and are not zero, in % of the baseline's. Two panels, since
    the losses before retraining are often a hundred times those after it. Where the training
    settings or the environment name the "test samples" (where there is no test set, the "validation
    samples"), 95% Wilson intervals are drawn.

    Raises:
        UsageError: the results have no steps.
    """
    if not results.steps:
        raise UsageError("the results have no steps: there is no accuracy to plot")
    before = [step for step in results.steps if step.accuracy_before_retraining is not None]
    with looks("accuracy"):
        figure = new_figure(5.6 if before else 3.8)
        ratios = [3, 2] if before else [1]
        panels = figure.subplots(len(ratios), 1, sharex=True, height_ratios=ratios, squeeze=False)
        top, bottom = panels[0, 0], panels[-1, 0]
        _share_axis(bottom, [_kept(results, step) for step in _networks(results)])
        _after(top, results)
        if before:
            _before(bottom, results, before)
        bottom.set_xlabel("parameters that are left and not zero [% of the unpruned network]")
        freeze(figure)
        points = [(_kept(results, s), s.accuracy, short(s.name)) for s in _networks(results)]
        place_labels(top, points)
        label = f"{results.tested.capitalize()} accuracy against the parameters kept"
        return svg(figure, "accuracy", label)


def _after(axes: Axes, results: Results) -> None:
    """Draw the accuracies after retraining, the baseline's and the control's."""
    base, control = results.baseline.accuracy, results.control
    path = _path(results)
    axes.set_title("after retraining")
    axes.set_ylabel(f"{results.tested} accuracy [%]")
    axes.grid(axis="y")
    axes.axhline(base, color=INK, lw=1, ls="--", label="unpruned network")
    axes.plot(*zip(*path, strict=True), "o-", color=BLUE, ms=6, lw=1.2, label="pruned")
    if control is not None:
        place = (_kept(results, control), control.accuracy)
        axes.plot(*place, "D", color=GREEN, ms=6, ls="", label="control")
    samples = sample_count(results)
    if samples is not None:
        _intervals(axes, results, samples)
    axes.margins(y=0.22)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=4, borderaxespad=0.2)


def _intervals(axes: Axes, results: Results, samples: int) -> None:
    """Draw the 95% interval of every accuracy, and the baseline's as a band."""
    low, high = wilson(results.baseline.accuracy, samples)
    axes.axhspan(low, high, color=INK, alpha=0.07, lw=0)
    for step in _networks(results):
        low, high = wilson(step.accuracy, samples)
        colour = GREEN if step is results.control else BLUE
        axes.vlines(_kept(results, step), low, high, color=colour, lw=1, alpha=0.7)
    axes.plot([], [], color=GREY, lw=1, label="95% interval")


def _before(axes: Axes, results: Results, before: Sequence[Step]) -> None:
    """Draw the accuracies right after each cut, before retraining, and the way up from them."""
    axes.set_title("before retraining")
    axes.set_ylabel(f"{results.tested} accuracy [%]")
    axes.grid(axis="y")
    axes.axhline(results.baseline.accuracy, color=INK, lw=1, ls="--")
    shares = [_kept(results, step) for step in before]
    found = [step.accuracy_before_retraining or 0.0 for step in before]
    afterwards = [step.accuracy for step in before]
    axes.vlines(shares, found, afterwards, color=SKY, lw=2)
    axes.plot(shares, found, "v", color=VERMILLION, ms=6, ls="", label="before")
    axes.plot(shares, afterwards, "o", color=BLUE, ms=4, ls="", label="after")
    axes.margins(y=0.15)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0.2)


def _share_axis(axes: Axes, shares: Sequence[float]) -> None:
    """An axis of percentages, logarithmic where the smallest is less than a twelfth of all."""
    smallest = min(shares)
    if smallest < 100 / 12:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlim(smallest / 1.5, 150)
    else:
        axes.set_xlim(0, 108)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _networks(results: Results) -> list[Step]:
    """The steps and the control."""
    return [*results.steps, *([results.control] if results.control is not None else [])]


def _kept(results: Results, step: Step) -> float:
    """The parameters that are left and not zero, in % of the baseline's."""
    return max(100 * step.nonzero / max(results.baseline.parameters, 1), _SMALLEST)


def _path(results: Results) -> list[Point]:
    """The places of the steps in order: parameters kept, accuracy."""
    return [(_kept(results, step), step.accuracy) for step in results.steps]


def sample_count(results: Results) -> int | None:
    """How many samples the accuracies are of, where the settings or the environment name it."""
    details, name = results.details, f"{results.tested} samples"
    found = details.training.get(name, details.environment.get(name))
    try:
        number = int(str(found).replace(",", ""))
    except ValueError:
        return None
    return number if number > 0 else None


def wilson(accuracy: float, samples: int) -> tuple[float, float]:
    """The 95% interval of an accuracy in percent measured on `samples` (Wilson, JASA 1927).

    >>> tuple(round(bound, 2) for bound in wilson(98.0, 10_000))
    (97.71, 98.26)
    """
    z, share = 1.959964, accuracy / 100
    centre = (share + z * z / (2 * samples)) / (1 + z * z / samples)
    spread = math.sqrt(share * (1 - share) / samples + z * z / (4 * samples * samples))
    half = z * spread / (1 + z * z / samples)
    return 100 * max(centre - half, 0.0), 100 * min(centre + half, 1.0)


def size_plot(results: Results) -> str:
    """Parameters, MACs and bytes on disk by step, as bars; parameters that are zero are pale."""
    found = rows(results)
    names = [short(row.name) for row in found]
    colours = [{"baseline": GREY, "step": BLUE, "control": GREEN}[row.kind] for row in found]
    with looks("sizes"):
        figure = new_figure(0.9 + 0.28 * len(found))
        left, middle, right = figure.subplots(1, 3, sharey=True)
        parameters = [row.parameters for row in found]
        nonzero = [row.parameters if row.nonzero is None else row.nonzero for row in found]
        left.barh(range(len(found)), parameters, color=colours, alpha=0.3, height=0.66)
        left.barh(range(len(found)), nonzero, color=colours, height=0.66)
        left.set_title("parameters")
        rows_of_bars(left, parameters, names)
        for axes, title, values in (
            (middle, "MACs for one input", [row.macs for row in found]),
            (right, "bytes on disk", [row.bytes for row in found]),
        ):
            axes.barh(range(len(found)), values, color=colours, height=0.66)
            axes.set_title(title)
            rows_of_bars(axes, values, names)
        return svg(figure, "sizes", "Parameters, MACs and bytes on disk by step")


def loss_plot(results: Results) -> str:
    """The mean training loss over the iterations, a line for each training.

    Raises:
        UsageError: the results hold no curve with points.
    """
    curves = [curve for curve in results.details.curves if _points(curve)]
    if not curves:
        raise UsageError("the results hold no training curve: there is no loss to plot")
    with looks("loss"):
        figure = new_figure(3.6)
        axes = figure.subplots()
        for index, curve in enumerate(curves):
            style = ("-", "--", ":", "-.")[index // len(CYCLE) % 4]
            colour = CYCLE[index % len(CYCLE)]
            xs, ys = zip(*_points(curve), strict=True)
            marker = "o" if len(xs) == 1 else ""
            axes.plot(xs, ys, style, marker=marker, color=colour, lw=1.5, label=short(curve.step))
        if min(min(curve.loss) for curve in curves) > 0:
            axes.set_yscale("log")
            axes.yaxis.set_minor_locator(NullLocator())
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.set_xlabel("training iterations")
        axes.set_ylabel("mean training loss")
        axes.grid()
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), borderaxespad=0)
        return svg(figure, "loss", "Training loss over the iterations")


def _points(curve: Curve) -> list[tuple[int, float]]:
    return list(zip(curve.iterations, curve.loss, strict=True))
