"""`maxprune squeeze`: as small as it goes, by everything that there is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maxprune.commands.searched import FinalEpochs, Growth, Looks, Retry, Searched, Steps, search
from maxprune.commands.shared import AsJson, few_bits, takes, zeros

if TYPE_CHECKING:
    from maxprune.compression.settings import Compression
    from maxprune.data.spec import DataOptions


@dataclass(frozen=True, kw_only=True)
class Asked(Searched):
    """The options of the command."""

    steps: Steps = 250
    final_epochs: FinalEpochs = 30
    retry: Retry = True
    keep_accuracy: Annotated[
        float, typer.Option(help="Points of accuracy that may be lost, with 95% confidence.")
    ] = 0.5
    growth: Growth = 1.5
    looks: Looks = 10
    teacher: Annotated[
        float,
        typer.Option(
            help="Share of every retraining's loss that comes from the answers of the network at "
            "the start; 0 for none: small networks learned worse from it. Not beside --fit."
        ),
    ] = 0.0
    zero: Annotated[
        str,
        typer.Option(
            help="Percent of the parameters to zero behind the cuts; 'most': more and more as "
            "long as it passes; 0 for none."
        ),
    ] = "most"
    bits: Annotated[
        str,
        typer.Option(
            help="Bits of a weight in the coded file; 'fewest': less and less as long as it "
            "passes; 0 for no coding."
        ),
    ] = "fewest"
    anew: Annotated[
        bool,
        typer.Option(
            "--anew/--no-anew",
            help="Train the small architecture from random weights, too, without a teacher, for as "
            "long as all trainings here that led to it, and take it if it is right more often. Not "
            "beside --fit.",
        ),
    ] = True

    def data_options(self, seed: int = 0) -> DataOptions:
        """How the data are read; of few samples more are to judge by.

        Not where the network was trained before (its weights are given, or what builds it loads
        them): it was on those that are not a tenth.
        """
        from maxprune.squeeze import JUDGES

        fresh = self.builds() and self.first_epochs() > 0
        return replace(super().data_options(seed), least=JUDGES if fresh else 0)

    def settings(self) -> Compression:
        """Everything there is."""
        from maxprune.squeeze import usual

        settings = usual(own=bool(self.fit))
        changes = self.searching() | {
            "keep_accuracy": self.keep_accuracy,
            "teacher": self.teacher,
            "zero": None if self.zero == "0" else zeros(self.zero),
            "bits": None if self.bits == "0" else few_bits(self.bits),
            "anew": settings.anew and self.anew,
            "retry": settings.retry and self.retry,
            "final_epochs": settings.final_epochs and self.final_epochs,
        }
        return settings.model_validate(settings.model_dump() | changes)


@takes(Asked, out=Path("maxprune-squeezed"))
def squeeze_command(asked: Asked, as_json: AsJson = False) -> None:
    """As small as a network goes without a significant loss, whatever it takes.

    Step by step it cuts the channels, of all layers, that cost least accuracy for each parameter
    they save (--per macs, --per latency): several scores propose, and every proposal is measured.
    Each step is retrained, and taken back and tried smaller where it loses too much, after one
    more training, for longer, where that was by little. What is left is trained once more, for
    longer, then with half the augmentation, and its architecture from nothing, too; the best that
    passes over all --looks goes on: to zeros, to few values, into a coded file.
    Everything is judged on validation data; the test set is looked at once, at the end, for the
    frontier of accuracy against size. All networks stay in OUT/steps.

    maxprune squeeze my_net.py:build --data pictures --keep-accuracy 0.5
    """
    from maxprune.squeeze import STUDY

    search(asked, asked.settings(), as_json, STUDY)
