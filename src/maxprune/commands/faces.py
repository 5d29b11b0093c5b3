"""`maxprune reproduce faces`: face verification on LFW with a network that trains here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from maxprune.commands.shared import AsJson, command_line, tell_if_new, terminal
from maxprune.errors import UsageError
from maxprune.files import read_json, write_json, write_text

if TYPE_CHECKING:
    from maxprune.studies.faces import FaceStudy
    from maxprune.train.config import Precision
    from maxprune.verification_results import FaceCell

FOLDS = 10
ON_CPU = (8, 9, 10)
QUICK = {"epochs": 12.0, "retraining": 2.0, "sparse": 1.0, "shares": (0.5, 0.9)}
FULL = {"epochs": 60.0, "retraining": 8.0, "sparse": 2.0}


def faces_command(
    fold: Annotated[
        list[int] | None,
        typer.Option(
            help="Fold of View 2 that is tested, 1 to 10; may be repeated. "
            "Default: 8, 9 and 10 on a CPU, all on CUDA.",
            show_default=False,
        ),
    ] = None,
    network: Annotated[
        list[str] | None,
        typer.Option(
            help="mfc or mc: a maxout behind the first hidden layer or the last convolution; "
            "mfc-pls or mc-pls: the same layer, cut by PLS-VIP of pairs. May be repeated. "
            "Default: all.",
            show_default=False,
        ),
    ] = None,
    epochs: Annotated[
        float | None, typer.Option(help="Of the first training. Default: 60.", show_default=False)
    ] = None,
    retrain_epochs: Annotated[
        float | None,
        typer.Option(
            help="With the maxout, and after each cut of neurons. Default: 8.", show_default=False
        ),
    ] = None,
    weight_epochs: Annotated[
        float | None,
        typer.Option(help="After each share of weights. Default: 2.", show_default=False),
    ] = None,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick",
            help="Fold 10 alone, 12, 2 and 1 epochs, two shares of weights: to see how it goes.",
        ),
    ] = False,
    precision: Annotated[
        Literal["auto", "float32", "bfloat16"],
        typer.Option(help="In which training computes; auto takes the faster by the clock."),
    ] = "auto",
    seed: Annotated[
        int, typer.Option(min=0, help="Of weights, order, augmentation and people held out.")
    ] = 0,
    jobs: Annotated[
        int, typer.Option(min=0, help="Processes side by side, one thread each; 0: one a core.")
    ] = 0,
    data: Annotated[
        Path | None, typer.Option(help="Folder that has lfw/. Default: $MAXPRUNE_DATA.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("maxprune-faces"),
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run in --out.")] = False,
    as_json: AsJson = False,
) -> None:
    """Are two faces those of one person? The paper's Tables 3 and 4 with a small network on LFW.

    In each fold of View 2 a VGG-like network (64x64 grey, four blocks, two hidden layers of 512)
    is trained on people who are not in that fold. Then it gets a maxout of k = 4, loses three of
    four neurons, and then weights; it is retrained after each step. Thresholds, and which share of
    weights costs nothing, are chosen on people held out. Needs lfw-deepfunneled.tgz and pairs.txt
    in the folder lfw/.
    """
    from maxprune.modes import best_device
    from maxprune.runs.workspace import claimed
    from maxprune.studies.faces import WAYS, FaceStudy, best_free, pieces, write_verifier

    given = {"epochs": epochs, "retraining": retrain_epochs, "sparse": weight_epochs}
    settings: dict[str, Any] = {
        **(QUICK if quick else FULL),
        **{n: v for n, v in given.items() if v is not None},
    }
    usual = range(1, FOLDS + 1) if best_device().type == "cuda" else ON_CPU
    folds = fold or ([FOLDS] if quick else list(usual))
    for one in folds:
        if not 1 <= one <= FOLDS:
            raise UsageError(f"--fold is 1 to {FOLDS}, not {one}")
    study = FaceStudy(
        folds=tuple(one - 1 for one in dict.fromkeys(folds)), ways=tuple(network or WAYS),
        seed=seed, **settings,
    )  # fmt: skip
    study.check()
    study = study.with_precision(_precision(precision, study, data, out))
    tell_if_new(out, resume)
    with claimed(out, {"study": "faces", **study.identity()}, resume):
        cells = _filled(study, data, out, jobs)
        taken = best_free(cells)
        write_verifier(study, taken, pieces(study, data), out, out / "verifier")
    _show(cells, study, out, as_json)
    if not as_json:
        terminal().print(
            f"The smallest network that costs nothing ({taken.network}, {taken.step}): "
            f"maxprune verify A.jpg B.jpg --model {out / 'verifier'}",
            soft_wrap=True,
        )


def _precision(
    asked: Literal["auto", "float32", "bfloat16"], study: FaceStudy, data: Path | None, out: Path
) -> Precision:
    """The precision that was asked for, or that of the run in the folder, or the faster one."""
    if asked != "auto":
        return asked
    mark = out / "run.json"
    found = read_json(mark) if mark.exists() else None
    for precision in ("float32", "bfloat16"):
        if isinstance(found, dict) and found.get("precision") == precision:
            return precision
    from maxprune.studies.faces import faster_precision

    return faster_precision(study, data)


def _filled(study: FaceStudy, data: Path | None, out: Path, jobs: int) -> list[FaceCell]:
    """The table, once every piece of the study is done, with progress."""
    from maxprune.report.progress import Steps
    from maxprune.runs.parallel import run_all, usual_jobs
    from maxprune.studies.faces import pieces, read_table

    work = pieces(study, data)
    totals = {piece.name: piece.length() for piece in work}
    with Steps(terminal(stderr=True), sum(totals.values()), f"{len(work)} networks") as steps:
        run_all(
            work, out, jobs or usual_jobs(),
            lambda piece, done: steps.of(totals, piece.name, done),
        )  # fmt: skip
    return read_table(work, out)


def _show(cells: list[FaceCell], study: FaceStudy, out: Path, as_json: bool) -> None:
    from maxprune.report.faces import faces_plot, faces_table
    from maxprune.report.plain import as_text
    from maxprune.runs.environment import environment
    from maxprune.studies.faces import largest_free_share

    free = [largest_free_share([c for c in cells if c.network == way]) for way in study.ways]
    notes = [*study.notes(), *(_free(cell) for cell in free if cell is not None)]
    records = [cell.model_dump(mode="json") for cell in cells]
    about = {
        "format": 1, "study": "faces", "command": command_line(), "environment": environment(1),
        "settings": study.identity(), "notes": notes,
    }  # fmt: skip
    write_json(out / "faces.json", {**about, "records": records})
    write_text(out / "faces.svg", faces_plot(cells))
    table = faces_table(cells, "faces: face verification on LFW, View 2")
    write_text(out / "faces.txt", as_text(table, *notes))
    if as_json:
        print(json.dumps(records, indent=1))
        return
    console = terminal()
    console.print(table)
    for note in notes:
        console.print(note)
    console.print(f"\nWritten: {out / 'faces'}.json, .txt and .svg", soft_wrap=True)


def _free(cell: FaceCell) -> str:
    return (
        f"{cell.network}: {100 * cell.zeroed:.0f}% of the weights can be zero without a "
        f"significant loss for the people held out; on the tested pairs the EER is then "
        f"{cell.mean:.2f}% (p = {cell.p_value:.4f} against the network without maxout)."
    )
