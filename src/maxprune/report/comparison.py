"""Methods side by side: a table, and accuracy against size."""

from __future__ import annotations

import statistics

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.container import Container
from matplotlib.ticker import PercentFormatter
from rich.console import RenderableType
from rich.table import Table

from maxprune.comparison.records import Comparison, Summary
from maxprune.comparison.settings import CONTROLS
from maxprune.compression.settings import UNCUT
from maxprune.plural import plural
from maxprune.report.figure import CYCLE, GREY, INK, looks, new_figure, svg
from maxprune.report.plain import figures, plain_table
from maxprune.report.words import before_and_after

UNPRUNED = "unpruned"
NAMES = {"parameters": "parameters", "macs": "MACs"}
MARKERS = "osD^vP*X<>"


def comparison_table(found: Comparison) -> Table:
    """A part for every size, a row for every method, in the order of `ordered`."""
    seeds = len(found.starts)
    table = plain_table(
        f"{found.network} on {found.dataset}; sizes in {NAMES[found.by]}",
        f"means over {plural(seeds, 'seed')}"
        + (", ± standard deviation" if seeds > 1 else "")
        + f"\n{before_and_after(found.tested)}\n"
        "params, MACs: what is left; a maxout may fall far below the size at once\n"
        "worse: in how many seeds significantly worse than unpruned (randomization test)\n"
        "order: validation accuracy over all sizes, then the controls; "
        f"{'nothing is chosen on the' if found.tested == 'test' else 'there is no'} test set",
    )
    table.add_column("size", no_wrap=True)
    table.add_column("method", no_wrap=True)
    figures(table, "params\n%", "MACs\n%", "before\n%", "after\n%", "worse")
    start = statistics.fmean(s.accuracy for s in found.starts)
    spread = statistics.stdev(s.accuracy for s in found.starts) if seeds > 1 else None
    table.add_row("whole", UNPRUNED, "100.0", "100.0", "-", _accuracy(start, spread), "-")
    by_size = {(s.method, s.size): s for s in found.summaries()}
    for size in found.sizes:
        table.add_section()
        for i, method in enumerate(ordered(found)):
            summary = by_size.get((method, size))
            cells = ("-",) * 5 if summary is None else _cells(summary)
            table.add_row(f"≤ {100 * size:g}%" if i == 0 else "", method, *cells)
    return table


def summary(found: Comparison) -> list[RenderableType]:
    """Everything in a table and sentences."""
    return [comparison_table(found), *verdict(found), *found.details.notes]


def ordered(found: Comparison) -> list[str]:
    """The methods, best first by validation accuracy, then those not ranked, then the controls."""
    whole = [method for method, _ in found.ranked()]
    rest = [method for method in found.methods if method not in whole]
    return [*whole, *sorted(rest, key=lambda method: method in CONTROLS)]


def _cells(summary: Summary) -> tuple[str, ...]:
    return (
        f"{100 * summary.left:.1f}", f"{100 * summary.macs_left:.1f}",
        "-" if summary.before is None else f"{summary.before:.2f}",
        _accuracy(summary.accuracy, summary.spread), f"{summary.worse} of {summary.seeds}",
    )  # fmt: skip


def _accuracy(mean: float, spread: float | None) -> str:
    return f"{mean:.2f}" if spread is None else f"{mean:.2f} ±{spread:.2f}"


def verdict(found: Comparison) -> list[str]:
    """What the comparison says, in sentences."""
    ranked = found.ranked()
    says = []
    if ranked:
        best = ", ".join(f"{method} ({mean:.2f}%)" for method, mean in ranked[:3])
        says.append(f"Best on validation data over all sizes: {best}.")
    says += [f"{method} did not reach every size: {why}." for method, why in found.missing.items()]
    return says


def comparison_plot(found: Comparison) -> str:
    """Accuracy against what is left of the network, as an SVG element: a line a method.

    The unpruned network is a point at 100%. The control that is never cut is retrained at every
    size, and so has an accuracy for each: a band from the lowest to the highest of them.
    """
    with looks("comparison"):
        figure = new_figure(4.6)
        axes = figure.subplots()
        starts = [start.accuracy for start in found.starts]
        spread = statistics.stdev(starts) if len(starts) > 1 else 0
        keys: list[Artist | Container] = [
            axes.errorbar(
                100, statistics.fmean(starts), spread, label=UNPRUNED, color=INK, lw=1.1, ms=7,
                marker="p", capsize=2, ls="",
            )
        ]  # fmt: skip
        for i, method in enumerate(ordered(found)):
            own = [s for s in found.summaries() if s.method == method]
            if own and method == UNCUT:
                keys.append(_band(axes, [s.accuracy for s in own]))
            elif own:
                left = [100 * (s.macs_left if found.by == "macs" else s.left) for s in own]
                line = axes.errorbar(
                    left, [s.accuracy for s in own], [s.spread or 0 for s in own], label=method,
                    color=GREY if method == "random" else CYCLE[i % len(CYCLE)], lw=1.1, ms=4.5,
                    marker=MARKERS[i % len(MARKERS)], capsize=2, ls="-" if i < len(CYCLE) else ":",
                )  # fmt: skip
                keys.append(line)
        axes.xaxis.set_major_formatter(PercentFormatter(decimals=0))
        axes.invert_xaxis()
        axes.set_xlabel(f"{NAMES[found.by]} left")
        axes.set_ylabel(f"{found.tested} accuracy [%]")
        axes.grid(True)
        axes.legend(handles=keys, loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=7.5)
        return svg(figure, "comparison", "Accuracy of every method against the size left")


def _band(axes: Axes, accuracies: list[float]) -> Artist:
    """The control that is not cut: from its lowest to its highest accuracy, and their mean."""
    label = f"{UNCUT}, retrained as often"
    label += "\n(mean and range over the sizes)" if len(accuracies) > 1 else ""
    axes.axhspan(min(accuracies), max(accuracies), color=GREY, alpha=0.15, lw=0)
    return axes.axhline(statistics.fmean(accuracies), color=GREY, lw=1.1, ls="--", label=label)
