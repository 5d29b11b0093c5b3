"""What commands that search for a smaller network share: options, the run, what is shown."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import typer
from rich.console import Console

from maxprune.commands.on_data import OnData
from maxprune.commands.shared import Out, command_line, loading, tell_if_new, terminal
from maxprune.errors import UsageError
from maxprune.naming import as_options
from maxprune.plural import plural

if TYPE_CHECKING:
    from maxprune.compression.result import Compressed
    from maxprune.compression.settings import Compression
    from maxprune.data.samples import Splits

OURS = (
    "epochs", "steps", "rate", "batch", "train_rate", "precision", "compiled", "teacher",
    "final_epochs", "retry",
)  # fmt: skip
"""Options of our own training."""

WITHIN = "The network is within its budget as it is: nothing needs to be cut"

Steps: TypeAlias = Annotated[
    int,
    typer.Option(
        min=0,
        help="Steps of gradient descent that every training takes at least, where the epochs "
        "of a small training set make fewer.",
    ),
]

Growth: TypeAlias = Annotated[
    float,
    typer.Option(
        min=1,
        max=10,
        help="How many times larger --share is after every step that was taken, up to half of all "
        "channels: large steps while they cost nothing, small ones at the end.",
    ),
]

Looks: TypeAlias = Annotated[
    int,
    typer.Option(
        min=1,
        max=1000,
        help="Over how many networks that lose too much the 95% hold together: the more of them "
        "are tried, the likelier one passes by chance. What may be the last network is judged so "
        "much more strictly; cuts, behind which trainings follow, each alone.",
    ),
]

FinalEpochs: TypeAlias = Annotated[
    float,
    typer.Option(
        min=0,
        help="Epochs of one more training of what is left once nothing more is cut, and of another "
        "one with half the augmentation; each is taken if it is right more often then. 0 for none. "
        "Not beside --fit.",
    ),
]


Retry: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--retry/--no-retry",
        help="Train a step that has failed by little for --final-epochs before it is taken back. "
        "Not beside --fit.",
    ),
]


@dataclass(frozen=True, kw_only=True)
class Searched(OnData):
    """The options of a search."""

    out: Out = Path("maxprune-out")
    keep_accuracy: Annotated[
        float | None,
        typer.Option(
            help="Points of accuracy that may be lost, with 95% confidence (0.5 unless there is a "
            "budget or --iterations).",
            show_default=False,
        ),
    ] = None
    share: Annotated[
        float, typer.Option(help="Share of all channels that one step of a score removes.")
    ] = 0.2
    growth: Growth = 1.0
    looks: Looks = 1
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
    steps: Steps = 0
    final_epochs: FinalEpochs = 0
    retry: Retry = False
    seed: Annotated[int, typer.Option(help="Seed of the split, order, augmentation and lot.")] = 0

    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be tried; trains nothing.")
    ] = False

    def searching(self) -> dict[str, Any]:
        """What these options say of a `Compression`.

        Raises:
            UsageError: one is out of its range, or does nothing beside --fit.
        """
        for name in OURS if self.fit else ():
            if getattr(self, name) != type(self).__dataclass_fields__[name].default:
                option = name.replace("_", "-").replace("compiled", "compile")
                raise UsageError(f"--{option} does nothing beside --fit")
        if not 0 < self.share < 1:
            raise UsageError(f"--share is between 0 and 1 (0.2 for 20%), not {self.share:g}")
        if self.retry and not (
            self.final_epochs or type(self).__dataclass_fields__["retry"].default
        ):
            raise UsageError("--retry trains for --final-epochs: say how many")
        names = (
            "share", "growth", "looks", "seed", "control", "precision", "steps", "final_epochs",
            "retry",
        )  # fmt: skip
        values = {name: getattr(self, name) for name in names}
        values["compiled"] = {"auto": "auto", "on": True, "off": False, None: None}[self.compiled]
        return self.shared() | values


def search(asked: Searched, settings: Compression, as_json: bool, study: str) -> None:
    """Search, and show and write what was found; or show what would be tried.

    The study is what the results are called.
    """
    from maxprune.compress import Run, check_settings, compress
    from maxprune.compression.reach import is_met
    from maxprune.report.progress import Steps
    from maxprune.report.trials import trial_line
    from maxprune.train import Fitting
    from maxprune.train.waiting import Waiting, advice_of

    if asked.dry_run and as_json:
        raise UsageError("--dry-run shows its plan in words; leave out --json")
    console = terminal(stderr=as_json)
    epochs = asked.first_epochs()
    model, fit, data = asked.opened(asked.seed)
    check_settings(settings, data, model)
    first = None
    if epochs:
        with as_options(epochs="train_epochs", rate="train_rate"):
            first = Fitting.of_passes(
                epochs, data.train, asked.steps, batch=asked.batch, rate=asked.train_rate
            )
    if asked.dry_run:
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
            study=study,
        )  # fmt: skip
        found = compress(model, data, settings, fit=fit, folder=asked.out, run=run)
    results = found.write(asked.out)
    if as_json:
        typer.echo(results.model_dump_json(indent=1))
    show(console, replace(found, results=results), asked.out)


def _show_plan(
    console: Console,
    settings: Compression,
    data: Splits,
    model: Any,
    asked: Searched,
    epochs: float,
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
    if settings.steps and not asked.fit:
        how += f", or {plural(settings.steps, 'step')} where that is more,"
    if settings.teacher:
        how += " by the network at the start as a teacher"
    first = (
        f", and first of all for up to {plural(epochs, 'epoch')}"
        if epochs and not asked.fit
        else ""
    )
    console.print(f"retrained {how} after each step{first}")
    times = settings.final_epochs / settings.epochs
    behind = {
        f"one more training ({times:.3g} times as long)": settings.final_epochs,
        "another with half the augmentation": settings.final_epochs and data.milder() is not None,
        "the small architecture from random weights": settings.anew,
        f"zeros ({settings.zero})": settings.zero, f"few values ({settings.bits})": settings.bits,
        f"8 bits ({settings.int8})": settings.int8,
    }  # fmt: skip
    if any(behind.values()):
        console.print(f"then: {', '.join(what for what, asked_for in behind.items() if asked_for)}")
    for note in data.notes:
        console.print(note)


def show(console: Console, found: Compressed, out: Path) -> None:
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
