"""`maxprune compress`: a smaller network that is no worse, and how it was found."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console

from maxprune.commands.on_data import OnData
from maxprune.commands.shared import (
    AsJson,
    Out,
    command_line,
    loading,
    percentage,
    takes,
    tell_if_new,
    terminal,
)
from maxprune.errors import UsageError
from maxprune.naming import as_options
from maxprune.plural import plural

if TYPE_CHECKING:
    from maxprune.compression.result import Compressed
    from maxprune.compression.settings import Compression
    from maxprune.data.samples import Splits

OURS = ("epochs", "rate", "batch", "train_rate", "precision", "compiled", "teacher")
"""Options of our own training."""

KEEP_ACCURACY = 0.5
WITHIN = "The network is within its budget as it is: nothing needs to be cut"


@dataclass(frozen=True)
class Asked(OnData):
    """The options of the command."""

    out: Out = Path("maxprune-out")
    method: Annotated[
        str,
        typer.Option(
            help="maxout removes the neurons that win least often in units of k; the others what "
            "has the lowest score: pls, magnitude, magnitude-l2, bn-scale, fpgm, taylor, apoz, "
            "obd, skeletonization, wins, random, or damage, which cuts for trial what several "
            "scores propose, and takes what costs least for what it saves."
        ),
    ] = "taylor"
    keep_accuracy: Annotated[
        float | None,
        typer.Option(
            help="Points of accuracy that may be lost, with 95% confidence (0.5 unless there is a "
            "budget or --iterations).",
            show_default=False,
        ),
    ] = None
    max_parameters: Annotated[int | None, typer.Option(help="Budget of parameters.")] = None
    max_macs: Annotated[int | None, typer.Option(help="Budget of multiply-adds of one sample.")] = (
        None
    )
    max_bytes: Annotated[int | None, typer.Option(help="Budget of the weights' file.")] = None
    max_latency_ms: Annotated[
        float | None, typer.Option(help="Budget of one forward pass, measured here.")
    ] = None
    rounds: Annotated[
        int | None,
        typer.Option(help="How often maxouts go over all layers (as long as one can be cut)."),
    ] = None
    share: Annotated[
        float, typer.Option(help="Share of all channels that one step of a score removes.")
    ] = 0.2
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
            help="Percent of the parameters to zero at the end, or 'auto': the largest share that "
            "costs nothing on the validation data."
        ),
    ] = None
    bits: Annotated[
        int | None,
        typer.Option(
            help="At the very end the weights of a layer share 2^bits values (5 for 32), which are "
            "trained, and the network is coded: a small file, model.mxp."
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
    control: Annotated[
        bool,
        typer.Option(
            "--control",
            help="At the end retrain the unpruned network as often as the pruned one, and compare "
            "the two: is a gain the pruning's, or the additional training's? It takes as long as "
            "all retrainings of the pruned one, so it is off unless you ask; with --resume also "
            "after a run that is finished.",
        ),
    ] = False
    teacher: Annotated[
        float,
        typer.Option(
            help="Share of every retraining's loss that comes from the answers of the network at "
            "the start (distillation): 0.9 learns mostly from them, 0 the classes alone."
        ),
    ] = 0.0
    precision: Annotated[
        Literal["auto", "float32", "bfloat16"] | None,
        typer.Option(
            help="In which trainings compute; auto takes the faster by the clock. Default: auto on "
            "CUDA; float32 on a CPU, where equal seeds then give equal results.",
            show_default=False,
        ),
    ] = None
    compiled: Annotated[
        Literal["auto", "on", "off"] | None,
        typer.Option(
            "--compile",
            help="Compile networks for their training; auto where the clock says that it saves "
            "more than it costs. Default: auto on CUDA, off on a CPU.",
            show_default=False,
        ),
    ] = None
    seed: Annotated[int, typer.Option(help="Seed of the split, order, augmentation and lot.")] = 0

    def settings(self) -> Compression:
        """Method, stop rule and retraining."""
        from maxprune.compression.settings import METHODS, Compression

        if self.method not in METHODS:
            raise UsageError(f"--method is one of {', '.join(METHODS)}, not {self.method!r}")
        for name in OURS if self.fit else ():
            if getattr(self, name) != type(self).__dataclass_fields__[name].default:
                option = name.replace("_", "-").replace("compiled", "compile")
                raise UsageError(f"--{option} does nothing beside --fit")
        if not 0 < self.share < 1:
            raise UsageError(f"--share is between 0 and 1 (0.2 for 20%), not {self.share:g}")
        budgets = {
            name: getattr(self, name)
            for name in ("max_parameters", "max_macs", "max_bytes", "max_latency_ms")
        }
        keep = self.keep_accuracy
        if keep is None and all(value is None for value in (*budgets.values(), self.iterations)):
            keep = KEEP_ACCURACY
        values: dict[str, Any] = {
            name: getattr(self, name)
            for name in (
                "method", "rounds", "share", "iterations", "bits", "int8", "seed", "control",
                "precision", "teacher",
            )
        }  # fmt: skip
        values["compiled"] = {"auto": "auto", "on": True, "off": False, None: None}[self.compiled]
        return Compression(
            **self.shared(), **values, **budgets, keep_accuracy=keep,
            zero=percentage("zero", self.zero),
        )  # fmt: skip


@takes(Asked)
def compress_command(
    asked: Asked,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be tried; trains nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make a network smaller until it would lose too much, or is small enough.

    Each step cuts, retrains and is judged on validation data: is the loss of accuracy below
    --keep-accuracy points with 95% confidence (Tango's paired test)? If so it is taken, if not
    taken back and tried smaller. With a budget it goes on until that is met. The test set is
    looked at once, at the end. Writes results.json, report.html (open it in a browser), the saved
    model (model/, for maxprune.load) and model.onnx; with --bits model.mxp, with --int8
    model-int8.onnx.

    maxprune compress my_net.py:build --data pictures --keep-accuracy 0.5
    """
    from maxprune.compress import Run, check_settings, compress
    from maxprune.compression.reach import is_met
    from maxprune.report.progress import Steps
    from maxprune.report.trials import trial_line
    from maxprune.train import Fitting
    from maxprune.train.waiting import Waiting, advice_of

    if dry_run and as_json:
        raise UsageError("--dry-run shows its plan in words; leave out --json")
    console = terminal(stderr=as_json)
    settings, epochs = asked.settings(), asked.first_epochs()
    model, fit, data = asked.opened(asked.seed)
    check_settings(settings, data, model)
    first = None
    if epochs:
        with as_options(epochs="train_epochs", rate="train_rate"):
            first = Fitting.of_passes(epochs, data.train, batch=asked.batch, rate=asked.train_rate)
    if dry_run:
        _show_plan(console, settings, data, model, asked, epochs)
        return
    if epochs and is_met(settings, data, model):
        console.print(f"{WITHIN}; nothing was trained, and nothing was written.")
        return
    tell_if_new(asked.out, asked.resume)
    waiting = Waiting(advice_of(data))
    with Steps(console, None, "the search", waiting=waiting) as steps:
        run = Run(
            report=steps.report,
            told=lambda trial: console.print(trial_line(trial), soft_wrap=True),
            first=first, resume=asked.resume, command=command_line(), waiting=waiting,
        )  # fmt: skip
        found = compress(model, data, settings, fit=fit, folder=asked.out, run=run)
    results = found.write(asked.out)
    if as_json:
        typer.echo(results.model_dump_json(indent=1))
    _show(console, replace(found, results=results), asked.out)


