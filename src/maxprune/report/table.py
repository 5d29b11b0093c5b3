"""The steps of a study as a table for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from maxprune.report.plain import plain_table
from maxprune.report.rows import Row, rows, silent
from maxprune.report.words import before_and_after, percent, probability
from maxprune.results import Results

NONE = "-"


def steps_table(results: Results) -> Table:
    """The baseline, every step and the control, a row each; 80 columns are enough.

    A column of large figures has one unit for all of them, k (thousand) or M (million), named in
    its header; one that says nothing is left out. Without a terminal behind it, rich prints the
    table without colour.
    """
    found = rows(results)
    unsaid = silent(found)
    columns = [
        _counts("params", [row.parameters for row in found]),
        ("removed\n%", [percent(100 * row.removed) for row in found]),
    ]
    if "zeroed" not in unsaid:
        columns.append(("zeroed\n%", [_share(row.zeroed) for row in found]))
    columns.append(_counts("MACs", [row.macs for row in found]))
    columns.append(_counts("bytes", [row.bytes for row in found]))
    if "accuracy_before_retraining" not in unsaid:
        before = [_or_none(row.accuracy_before_retraining) for row in found]
        columns.append(("before\n%", before))
    columns.append(("after\n%", [percent(row.accuracy) for row in found]))
    if "p_value" not in unsaid:
        ps = [NONE if row.p_value is None else probability(row.p_value) for row in found]
        columns.append(("p", ps))
    table = _empty(results, unsaid)
    for header, _ in columns:
        table.add_column(header, justify="right", no_wrap=True)
    for index, row in enumerate(found):
        figures = [Text(texts[index]) for _, texts in columns]
        table.add_row(Text(row.name), *figures, end_section=_ends_section(found, index))
    return table


def _empty(results: Results, unsaid: set[str]) -> Table:
    """The table with its title, its caption and the column of names, which alone may wrap."""
    captions = [before_and_after(results.tested)]
    if "accuracy_before_retraining" in unsaid:
        captions = [f"after: {results.tested} accuracy after retraining"]
    if "p_value" not in unsaid:
        captions.append("p: randomization test against the unpruned network")
    if results.details.search is not None and results.control is not None:
        captions.append(f"{results.control.name}: the unpruned network, retrained as often")
    title = f"{results.study}: {results.network} on {results.dataset}"
    table = plain_table(title, "\n".join(captions), between=0)
    table.add_column("step", min_width=8, overflow="fold")
    return table


def _counts(name: str, values: Sequence[int]) -> tuple[str, list[str]]:
    """The header and the figures of a column of counts, in one unit that keeps it narrow."""
    largest = max(values)
    if largest < 10**7:
        return name, [f"{value:,}" for value in values]
    unit, size = ("k", 10**3) if largest < 10**9 else ("M", 10**6)
    return f"{name}\n{unit}", [f"{value / size:,.1f}" for value in values]


def _share(fraction: float | None) -> str:
    """A fraction in percent, or a dash."""
    return _or_none(None if fraction is None else 100 * fraction)


def _or_none(value: float | None) -> str:
    """A percentage, or a dash."""
    return NONE if value is None else percent(value)


def _ends_section(found: Sequence[Row], index: int) -> bool:
    """Whether a rule follows: after the baseline, and before the control."""
    return found[index].kind == "baseline" or (
        index + 1 < len(found) and found[index + 1].kind == "control"
    )
