"""The table and the plot of networks in coded files: bytes and errors, step by step."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from matplotlib.ticker import FuncFormatter, NullLocator
from rich.table import Table

from maxprune.compression.coding import Coding, CodingStep
from maxprune.plural import plural
from maxprune.report.figure import CYCLE, GREY, looks, new_figure, svg
from maxprune.report.plain import figures, plain_table
from maxprune.report.words import percent, probability
from maxprune.results import TableCell


def coded_table(cells: Sequence[TableCell], title: str) -> Table:
    """A row for every network and step: bytes of its file, the error, p.

    Args:
        cells: in the order of the rows; those of a network begin with the one without maxout.
        title: printed above.
    """
    seeds = max((len(cell.seeds) for cell in cells), default=0)
    table = plain_table(
        title,
        f"bytes: of the file, mean over {plural(seeds, 'seed')}; smaller: than that of the network "
        "without maxout\n"
        "error: of what is read from the file, on the test set, ± standard deviation\n"
        "p: randomization test against the network without maxout, smallest and largest",
        between=0,
    )
    for header in ("network", "step"):
        table.add_column(header, no_wrap=True)
    figures(table, "removed\n%", "zeroed\n%", "bytes", "smaller", "error\n%", "p")
    for index, cell in enumerate(cells):
        first = next(c for c in cells if _network(c) == _network(cell))
        following = cells[index + 1] if index + 1 < len(cells) else cell
        size = statistics.fmean(cell.bytes)
        spread = "" if cell.spread is None else f" ±{cell.spread:.2f}"
        low, high = probability(min(cell.p_values)), probability(max(cell.p_values))
        table.add_row(
            _network(cell) if cell is first else "", cell.step,
            f"{100 * cell.removed:.2f}", f"{100 * cell.zeroed:.1f}", f"{size:,.0f}",
            "" if cell is first else f"{statistics.fmean(first.bytes) / size:.1f}x",
            f"{100 - cell.mean:.2f}{spread}",
            "" if cell is first else low if low == high else f"{low}..{high}",
            end_section=_network(following) != _network(cell),
        )  # fmt: skip
    return table


def coding_table(found: Coding) -> Table:
    """A row for each network on the way into the file: bytes, accuracy, p."""
    zeros = 1 - found.nonzero / max(found.parameters, 1)
    explained = (
        f"{found.tested} accuracy: on {plural(found.samples, 'sample')}, of what is read from the "
        "file\nin the file: the better one on the validation data\n"
        "p: randomization test against the network as it was"
    )
    table = plain_table(
        f"{plural(found.parameters, 'parameter')}, {100 * zeros:.1f}% of them zero",
        explained if found.tested else "",
    )
    table.add_column("step", no_wrap=True)
    figures(table, "bytes", "smaller", *(("accuracy\n%", "p") if found.tested else ()))
    for row in coding_rows(found.steps, bool(found.tested)):
        table.add_row(*row)
    return table


def remarks(found: Coding) -> list[str]:
    """What shares no values."""
    names = "; ".join(found.unshared)
    says = f"Not shared, as it is no linear or convolution layer's: {names}."
    return [says] if names else []


def coding_rows(steps: Sequence[CodingStep], tested: bool) -> list[list[str]]:
    """Name, bytes, how much smaller, and where it was tested accuracy and p, of each step."""
    rows = []
    for step in steps:
        measured = [] if step.accuracy is None else [percent(step.accuracy)]
        if tested:
            measured.append("" if step.p_value is None else probability(step.p_value))
        smaller = "" if step is steps[0] else f"{steps[0].bytes / step.bytes:.1f}x"
        mark = "  <- in the file" if step.taken and len(steps) > 2 else ""
        rows.append([f"{step.name}{mark}", f"{step.bytes:,}", smaller, *measured])
    return rows


def _network(cell: TableCell) -> str:
    return f"{cell.network}-{cell.fc}"


def coded_plot(
    cells: Sequence[TableCell], published: Mapping[str, tuple[int, float]] | None = None
) -> str:
    """Error against bytes of the file, as an SVG element, a line a network.

    Zeros alone, which make no file smaller, are left out.

    Args:
        cells: as for the table.
        published: bytes and error in percent of others, by their name.
    """
    networks = list(dict.fromkeys(_network(cell) for cell in cells))
    with looks("coded"):
        figure = new_figure(4.0)
        panel = figure.subplots()
        for network, colour in zip(networks, CYCLE * len(networks), strict=False):
            sizes = {
                statistics.fmean(cell.bytes): cell
                for cell in reversed(cells)
                if _network(cell) == network
            }  # of those of one size the first one
            own = [sizes[size] for size in sorted(sizes, reverse=True)]
            panel.errorbar(
                [statistics.fmean(cell.bytes) for cell in own], [100 - cell.mean for cell in own],
                [cell.spread or 0 for cell in own],
                color=colour, marker="o", ms=4, lw=1.2, capsize=2, label=f"LeNet-5 {network}, ours",
            )  # fmt: skip
        for number, (name, (size, error)) in enumerate((published or {}).items()):
            panel.plot(size, error, "D", color=GREY, ms=5, mfc="none")
            panel.annotate(
                name, (size, error), (-6 if number % 2 else 6, 6), textcoords="offset points",
                ha="right" if number % 2 else "left", fontsize=7.5, color=GREY,
            )  # fmt: skip
        panel.set_xscale("log")
        panel.invert_xaxis()
        panel.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
        panel.xaxis.set_minor_locator(NullLocator())
        panel.set_ylim(0)
        panel.set_xlabel("bytes of the file")
        panel.set_ylabel("test error [%]")
        panel.grid(True)
        panel.legend(loc="upper left", fontsize=7.5)
        return svg(figure, "coded", "Test error against the bytes of the file")
