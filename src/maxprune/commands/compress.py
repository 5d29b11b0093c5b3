"""`maxprune compress`: a smaller network that is no worse, and how it was found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from maxprune.commands.on_data import WithMaxouts
from maxprune.commands.searched import Searched, search
from maxprune.commands.shared import AsJson, few_bits, takes, zeros
from maxprune.errors import UsageError

if TYPE_CHECKING:
    from maxprune.compression.settings import Compression

KEEP_ACCURACY = 0.5


@dataclass(frozen=True, kw_only=True)
class Asked(WithMaxouts, Searched):
    """The options of the command."""

    method: Annotated[
        str,
        typer.Option(
            help="maxout removes the neurons that win least often in units of k; the others what "
            "has the lowest score: pls, magnitude, magnitude-l2, bn-scale, fpgm, taylor, apoz, "
            "obd, skeletonization, wins, random, or damage, which cuts for trial what several "
            "scores propose, and takes what costs least for what it saves."
        ),
    ] = "taylor"
    max_parameters: Annotated[int | None, typer.Option(help="Budget of parameters.")] = None
    max_macs: Annotated[int | None, typer.Option(help="Budget of multiply-adds of one sample.")] = (
        None
    )
    max_bytes: Annotated[
        int | None,
        typer.Option(
            help="Budget of the weights' file; with --bits the coded one may meet it, too."
        ),
    ] = None
    max_latency_ms: Annotated[
        float | None, typer.Option(help="Budget of one forward pass, measured here.")
    ] = None
    rounds: Annotated[
        int | None,
        typer.Option(help="How often maxouts go over all layers (as long as one can be cut)."),
    ] = None
    iterations: Annotated[
        int | None,
        typer.Option(
            help="Steps of a score at most; alone, every one is taken, whatever it costs.",
            show_default=False,
        ),
    ] = None
    zero: Annotated[
        str | None,
        typer.Option(
            help="Percent of the parameters to zero at the end; or 'auto', the largest share that "
            "costs nothing on the validation data, or 'most', more and more as long as it passes."
        ),
    ] = None
    bits: Annotated[
        str | None,
        typer.Option(
            help="At the very end the weights of a layer share 2^bits values (5 for 32), which are "
            "trained, and the network is coded: a small file, model.mxp; 'fewest' tries 8 and "
            "less as long as it passes."
        ),
    ] = None
    int8: Annotated[
        str | None,
        typer.Option(
            help="The last step of all: an ONNX file of 8-bit integers, model-int8.onnx; static, "
            "with ranges from training samples, or dynamic, in linear layers alone.",
            show_default=False,
        ),
    ] = None
    teacher: Annotated[
        float,
        typer.Option(
            help="Share of every retraining's loss that comes from the answers of the network at "
            "the start (distillation): 0.9 learns mostly from them, 0 the classes alone."
        ),
    ] = 0.0
    anew: Annotated[
        bool,
        typer.Option(
            "--anew",
            help="Once nothing more is cut, train the same architecture from random weights for "
            "as long as all trainings here that led to it, and take it if it is right more often.",
        ),
    ] = False
    scale_dropout: Annotated[
        bool,
        typer.Option(
            "--scale-dropout",
            help="Dropout of every retraining shrinks with the parameters that are left, by their "
            "root.",
        ),
    ] = False
    frontier: Annotated[
        bool,
        typer.Option(
            "--frontier",
            help="Test what was not taken, too, and show accuracy against size of all.",
        ),
    ] = False

    def settings(self) -> Compression:
        """Method, stop rule and retraining."""
        from maxprune.compression.settings import METHODS, Compression

        if self.method not in METHODS:
            raise UsageError(f"--method is one of {', '.join(METHODS)}, not {self.method!r}")
        budgets = {
            name: getattr(self, name)
            for name in ("max_parameters", "max_macs", "max_bytes", "max_latency_ms")
        }
        keep = self.keep_accuracy
        if keep is None and all(value is None for value in (*budgets.values(), self.iterations)):
            keep = KEEP_ACCURACY
        values = {
            name: getattr(self, name)
            for name in (
                "method", "rounds", "iterations", "int8", "teacher", "scale_dropout", "anew",
                "frontier",
            )
        }  # fmt: skip
        return Compression(
            **self.searching(), **values, **budgets, keep_accuracy=keep,
            zero=zeros(self.zero), bits=few_bits(self.bits),
        )  # fmt: skip


@takes(Asked)
def compress_command(asked: Asked, as_json: AsJson = False) -> None:
    """Make a network smaller until it would lose too much, or is small enough.

    Each step cuts, retrains and is judged on validation data: is the loss of accuracy below
    --keep-accuracy points with 95% confidence (Tango's paired test)? If so it is taken, if not
    taken back and tried smaller. With a budget it goes on until that is met. The test set is
    looked at once, at the end. Writes results.json, report.html (open it in a browser), the saved
    model (model/, for maxprune.load) and model.onnx; with --bits model.mxp, with --int8
    model-int8.onnx.

    maxprune compress my_net.py:build --data pictures --keep-accuracy 0.5
    """
    from maxprune.compress import STUDY

    search(asked, asked.settings(), as_json, STUDY)
