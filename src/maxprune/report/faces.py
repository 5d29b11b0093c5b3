"""The table and the plot of a study of face verification."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from rich.table import Table
from rich.text import Text

from maxprune.report.figure import BLUE, INK, VERMILLION, looks, new_figure, svg
from maxprune.report.plain import figures, plain_table
from maxprune.report.words import probability
from maxprune.verification_results import FaceCell

TITLES = {
    "mfc": "MFC: maxout behind the first hidden layer",
    "mc": "MC: maxout behind the last convolution",
    "mfc-pls": "first hidden layer, by PLS-VIP of pairs",
    "mc-pls": "last convolution, by PLS-VIP of pairs",
}


def faces_table(cells: Sequence[FaceCell], title: str) -> Table:
    """A row for every network: what is left of it, its error rates, the published one, p.

    Args:
        cells: in the order of the rows.
        title: printed above.
    """
    folds = len(cells[0].folds) if cells else 0
    table = plain_table(
        title,
        f"EER: mean over {folds} fold{'s' if folds != 1 else ''} of LFW, ± standard error\n"
        "held: the same of people held out, by whom things are chosen\n"
        "right: pairs answered right with the threshold that is best for the people held out\n"
        "TAR: same pairs accepted where 1% of the different ones are\n"
        "p: randomization test over pairs against the network without maxout\n"
        "paper: VGG16, trained on 2.6 million other faces",
        between=0,
    )
    table.add_column("step", no_wrap=True)
    figures(table, "params", "removed\n%", "zeroed\n%", "EER\n%", "held\n%", "right\n%")
    figures(table, "TAR\n%", "p", "paper\n%")
    for index, cell in enumerate(cells):
        before = cells[index - 1].network if index else None
        after = cells[index + 1].network if index + 1 < len(cells) else cell.network
        error = "" if cell.standard_error is None else f" ±{cell.standard_error:.2f}"
        if cell.network != before:
            table.add_row(Text(cell.network, style="bold"))
        table.add_row(
            Text(cell.step),
            f"{cell.parameters:,}", f"{100 * cell.removed:.2f}", f"{100 * cell.zeroed:.1f}",
            f"{cell.mean:.2f}{error}", f"{cell.held:.2f}",
            f"{sum(cell.accuracies) / len(cell.accuracies):.2f}",
            "-" if cell.tar is None else f"{cell.tar:.1f}",
            "-" if cell.step == cells[0].step else probability(cell.p_value),
            "-" if cell.published is None else f"{cell.published:.2f}",
            end_section=after != cell.network,
        )  # fmt: skip
    return table


def faces_plot(cells: Sequence[FaceCell]) -> str:
    """EER against what is left of the parameters, as an SVG element, a panel a way of cutting.

    Points are means over folds, bars their standard errors, the dashed line and its band the
    network without maxout. Hollow points are the published figures of another network.
    """
    networks = list(dict.fromkeys(cell.network for cell in cells))
    with looks("faces"):
        figure = new_figure(3.6 * ((len(networks) + 1) // 2))
        columns = min(2, len(networks))
        rows = (len(networks) + 1) // 2
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for panel, network in zip(panels.flat, networks, strict=False):
            _panel(panel, [cell for cell in cells if cell.network == network])
            panel.set_title(TITLES.get(network, network))
        for spare in list(panels.flat)[len(networks) :]:
            spare.set_visible(False)
        first = panels.flat[0]
        first.set_xscale("log")
        first.set_xlim(120, 0.8 * min(_left(cell) for cell in cells))
        first.xaxis.set_major_locator(FixedLocator([100, 50, 20, 10, 5, 2, 1]))
        first.xaxis.set_minor_locator(NullLocator())
        first.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        first.set_ylim(0, 1.1 * max(cell.mean + (cell.standard_error or 0) for cell in cells))
        for panel in panels[:, 0]:
            panel.set_ylabel("Equal Error Rate [%]")
        first.legend(loc="best", fontsize=7.5)
        return svg(figure, "faces", "Equal Error Rate against the share of parameters left")


def _left(cell: FaceCell) -> float:
    """Parameters that exist and are not zero, in percent of those of the first network."""
    return 100 * (1 - cell.removed) * (1 - cell.zeroed)


def _panel(panel: Axes, cells: Sequence[FaceCell]) -> None:
    first, others = cells[0], [cell for cell in cells[1:] if cell.bits is None]
    panel.axhline(first.mean, color=INK, lw=0.9, ls="--", label="not pruned, ours")
    if first.standard_error is not None:
        low, high = first.mean - first.standard_error, first.mean + first.standard_error
        panel.axhspan(low, high, color=INK, alpha=0.08, lw=0)
    panel.errorbar(
        [_left(cell) for cell in others], [cell.mean for cell in others],
        [cell.standard_error or 0 for cell in others],
        color=BLUE, marker="o", ms=4, lw=1.2, capsize=2, label="pruned, ours",
    )  # fmt: skip
    for cell in (cell for cell in cells if cell.bits is not None):
        panel.plot(
            _left(cell), cell.mean, color=BLUE, marker="s", ms=5, mfc="none", lw=0,
            label=f"coded, {cell.bytes / 1000:,.0f} KB",
        )  # fmt: skip
    published = [(_left(c), c.published) for c in others if c.published is not None]
    if published:
        panel.plot(
            *zip(*published, strict=True), color=VERMILLION, marker="o", ms=4, mfc="none", lw=0,
            label="pruned VGG16, paper",
        )  # fmt: skip
    panel.set_xlabel("parameters left and not zero [%]")
    panel.grid(True)
