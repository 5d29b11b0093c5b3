"""The table and the plot of the rules for maxout units."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.lines import Line2D
from rich.table import Table

from maxprune.plural import plural
from maxprune.report.figure import CYCLE, GREY, INK, VERMILLION, looks, new_figure, svg
from maxprune.report.plain import figures, plain_table
from maxprune.report.words import probability, span
from maxprune.studies.rules import RuleCell


def rule_table(cells: Sequence[RuleCell], title: str) -> Table:
    """A row for every way and size.

    Args:
        cells: in the order of the rows.
        title: printed above.
    """
    seeds = max((len(cell.seeds) for cell in cells), default=0)
    table = plain_table(
        title,
        f"error: mean over {plural(seeds, 'seed')} of the test error, ± standard deviation\n"
        "held: of the samples held out of training, by which a rule may be chosen\n"
        "more: points of error more than the paper's rule, at the same size in the same layers\n"
        "p: randomization test against it, each seed's",
        between=1,
    )
    table.add_column("rule", no_wrap=True)
    figures(table, "k", "parameters", "held\n%", "error\n%", "", "more", "p")
    before = None
    for place, cell in enumerate(cells):
        following = cells[place + 1].way if place + 1 < len(cells) else cell.way
        held = 100 - sum(cell.validation) / len(cell.validation)
        table.add_row(
            cell.way if cell.way != before else "", str(cell.k), span(cell.parameters),
            f"{held:.2f}", f"{100 - cell.mean:.2f}",
            "" if cell.spread is None else f"±{cell.spread:.2f}",
            f"{0.0 - cell.difference:+.2f}" if cell.p_values else "",
            " ".join(probability(p) for p in cell.p_values),
            end_section=following != cell.way,
        )  # fmt: skip
        before = cell.way
    return table


def _alike(cells: Sequence[RuleCell]) -> int:
    """How many ways, from the first on, end as large as the first: those it is compared with."""
    last: dict[str, int] = {}
    for cell in sorted(cells, key=lambda cell: -cell.k):
        last[cell.way] = cell.parameters[0]
    ways = list(dict.fromkeys(cell.way for cell in cells))
    differ = (row for row, way in enumerate(ways) if last[way] != last[ways[0]])
    return next(differ, len(ways))


def rule_plot(cells: Sequence[RuleCell]) -> str:
    """Test error of every way at every size, a point each seed and a line at the mean, as SVG.

    The dashed line is the paper's rule; below the line across, networks are of another size.
    """
    ways = list(dict.fromkeys(cell.way for cell in cells))
    sizes = sorted({cell.k for cell in cells if cell.k <= 3}, reverse=True)
    alike = _alike(cells)
    with looks("rules"):
        figure = new_figure(0.9 + 0.32 * len(ways))
        panels = figure.subplots(1, len(sizes), sharey=True, squeeze=False)[0]
        for panel, k in zip(panels, sizes, strict=True):
            for cell in cells:
                if cell.k != k:
                    continue
                row = ways.index(cell.way)
                color = VERMILLION if row == 0 else CYCLE[0]
                errors = [100 - accuracy for accuracy in cell.accuracies]
                panel.plot(errors, [row] * len(errors), "o", color=color, alpha=0.5, ms=4)
                mean = 100 - cell.mean
                panel.add_line(
                    Line2D([mean, mean], [row - 0.3, row + 0.3], color=INK, linewidth=1.6)
                )
                if row == 0:
                    panel.plot([mean, mean], [-0.5, alike - 0.5], "--", color=GREY, lw=0.8)
            if alike < len(ways):
                panel.axhline(alike - 0.5, color=GREY, linewidth=0.8)
            panel.set_title("one neuron a unit" if k == 1 else f"{k} neurons a unit on average")
            panel.set_xlabel("test error [%]")
            panel.grid(axis="x")
        panels[0].set_yticks(range(len(ways)), ways)
        panels[0].set_ylim(len(ways) - 0.5, -0.5)
        return svg(figure, "rules", "Test error of every rule for maxout units at every size")