def _show_plan(
    console: Console, settings: Compression, data: Splits, model: Any, asked: Asked, epochs: float
) -> None:
    """What would be tried."""
    from maxprune.compression.methods import planned
    from maxprune.compression.reach import is_met

    test = f"{len(data.test):,} to test" if data.test else "no test set"
    if data.stopping is not None:
        use = "for --fit to stop by" if asked.fit else "to choose the best epoch by"
        test = f"{len(data.stopping):,} {use}, {test}"
    console.print(
        f"{data.name}: {plural(len(data.train), 'sample')} to train, "
        f"{len(data.validation):,} to judge by, "
        f"{test}; inputs of {data.input_shape}",
    )
    console.print(f"until: {settings.goal()}")
    for line in planned(settings, data, model):
        console.print(line, soft_wrap=True)
    if is_met(settings, data, model):
        console.print(f"{WITHIN}.")
    how = f"by {asked.fit}" if asked.fit else f"for up to {plural(settings.epochs, 'epoch')}"
    first = (
        f", and first of all for up to {plural(epochs, 'epoch')}"
        if epochs and not asked.fit
        else ""
    )
    console.print(f"retrained {how} after each step{first}")
    for note in data.notes:
        console.print(note)


def _show(console: Console, found: Compressed, out: Path) -> None:
    """The tables, what was found, and where it lies."""
    from maxprune.report.trials import summary
    from maxprune.runs.finished import CODED, INT8

    for part in summary(found.results):
        console.print(part)
    console.print(f"\nThe page: {out / 'report.html'}", soft_wrap=True)
    console.print(
        f"The network: {loading(out / 'model', found.model)}"
        + (f", or {out / 'model.onnx'} anywhere" if (out / "model.onnx").exists() else ""),
        soft_wrap=True,
    )
    coded = out / CODED
    if coded.exists():
        size = plural(coded.stat().st_size, "byte")
        says = f"{loading(coded, found.model)}, {size}; it opens only with what builds the network"
        console.print(f"Coded: {says}", soft_wrap=True)
    if found.int8 is not None:
        size = plural(len(found.int8), "byte")
        console.print(f"In 8 bits: {out / INT8} for ONNX Runtime, {size}", soft_wrap=True)
    search = found.results.details.search
    if search is not None and search.missed:
        raise UsageError(
            f"the budget could not be met ({', '.join(search.missed)}); the smallest network that "
            f"was reached is in {out}"
        )
