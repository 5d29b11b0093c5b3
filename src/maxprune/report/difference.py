"""What `maxprune diff` found, as a table for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.text import Text

from maxprune.difference import Difference
from maxprune.report.plain import figures, plain_table
from maxprune.report.words import count, percent

RANGES = 6  # runs of indices that are shown of one layer


def difference_tables(found: Difference, every: bool = False) -> Iterator[RenderableType]:
    """The layers that were cut, with the original indices of the neurons that went.

    Args:
        found: what `diff` gives.
        every: show all indices, and the layers that were not cut.
    """
    yield Text(found.factory, style="bold")
    for step in found.steps:
        yield Text(f"  {step}")
    table = plain_table()
    table.add_column("layer", overflow="fold")
    figures(table, "before", "after", "cut")
    table.add_column("neurons that went, as first numbered", overflow="fold")
    for layer in found.layers:
        if every or layer.before != layer.after:
            table.add_row(
                Text(layer.layer), count(layer.before), count(layer.after),
                count(layer.before - layer.after),
                Text(ranges(layer.cut, None if every else RANGES)),
            )  # fmt: skip
    yield table if table.row_count else Text("no neuron was cut")
    for name, (before, after) in (
        ("parameters", found.parameters), ("of them not zero", found.nonzero)
    ):  # fmt: skip
        share = percent(100 * (1 - after / max(before, 1)))
        yield Text(f"{name}: {count(before)} > {count(after)} ({share}% fewer)")


def ranges(indices: Sequence[int], most: int | None = None) -> str:
    """Ascending indices as runs.

    Example:
        >>> ranges([0, 1, 2, 5, 7, 8])
        '0-2, 5, 7-8'
        >>> ranges([0, 1, 2, 5, 7, 8], most=2)
        '0-2, 5 and 2 more'
    """
    runs: list[list[int]] = []
    for index in indices:
        if runs and index == runs[-1][-1] + 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    shown = [f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs[:most]]
    left = sum(len(run) for run in runs[len(shown) :])
    return ", ".join(shown) + (f" and {left} more" if left else "")
