"""`maxprune reproduce pls-cifar10 | pls-resnet56`: filter pruning with Partial Least Squares."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from maxprune.commands.shared import Out, command_line, takes, tell_if_new, terminal
from maxprune.errors import UsageError
from maxprune.files import write_json, write_text
from maxprune.naming import called

if TYPE_CHECKING:
    from maxprune.compress import Run
    from maxprune.report.progress import Steps
    from maxprune.studies.pls import ResNet56

Iterations = Annotated[int, typer.Option(min=1, help="Cuts.")]
Share = Annotated[float, typer.Option(help="Share of the filters that go in each.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of weights, order and dropout.")]
Data = Annotated[
    Path | None,
    typer.Option(help="Folder that has cifar10/. Default: $MAXPRUNE_DATA, else a download."),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with a run in --out.")]


def cifar10_command(
    epochs: Annotated[float, typer.Option(help="Of the first training and every other.")] = 10.0,
    iterations: Iterations = 5,
    share: Share = 0.05,
    seed: Seed = 0,
    data: Data = None,
    out: Out = Path("maxprune-pls"),
    resume: Resume = False,
) -> None:
    """The example of the published code: a small VGG-like network on CIFAR-10, 5 cuts of 5%.

    conv 16-16, pool, conv 32-32, pool, fc 512, trained by RMSprop for 10 epochs and again after
    each cut of filters (the last convolution is left whole). About an hour on two cores;
    --epochs 1 is a start.
    """
    from maxprune.report import steps_table
    from maxprune.report.progress import Steps
    from maxprune.studies.pls import Example, run_example

    _check(epochs, share)
    tell_if_new(out, resume)
    console = terminal()
    with Steps(terminal(stderr=True), None, "all iterations") as steps:
        example = Example(epochs, iterations, share, seed)
        found = run_example(example, data, out, _run(steps, resume))
    found.write(out)
    console.print(steps_table(found.results))
    console.print(f"\nThe page: {out / 'report.html'}", soft_wrap=True)


@dataclass(frozen=True)
class OnResNet56:
    """How ResNet-56 is cut and retrained, and what it is compared with."""

    epochs: Annotated[
        float | None,
        typer.Option(
            help="Of every retraining: 40 on CUDA, 0.25 on a CPU, which is short.",
            show_default=False,
        ),
    ] = None
    final_epochs: Annotated[
        float | None,
        typer.Option(
            help="Of one more retraining of each network that is compared with one of the "
            "authors': none on CUDA, 8 on a CPU.",
            show_default=False,
        ),
    ] = None
    rate: Annotated[float, typer.Option(help="Learning rate of every retraining.")] = 0.01
    final_rate: Annotated[
        float, typer.Option(help="Learning rate of the last one, where there are final epochs.")
    ] = 0.05
    final_precision: Annotated[
        Literal["float32", "bfloat16"],
        typer.Option(
            help="Of the last one: bfloat16 took two thirds of the time on a CPU that knows it."
        ),
    ] = "float32"
    iterations: Iterations = 8
    share: Share = 0.1
    seed: Seed = 0
    beside: Annotated[
        list[int] | None,
        typer.Option(
            help="The iteration of the authors' whose network ours of the same size is compared "
            "with: 5, 9, or, given twice, both. Default: both.",
            show_default=False,
        ),
    ] = None
    retrain_authors: Annotated[
        bool,
        typer.Option(help="Give the authors' later networks as many epochs on the same pictures."),
    ] = True

    def study(self) -> ResNet56:
        """The settings of the study, checked."""
        from maxprune.modes import best_device
        from maxprune.studies.pls import FULL, LATER, SHORT, SHORT_FINAL, ResNet56

        cuda = best_device().type == "cuda"
        epochs, final = self.epochs, self.final_epochs
        if epochs is None:
            epochs = FULL if cuda else SHORT
        if final is None:
            final = 0.0 if cuda else SHORT_FINAL
        if not 0 <= final < math.inf:
            raise UsageError(f"--final-epochs is at least 0, not {final:g}")
        _check(epochs, self.share, rate=self.rate, final_rate=self.final_rate)
        beside = LATER if self.beside is None else tuple(one - 1 for one in self.beside)
        for one in beside:
            if one not in LATER:
                there = " or ".join(str(later + 1) for later in LATER)
                raise UsageError(f"--beside is {there}, the authors' networks, not {one + 1}")
        return ResNet56(
            epochs, self.rate, self.iterations, self.share, self.seed, self.retrain_authors,
            final, self.final_rate, self.final_precision, beside,
        )  # fmt: skip


@takes(OnResNet56)
def resnet56_command(
    asked: OnResNet56,
    data: Annotated[
        Path | None,
        typer.Option(help="Folder that has cifar10/ and resnet56-pls/. Default: $MAXPRUNE_DATA."),
    ] = None,
    out: Out = Path("maxprune-resnet56"),
    resume: Resume = False,
) -> None:
    """ResNet-56 on CIFAR-10: eight more iterations on the authors' network after their first.

    The network is retrained first; then in each iteration a tenth of the inner filters of all
    blocks goes, by PLS-VIP, and it is retrained again. Beside ours stand the published figures,
    and the authors' own networks after their first, fifth and ninth iteration on the same test
    pictures. Needs the authors' files in resnet56-pls/ and the package h5py.
    """
    from maxprune.report.authors import authors_table, iterations_table
    from maxprune.report.plain import as_text
    from maxprune.report.progress import Steps
    from maxprune.studies.pls import (
        PUBLISHED,
        PUBLISHED_SHARE,
        UNPRUNED_MACS,
        beside_authors,
        run_resnet56,
    )

    study = asked.study()
    tell_if_new(out, resume)
    with Steps(terminal(stderr=True), None, "all iterations") as steps:
        run = _run(steps, resume)
        found = run_resnet56(study, data, out, run)
        found.write(out / "ours")
        authors = beside_authors(study, found, data, out, run)
    records = [author.model_dump(mode="json") for author in authors]
    notes = found.results.details.notes
    about = {
        "format": 1, "study": "pls-resnet56", "dataset": found.results.dataset,
        "epochs": study.epochs, "final_epochs": study.final, "notes": list(notes),
    }  # fmt: skip
    write_json(out / "authors.json", {**about, "command": command_line(), "records": records})
    published = PUBLISHED if study.share == PUBLISHED_SHARE else {}
    ours = iterations_table(found.results, UNPRUNED_MACS, published)
    theirs = authors_table(authors, study.final)
    write_text(out / "authors.txt", f"{as_text(ours)}\n{as_text(theirs, *notes)}")
    console = terminal()
    console.print(ours)
    console.print()
    for part in (theirs, *notes):
        console.print(part)
    console.print(f"\nThe page: {out / 'ours' / 'report.html'}", soft_wrap=True)


def _check(epochs: float, share: float, **rates: float) -> None:
    for name, value in {"epochs": epochs, **rates}.items():
        if not 0 < value < math.inf:
            raise UsageError(f"{called(name)} is above 0, not {value:g}")
    if not 0 < share < 1:
        raise UsageError(f"--share is between 0 and 1 (0.1 for 10%), not {share:g}")


def _run(steps: Steps, resume: bool) -> Run:
    from maxprune.compress import Run

    return Run(report=steps.report, resume=resume, command=command_line())
