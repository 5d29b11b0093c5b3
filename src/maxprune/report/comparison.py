"""Methods side by side: a table, and accuracy against size."""

from __future__ import annotations

import statistics

from matplotlib.ticker import PercentFormatter
from rich.table import Table

from maxprune.comparison.records import Comparison, Summary
from maxprune.comparison.settings import CONTROLS, UNCUT
from maxprune.report.figure import CYCLE, GREY, INK, looks, new_figure, svg
from maxprune.report.plain import figures, plain_table

NAMES = {"parameters": "parameters", "macs": "MACs"}
MARKERS = "osD^vP*X<>"


def comparison_table(found: Comparison) -> Table:
    """A part for every size, a row for every method, in the order of `ordered`."""
    seeds = len(found.starts)
    table = plain_table(
        f"{found.network} on {found.dataset}; sizes in {NAMES[found.by]}",
        f"means over {seeds} seed{'s' if seeds != 1 else ''}"
        + (", ± standard deviation" if seeds > 1 else "")
        + f"; before, after: {found.tested} accuracy before and after retraining\n"
        "params, MACs: what is left; a maxout may fall far below the size at once\n"
        "worse: in how many seeds significantly worse than unpruned (randomization test)\n"
        "order: validation accuracy over all sizes, then the controls; nothing is chosen on "
        "the test set",
    )
    table.add_column("size", no_wrap=True)
    table.add_column("method", no_wrap=True)
    figures(table, "params\n%", "MACs\n%", "before\n%", "after\n%", "worse")
    start = statistics.fmean(s.accuracy for s in found.starts)
    spread = statistics.stdev(s.accuracy for s in found.starts) if seeds > 1 else None
    table.add_row("whole", "unpruned", "100.0", "100.0", "-", _accuracy(start, spread), "-")
    by_size = {(s.method, s.size): s for s in found.summaries()}
    for size in found.sizes:
        table.add_section()
        for i, method in enumerate(ordered(found)):
            summary = by_size.get((method, size))
            cells = ("-",) * 5 if summary is None else _cells(summary)
            table.add_row(f"≤ {100 * size:g}%" if i == 0 else "", method, *cells)
    return table


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
    """Accuracy against what is left of the network, as an SVG element: a line a method."""
    with looks("comparison"):
        figure = new_figure(4.6)
        axes = figure.subplots()
        start = statistics.fmean(s.accuracy for s in found.starts)
        axes.axhline(start, color=INK, lw=0.9, ls="--", label="unpruned")
        for i, method in enumerate(ordered(found)):
            own = [s for s in found.summaries() if s.method == method]
            if not own:
                continue
            left = [100 * (s.macs_left if found.by == "macs" else s.left) for s in own]
            if method == UNCUT:  # whole, but retrained as often as the others of that size
                left = [100 * s.size for s in own]
            colour = GREY if method in ("random", UNCUT) else CYCLE[i % len(CYCLE)]
            axes.errorbar(
                left, [s.accuracy for s in own], [s.spread or 0 for s in own], label=method,
                color=colour, marker=MARKERS[i % len(MARKERS)], ms=4.5, lw=1.1, capsize=2,
                ls="--" if method == UNCUT else "-" if i < len(CYCLE) else ":",
            )  # fmt: skip
        axes.xaxis.set_major_formatter(PercentFormatter(decimals=0))
        axes.invert_xaxis()
        axes.set_xlabel(f"{NAMES[found.by]} left")
        axes.set_ylabel(f"{found.tested} accuracy [%]")
        axes.grid(True)
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=7.5)
        return svg(figure, "comparison", "Accuracy of every method against the size left")
