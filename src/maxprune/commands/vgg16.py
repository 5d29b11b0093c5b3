"""`maxprune reproduce table3 | table4`: VGG16 with its published weights, on somebody's faces."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maxprune.commands.face_tables import present
from maxprune.commands.grid_options import chosen_networks
from maxprune.commands.shared import AsJson, command_line, own_folder, takes, tell_if_new, terminal
from maxprune.errors import UsageError

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
    out: Annotated[
        Path,
        typer.Option(callback=own_folder, help="Folder for the results; both tables share one."),
    ] = Path("maxprune-vgg16")
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what is in --out.")] = False


def tables(given: Vgg16, name: str, shares: tuple[float, ...], as_json: bool) -> None:
    """Fill a table, or read what an earlier run has done; write and print it.

    Args:
        given: the options.
        name: of the table, and of its files.
        shares: of weights.
        as_json: print the records.

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

    tell_if_new(given.out, given.resume)
    cells: list[FaceCell] = []
    notes: list[str] = []
    identity = {"study": "vgg16", "command": command_line(), "seed": given.seed, "held": given.held}
    with (
        claimed(given.out, identity, given.resume),
        Steps(terminal(stderr=True), None, "all iterations") as steps,
    ):
        for network in chosen_networks(given.network):
            study = Vgg16Study(
                given.weights, given.pictures, network, given.epochs, given.weight_epochs, shares,
                given.held, given.seed,
            )  # fmt: skip
            told = partial(_told, steps, network)
            run, data, said = run_vgg16(study, given.data, given.out / network, told)
            cells += face_table([run], {run.fold: data})
            notes += [note for note in said if note not in notes]
    present(cells, f"{name}: VGG16, all pairs of LFW", given.out / name, notes, as_json)


def _told(steps: Steps, network: str, step: str, done: int, total: int) -> None:
    steps.report(f"{network} {step}", done, total)


@takes(Vgg16)
def table4_command(given: Vgg16, as_json: AsJson = False) -> None:
    """EER of VGG16-MFC and VGG16-MC at k = 1 with 10 to 98% of the parameters zeroed (Table 4).

    Takes the networks of table3 from the same --out (with --resume) or trains them.
    """
    from maxprune.studies.published import SHARES

    tables(given, "table4", SHARES, as_json)
