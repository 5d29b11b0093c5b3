"""A frontier: accuracy against size of everything that a search has tried."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from rich.table import Table
from rich.text import Text

from maxprune.report.figure import BLUE, GREY, INK, SKY, freeze, looks, new_figure, svg
from maxprune.report.labels import place_labels
from maxprune.report.plain import figures, plain_table
from maxprune.report.words import count, percent, probability
from maxprune.report.words import points as in_points
from maxprune.results import Point, Results
from maxprune.studies.published import CODED, PRUNED

Published = Mapping[str, tuple[int, float]]
Size = Callable[[Point], int]


def outermost(points: Sequence[Point], size: Size) -> list[Point]:
    """Those that no other one beats in both, from the smallest to the largest.

    Args:
        points: networks.
        size: what counts as their size.
    """
    found: list[Point] = []
    for point in sorted(points, key=lambda p: (size(p), -p.accuracy)):
        if not found or point.accuracy > found[-1].accuracy:
            found.append(point)
    return found


def frontier_table(results: Results) -> Table | None:
    """A row for every network that no other one beats in size and accuracy.

    None for a search that has kept no frontier.
    """
    search = results.details.search
    if search is None or not search.frontier:
        return None
    table = plain_table(
        f"The frontier: no other network of this search is smaller and right more often "
        f"({results.tested} set)",
        "bytes: of its file, coded where weights share values\n"
        "loss: the largest loss of accuracy, in points, not refuted with 95% confidence\n"
        "p: randomization test against the unpruned network\n"
        "taken: by the validation data alone; what is only trained on or anew, where it was better",
    )
    table.add_column("network", overflow="fold")
    figures(table, "params", "not 0", "bytes", f"{results.tested}\n%", "loss\n<=", "p", "taken")
    for point in reversed(_frontier(search.frontier)):
        table.add_row(
            Text(point.step), count(point.parameters), count(point.nonzero), count(point.bytes),
            percent(point.accuracy), in_points(point.loss_bound), probability(point.p_value),
            "yes" if point.taken else "no",
        )  # fmt: skip
    return table


def _frontier(points: Sequence[Point]) -> list[Point]:
    """Outermost by parameters that are not zero, or by bytes."""
    best = [*outermost(points, lambda p: p.nonzero), *outermost(points, lambda p: p.bytes)]
    names = {point.step for point in best}
    return sorted((p for p in points if p.step in names), key=lambda p: p.bytes)


def frontier_plot(results: Results) -> str:
    """Errors against parameters and against bytes, as an SVG element; see `draw_frontier`."""
    with looks("frontier"):
        figure = new_figure(3.9)
        draw_frontier(figure, results)
        return svg(figure, "frontier", "Errors against the size of everything that was tried")


def draw_frontier(figure: Figure, results: Results) -> None:
    """Errors against parameters, and against bytes.

    A dot is a network, hollow where the validation data did not take it, and a triangle at the edge
    where its error is above; the line joins those that no other one beats. On MNIST published ones
    of LeNet-5 are drawn beside it.
    """
    search = results.details.search
    points = search.frontier if search else []
    known = results.dataset == "mnist"
    left, right = figure.subplots(1, 2, sharey=True)
    _panel(left, points, lambda p: p.nonzero, PRUNED if known else {})
    _panel(right, points, lambda p: p.bytes, CODED if known else {})
    left.set_xlabel("parameters that are not zero")
    right.set_xlabel("bytes of the file")
    left.set_ylabel(f"{results.tested} error [%]")
    worst = [100 - point.accuracy for point in points if point.taken]
    others = [error for _, error in (*PRUNED.values(), *CODED.values())] if known else []
    top = 1.6 * max([*worst, *others, 0.1])
    left.set_ylim(0, top)
    _beyond(left, points, lambda p: p.nonzero, top)
    _beyond(right, points, lambda p: p.bytes, top)
    left.legend(loc="upper right", bbox_to_anchor=(1, 1.14), ncols=3, fontsize=7.5)
    if known:
        freeze(figure)
        name_published(left, PRUNED)
        name_published(right, CODED)


def _panel(panel: Axes, points: Sequence[Point], size: Size, published: Published) -> None:
    panel.set_xscale("log")
    panel.invert_xaxis()
    panel.axhline(100 - points[0].accuracy, color=INK, lw=0.9, ls="--", label="unpruned")
    for taken, fill, label in ((True, BLUE, "taken"), (False, "none", "not taken")):
        some = [p for p in points[1:] if p.taken == taken]
        panel.plot(
            [size(p) for p in some], [100 - p.accuracy for p in some], "o", color=BLUE, ms=4.5,
            mfc=fill, label=label,
        )  # fmt: skip
    line = list(_steps(outermost(points, size), size))
    panel.plot(*zip(*line, strict=True), color=SKY, lw=1.2, zorder=1)
    draw_published(panel, published)
    panel.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    low, high = sorted(panel.get_xlim())
    panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 20 * low else (1,)))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.grid(True)


def _beyond(panel: Axes, points: Sequence[Point], size: Size, top: float) -> None:
    """Those whose error is above the panel, at its edge."""
    for point in points:
        if 100 - point.accuracy > top:
            panel.plot(size(point), 0.975 * top, "^", color=BLUE, ms=4.5, mfc="none")


def draw_published(panel: Axes, published: Published) -> None:
    """Others' networks at their size and error in percent; `name_published` says whose they are."""
    for size, error in published.values():
        panel.plot(size, error, "D", color=GREY, ms=4.5, mfc="none")


def name_published(panel: Axes, published: Published) -> None:
    """Their names, where all else is drawn and the layout is fixed (`freeze`)."""
    points = [(size, error, name) for name, (size, error) in published.items()]
    place_labels(panel, points, size=6.5, color=GREY)


def _steps(points: Sequence[Point], size: Size) -> Iterator[tuple[float, float]]:
    """The corners of the line: a network is as good as any smaller one."""
    before = math.nan
    for point in points:
        error = 100 - point.accuracy
        if not math.isnan(before):
            yield size(point), before
        yield size(point), error
        before = error
