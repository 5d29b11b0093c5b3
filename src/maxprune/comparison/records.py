"""The figures of a comparison: `comparison.json`, format 1 (documented in docs/results.md)."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from maxprune.comparison.settings import CONTROLS
from maxprune.errors import StoreError
from maxprune.files import read_json, write_json
from maxprune.measure.significance import SIGNIFICANT
from maxprune.records import first_wrong
from maxprune.results import Count, Details, Finite, Fraction, Percent, Record, Seconds


class Start(Record):
    """The unpruned network of one seed; accuracies on validation and test data."""

    seed: Count
    parameters: Count
    macs: Count
    validation: Percent
    accuracy: Percent


class Compared(Record):
    """One method with one seed at one size, retrained.

    `size` is the share of the unpruned network that was asked for, at most; `cuts` how many led
    there, each followed by its part of the retraining; `before` the accuracy before retraining,
    None where there were several cuts, and of the control from random weights; `p_value` that of
    the paired randomization test against the unpruned network of the seed.
    """

    method: str
    seed: Count
    size: Fraction
    parameters: Count
    macs: Count
    cuts: Count
    before: Percent | None
    validation: Percent
    accuracy: Percent
    p_value: Fraction
    seconds: Seconds


class Summary(Record):
    """One method at one size over all seeds: means, and sample standard deviations.

    `worse` counts the seeds in which it is significantly worse than the unpruned network.
    """

    method: str
    size: Fraction
    seeds: Count
    left: Fraction
    macs_left: Fraction
    before: Percent | None
    validation: Percent
    accuracy: Percent
    spread: Finite | None
    worse: Count


class Comparison(Record):
    """A whole comparison.

    `tested` says what accuracies are of; `settings` are all that it was run with; `missing` says
    which method could not reach which size, and why.
    """

    format: Literal[1] = 1
    study: Literal["compare"] = "compare"
    dataset: str
    network: str
    by: Literal["parameters", "macs"]
    methods: list[str]
    sizes: list[Fraction]
    tested: Literal["test", "validation"]
    starts: list[Start]
    compared: list[Compared]
    missing: dict[str, str] = Field(default={})
    settings: dict[str, Any] = Field(default={})
    details: Details = Details()

    @model_validator(mode="after")
    def _agrees(self) -> Comparison:
        """Every network was cut from the one that its seed began with, and is no larger."""
        starts = {start.seed: start for start in self.starts}
        for one in self.compared:
            start = starts.get(one.seed)
            if start is None:
                raise ValueError(f"{one.method} has the seed {one.seed}, which nothing began with")
            for what, left, whole in (
                ("parameters", one.parameters, start.parameters), ("macs", one.macs, start.macs)
            ):  # fmt: skip
                if not whole > 0 or left > whole:
                    raise ValueError(f"{one.method} has {left} {what} of {whole}")
        return self

    def summaries(self) -> list[Summary]:
        """A record for every method and size, in their order."""
        found = []
        for method in self.methods:
            for size in self.sizes:
                same = [c for c in self.compared if (c.method, c.size) == (method, size)]
                if same:
                    found.append(self._summary(same))
        return found

    def ranked(self) -> list[tuple[str, float]]:
        """The methods that reached every size with every seed, best first, without the controls.

        By the mean validation accuracy: nothing is chosen on the test set.
        """
        means: dict[str, list[float]] = {}
        for summary in self.summaries():
            if summary.seeds == len(self.starts) and summary.method not in CONTROLS:
                means.setdefault(summary.method, []).append(summary.validation)
        whole = [(m, statistics.fmean(v)) for m, v in means.items() if len(v) == len(self.sizes)]
        return sorted(whole, key=lambda entry: -entry[1])

    def _summary(self, same: list[Compared]) -> Summary:
        starts = {start.seed: start for start in self.starts}
        accuracies = [c.accuracy for c in same]
        before = [c.before for c in same if c.before is not None]
        return Summary(
            method=same[0].method, size=same[0].size, seeds=len(same),
            left=statistics.fmean(c.parameters / starts[c.seed].parameters for c in same),
            macs_left=statistics.fmean(c.macs / starts[c.seed].macs for c in same),
            before=statistics.fmean(before) if before else None,
            validation=statistics.fmean(c.validation for c in same),
            accuracy=statistics.fmean(accuracies),
            spread=statistics.stdev(accuracies) if len(same) > 1 else None,
            worse=sum(
                c.p_value <= SIGNIFICANT and c.accuracy < starts[c.seed].accuracy for c in same
            ),
        )  # fmt: skip

    def with_waiting(self, share: float | None) -> Comparison:
        """The same with the share of the trainings' time in which they waited for their data."""
        details = self.details.model_copy(update={"waiting": share})
        return self.model_copy(update={"details": details})

    def table(self) -> str:
        """What the command prints, as text: the table, the verdict and the notes."""
        from maxprune.report.comparison import summary  # matplotlib is slow to import
        from maxprune.report.plain import as_text

        return as_text(*summary(self))

    def write(self, path: str | Path) -> None:
        """Write the file, whole or not at all."""
        write_json(Path(path), self.model_dump(mode="json"))

    @classmethod
    def read(cls, path: str | Path) -> Comparison:
        """Read and check a file.

        Raises:
            StoreError: no such file, or it is not a comparison.
        """
        try:
            return cls.model_validate(read_json(Path(path)))
        except ValidationError as error:
            raise StoreError(f"{path} is not a comparison: {first_wrong(error)}") from error
