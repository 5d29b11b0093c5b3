"""The rows of every table and plot: the baseline, the steps in order, the control."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal

from maxprune.results import Results, Step


@dataclass(frozen=True)
class Row:
    """One network of a study. What does not apply to the baseline is None there.

    The fields have the names and the units of `maxprune.results.Step`.
    """

    kind: Literal["baseline", "step", "control"]
    name: str
    k: int | None
    parameters: int
    nonzero: int | None
    removed: float
    zeroed: float | None
    macs: int
    bytes: int
    accuracy_before_retraining: float | None
    accuracy: float
    p_value: float | None
    seconds: float | None


def rows(results: Results) -> list[Row]:
    """The baseline first, then the steps in their order, last the control where there is one."""
    base = results.baseline
    first = Row(
        kind="baseline",
        name=base.name,
        k=None,
        parameters=base.parameters,
        nonzero=None,
        removed=0.0,
        zeroed=None,
        macs=base.macs,
        bytes=base.bytes,
        accuracy_before_retraining=None,
        accuracy=base.accuracy,
        p_value=None,
        seconds=None,
    )
    found = [first, *(_row("step", step) for step in results.steps)]
    if results.control is not None:
        found.append(_row("control", results.control))
    return found


def silent(found: Sequence[Row]) -> set[str]:
    """The fields that say nothing: unknown in every row, no zeros, no unit of several neurons."""
    names = {f.name for f in fields(Row) if all(getattr(row, f.name) is None for row in found)}
    if not any(row.zeroed for row in found):
        names |= {"zeroed", "nonzero"}
    if all(row.k in (None, 1) for row in found):
        names.add("k")
    return names


def _row(kind: Literal["step", "control"], step: Step) -> Row:
    """A step or the control as a row."""
    return Row(kind=kind, **step.model_dump())
