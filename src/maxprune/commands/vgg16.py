"""`maxprune reproduce table3 | table4`: VGG16 with its published weights, on somebody's faces."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from maxprune.commands.grid_options import chosen_networks
from maxprune.commands.shared import command_line, takes, tell_if_new, terminal
from maxprune.errors import UsageError
from maxprune.files import write_json, write_text

if TYPE_CHECKING:
    from maxprune.report.progress import Steps
    from maxprune.verification_results import FaceCell


@dataclass(frozen=True)
class Vgg16:
    """Which networks, what they begin with, and what they are fine-tuned on."""

    network: Annotated[
        list[str] | None, typer.Option(help="mfc or mc; may be given twice. Default: both.")
    ] = None
    weights: Annotated[
        Path | None,
        typer.Option(
            help="VGG-Face: a file of Caffe, MatConvNet, torch or safetensors.", show_default=False
        ),
    ] = None
    pictures: Annotated[
        Path | None,
        typer.Option(
            help="Folder with train/PERSON/*.jpg, people who are not in LFW.", show_default=False
        ),
    ] = None
    epochs: Annotated[
        float,
        typer.Option(help="With the maxout and after each cut of neurons; a third at each rate."),
    ] = 3.0
    weight_epochs: Annotated[float, typer.Option(help="After each share of weights.")] = 1.0
    held: Annotated[
        int, typer.Option(min=2, help="People held out of the training, by whom things are chosen.")
    ] = 150
    seed: Annotated[int, typer.Option(min=0, help="Of order and people held out.")] = 0
    data: Annotated[
        Path | None, typer.Option(help="Folder that has lfw/. Default: $MAXPRUNE_DATA.")
    ] = None
    out: Annotated[Path, typer.Option(help="Folder for the results; both tables share one.")] = (
        Path("maxprune-vgg16")
    )
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what is in --out.")] = False


def tables(
    given: Vgg16, name: str, shares: tuple[float, ...], quiet: bool = False
) -> list[FaceCell]:
    """The cells of a table: trained, or read where an earlier run has done it.

    Args:
        given: the options.
        name: of the table, and of its files.
        shares: of weights.
        quiet: print nothing.

    Raises:
        UsageError: there are no weights or no pictures.
    """
    if given.weights is None or given.pictures is None:
        raise UsageError(
            f"{name} needs --weights FILE (the published VGG-Face) and --pictures DIR (faces to "
            "fine-tune on); table3 --accounting counts the parameters without either"
        )
    from maxprune.report.progress import Steps
    from maxprune.runs.workspace import claimed
    from maxprune.studies.faces.table import face_table
    from maxprune.studies.faces.vgg16 import Vgg16Study, run_vgg16

    networks = chosen_networks(given.network)
    tell_if_new(given.out, given.resume)
    cells: list[FaceCell] = []
    notes: list[str] = []
    identity = {"study": "vgg16", "seed": given.seed, "held": given.held}
    with (
        claimed(given.out, identity, given.resume),
        Steps(terminal(stderr=True), None, "all iterations") as steps,
    ):
        for network in networks:
            study = Vgg16Study(
                given.weights, given.pictures, network, given.epochs, given.weight_epochs, shares,
                given.held, given.seed,
            )  # fmt: skip
            told = partial(_told, steps, network)
            run, data, said = run_vgg16(study, given.data, given.out / network, told)
            cells += face_table([run], {run.fold: data})
            notes += [note for note in said if note not in notes]
    table = _write(cells, notes, name, given.out)
    if not quiet:
        console = terminal()
        console.print(table)
        for note in notes:
            console.print(note)
        console.print(f"Written: {given.out / name}.json, .txt and .svg", soft_wrap=True)
    return cells


def _told(steps: Steps, network: str, step: str, done: int, total: int) -> None:
    steps.report(f"{network} {step}", done, total)


def _write(cells: list[FaceCell], notes: list[str], name: str, out: Path) -> Table:
    """Write the files of a table, and give the table itself."""
    from maxprune.report.faces import faces_plot, faces_table
    from maxprune.report.plain import as_text
    from maxprune.runs.environment import environment

    records = [cell.model_dump(mode="json") for cell in cells]
    about = {
        "format": 1, "study": name, "command": command_line(), "environment": environment(1),
        "notes": notes,
    }  # fmt: skip
    write_json(out / f"{name}.json", {**about, "records": records})
    write_text(out / f"{name}.svg", faces_plot(cells))
    table = faces_table(cells, f"{name}: VGG16, all pairs of LFW")
    write_text(out / f"{name}.txt", as_text(table, *notes))
    return table


@takes(Vgg16)
def table4_command(given: Vgg16) -> None:
    """EER of VGG16-MFC and VGG16-MC at k = 1 with 10 to 98% of the parameters zeroed (Table 4).

    Takes the networks of table3 from the same --out (with --resume) or trains them.
    """
    from maxprune.studies.published import SHARES

    tables(given, "table4", SHARES)
