"""What a compression gives back."""

from __future__ import annotations

from dataclasses import dataclass

from maxprune.data.samples import Splits
from maxprune.lineage import lineage
from maxprune.plan import Plan
from maxprune.results import Step, Trial
from maxprune.runs.finished import Finished


@dataclass(frozen=True)
class Compressed(Finished):
    """The network that was found, how, and ways to write it down.

    Attributes:
        model: the smallest network that was taken, in evaluation mode.
        results: the baseline and every step on the way to it, on the test set, and the search.
        models: the network of every one of these steps by its name, "unpruned" for the first, and
            "uncut" for the control, where it was asked for.
        samples: the test set, or the validation data where there is none.
        data: what it was trained, judged and tested on.
    """

    data: Splits

    @property
    def plans(self) -> tuple[Plan, ...]:
        """Everything that was applied to the network since it was built, in order."""
        return lineage(self.model).plans

    @property
    def steps(self) -> list[Step]:
        """The steps on the way to the network, measured on the test set."""
        return self.results.steps

    def table(self) -> str:
        """What the command prints, as text: the trials, the steps, the conclusion and the notes."""
        from maxprune.report.plain import as_text  # the reports are slow to import
        from maxprune.report.trials import summary

        return as_text(*summary(self.results))

    @property
    def trials(self) -> list[Trial]:
        """Everything that was tried, judged on validation data."""
        search = self.results.details.search
        return [] if search is None else search.trials
