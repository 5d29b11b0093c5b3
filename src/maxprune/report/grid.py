"""The tables of a study over a grid of networks and seeds, and the plot of Figure 1."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from rich.table import Table
from rich.text import Text

from maxprune.plural import plural
from maxprune.report.figure import BLUE, CYCLE, GREEN, GREY, INK, VERMILLION, looks, new_figure, svg
from maxprune.report.plain import figures, plain_table
from maxprune.report.words import probability
from maxprune.results import AliveCurve, TableCell

CONTROL = "\ncontrol: the k=1 network trained from random weights for as many iterations"


def grid_table(cells: Sequence[TableCell], title: str) -> Table:
    """A row for every network and step: ours, the spread over seeds, the published figure, p.

    Args:
        cells: in the order of the rows.
        title: printed above.
    """
    seeds = max((len(cell.seeds) for cell in cells), default=0)
    table = plain_table(
        title,
        f"accuracy: mean over {plural(seeds, 'seed')} of the test accuracy, ± "
        "standard deviation\nlast: of the last iteration's weights, as the paper takes them\n"
        "p: randomization test against the network without maxout, smallest and largest"
        f"{CONTROL if any(cell.step == 'control' for cell in cells) else ''}",
        between=0,
    )
    for header in ("network", "step"):
        table.add_column(header, no_wrap=True)
    figures(table, "removed\n%", "zeroed\n%", "accuracy\n%", "paper\n%", "last\n%", "p")
    previous = None
    for index, cell in enumerate(cells):
        name = f"{cell.network}-{cell.fc}"
        following = cells[index + 1] if index + 1 < len(cells) else cell
        table.add_row(
            name if name != previous else "", cell.step,
            f"{100 * cell.removed:.2f}", f"{100 * cell.zeroed:.1f}", _accuracy(cell),
            _published(cell), f"{cell.last_iteration:.2f}", _range(cell.p_values),
            end_section=f"{following.network}-{following.fc}" != name,
        )  # fmt: skip
        previous = name
    return table


def _accuracy(cell: TableCell) -> str:
    spread = "     " if cell.spread is None else f"±{cell.spread:.2f}"
    return f"{cell.mean:.2f} {spread}"


def _published(cell: TableCell) -> Text:
    if cell.published is None:
        return Text("-")
    sign, style = (" ok", "green") if cell.reached else ("  <", "yellow")
    return Text(f"{cell.published:.1f}").append(sign, style)


def _range(values: Sequence[float]) -> str:
    low, high = probability(min(values)), probability(max(values))
    return low if low == high else f"{low}..{high}"


def grid_plot(cells: Sequence[TableCell]) -> str:
    """Accuracy against what is left of the parameters, as an SVG element, a panel each network.

    Filled points are our means, bars the standard deviation over seeds, hollow points the
    published figures (an arrow with the figure where it is below the axis), a star the control,
    the dashed line the network without maxout.
    """
    kinds = list(dict.fromkeys(cell.network for cell in cells))
    names = sorted(
        {(cell.network, cell.fc) for cell in cells}, key=lambda n: (kinds.index(n[0]), n)
    )
    sizes = max(sum(name[0] == kind for name in names) for kind in kinds)
    columns = len(names) if len(names) < 3 else sizes  # a row for each kind of network
    rows = math.ceil(len(names) / columns)
    with looks("grid"):
        figure = new_figure(0.4 + 3 * rows)
        grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        panels = list(grid.flat)
        for panel, (network, fc) in zip(panels, names, strict=False):
            own = [cell for cell in cells if (cell.network, cell.fc) == (network, fc)]
            _grid_panel(panel, own)
            panel.set_title(f"LeNet-{network.upper()}, fc {fc}")
        panels[0].set_xscale("log")
        panels[0].set_xlim(120, 0.8 * min(_left(cell) for cell in cells))
        panels[0].xaxis.set_major_locator(FixedLocator([100, 50, 20, 10, 5, 2, 1, 0.5]))
        panels[0].xaxis.set_minor_locator(NullLocator())
        panels[0].xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        # The published networks fall far below ours at 98%; the axis is for ours.
        low = min(cell.mean - (cell.spread or 0) for cell in cells)
        high = max(max(cell.mean + (cell.spread or 0), cell.published or 0) for cell in cells)
        bottom = low - 0.2 * (high - low)
        panels[0].set_ylim(bottom, min(100.0, high + 0.1 * (high - low)))
        for panel, (network, fc) in zip(panels, names, strict=False):
            _below(panel, [c for c in cells if (c.network, c.fc) == (network, fc)], bottom)
        panels[0].set_ylabel("test accuracy [%]")
        panels[0].legend(loc="lower left", fontsize=7.5)
        return svg(figure, "grid", "Test accuracy against the share of parameters left")


def _left(cell: TableCell) -> float:
    """Parameters that exist and are not zero, in percent of the unpruned network's."""
    return 100 * (1 - cell.removed) * (1 - cell.zeroed)


