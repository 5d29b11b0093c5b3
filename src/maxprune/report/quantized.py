"""The table of a network in 8 bits: bytes, how far its outputs are, accuracy."""

from __future__ import annotations

from rich.table import Table

from maxprune.compression.quantizing import Quantizing
from maxprune.measure.significance import SIGNIFICANT
from maxprune.plural import plural
from maxprune.report.coded import coding_rows
from maxprune.report.plain import figures, plain_table
from maxprune.report.words import count


def quantizing_table(found: Quantizing) -> Table:
    """A row for the network as it was and for each of its 8-bit files."""
    title = f"8-bit files of {plural(found.parameters, 'parameter')}"
    table = plain_table(title, _explained(found))
    table.add_column("step", no_wrap=True)
    measured = ("accuracy\n%", "p") if found.tested else ()
    figures(table, "bytes", "smaller", "off\n%", *measured)
    off = ["" if s.difference is None else f"{100 * s.difference:.2f}" for s in found.steps]
    for row, apart in zip(coding_rows(found.steps, bool(found.tested)), off, strict=True):
        table.add_row(*row[:3], apart, *row[3:])
    return table


def remarks(found: Quantizing) -> list[str]:
    """What the reader must not overlook: which file is worse or larger, or not there."""
    before = found.steps[0].accuracy
    worse = [
        step.name
        for step in found.steps
        if step.accuracy is not None and before is not None and step.p_value is not None
        and step.accuracy < before and step.p_value <= SIGNIFICANT
    ]  # fmt: skip
    says = [f"SIGNIFICANTLY WORSE than as it was: {'; '.join(worse)}."] if worse else []
    first = found.steps[0].bytes
    larger = [step.name for step in found.steps if step.bytes > first]
    says += [f"LARGER than as it was, {plural(first, 'byte')}: {'; '.join(larger)}."] * bool(larger)
    return [*says, *found.notes]


def _explained(found: Quantizing) -> str:
    """What the rows and the columns are."""
    on = (
        f"all {plural(found.samples, f'{found.tested} sample')}"
        if found.tested
        else "the inputs that the file was checked on"
    )
    lines = [
        "bytes: of the ONNX file",
        *(
            f"{step.name}: {count(step.integers)} of the parameters are in 8 bits"
            for step in found.steps
            if step.integers is not None
        ),
        f"off: the largest difference of an output on {on}, in % of the largest output",
    ]
    if found.tested:
        lines += [
            "dynamic: linear layers alone; static: all, with ranges from "
            f"{plural(found.calibrated, 'training sample')}",
            f"{found.tested} accuracy: on {plural(found.samples, 'sample')}, in ONNX Runtime; as "
            "it was: in torch",
            "p: randomization test against the network as it was",
        ]
    return "\n".join(lines)