def _grid_panel(panel: Axes, cells: Sequence[TableCell]) -> None:
    for cell in cells:
        if cell.removed == 0:
            panel.axhline(cell.mean, color=INK, lw=0.9, ls="--", label="unpruned, ours")
    pruned = [cell for cell in cells if cell.removed > 0 and cell.step != "control"]
    panel.errorbar(
        [_left(cell) for cell in pruned], [cell.mean for cell in pruned],
        [cell.spread or 0 for cell in pruned],
        color=BLUE, marker="o", ms=4, lw=1.2, capsize=2, label="pruned, ours",
    )  # fmt: skip
    found = [(_left(c), c.published) for c in pruned if c.published is not None]
    panel.plot(
        [x for x, _ in found], [y for _, y in found],
        color=VERMILLION, marker="o", ms=4, mfc="none", lw=0, label="pruned, paper",
    )  # fmt: skip
    for cell in cells:
        if cell.step == "control":
            panel.plot(_left(cell), cell.mean, "*", color=GREEN, ms=9, label="control, ours")
    panel.set_xlabel("parameters left and not zero [%]")
    panel.grid(True)


def _below(panel: Axes, cells: Sequence[TableCell], bottom: float) -> None:
    """An arrow at the edge for every published figure below it."""
    for cell in cells:
        if cell.published is not None and cell.published < bottom:
            panel.annotate(
                f"{cell.published:g}", (_left(cell), bottom), (0, 14), textcoords="offset points",
                ha="center", fontsize=7.5, color=VERMILLION,
                arrowprops={"arrowstyle": "->", "color": VERMILLION},
            )  # fmt: skip


def alive_plot(curves: Sequence[AliveCurve]) -> str:
    """Neurons alive against weights zeroed, as an SVG element: all shares, and the last 10%.

    Lines are thresholds without retraining, points are retrained networks.
    """
    with looks("alive"):
        figure = new_figure(3.6)
        panels = figure.subplots(1, 2, sharey=True)
        kinds = list(dict.fromkeys((c.network, c.fc, c.step) for c in curves))
        seen: set[tuple[str, int, str, bool]] = set()
        for curve in curves:
            kind = (curve.network, curve.fc, curve.step)
            colour = CYCLE[kinds.index(kind) % len(CYCLE)]
            look = {"ls": "", "marker": "o", "ms": 4} if curve.retrained else {"lw": 1.2}
            name = f"{curve.network}-{curve.fc} {curve.step}"
            label = f"{name}, retrained" if curve.retrained else name
            for panel in panels:
                panel.plot(
                    [100 * z for z in curve.zeroed], [100 * a for a in curve.alive],
                    color=colour, label=None if (*kind, curve.retrained) in seen else label,
                    alpha=0.8, **look,
                )  # fmt: skip
            seen.add((*kind, curve.retrained))
        for panel, low in zip(panels, (0, 90), strict=True):
            panel.set_xlim(low, 100)
            panel.set_ylim(0, 103)
            panel.axvline(98, color=GREY, lw=0.7, ls=":")
            panel.set_xlabel("parameters that are zero [%]")
            panel.grid(True)
        panels[0].set_ylabel("neurons alive [%]")
        panels[0].set_title("all shares")
        panels[1].set_title("the last 10% (dotted: 98%)")
        panels[0].legend(loc="lower left", fontsize=7.5)
        return svg(figure, "alive", "Share of neurons alive against the share of zeroed weights")
