"""`maxprune reproduce squeeze`: how small LeNet-5 goes, and what cutting it earns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from maxprune.commands.grid_options import Repeated
from maxprune.commands.shared import AsJson, takes, tell_if_new
from maxprune.commands.studied import do_all, tell


@dataclass(frozen=True, kw_only=True)
class Asked(Repeated):
    """The options of the command."""

    scale: Annotated[
        float,
        typer.Option(min=0.001, help="All trainings this many times as long: 0.1 for a look."),
    ] = 1.0
    plain: Annotated[
        bool,
        typer.Option(
            "--plain/--no-plain",
            help="Once more without augmentation, for the cut networks alone.",
        ),
    ] = True


@takes(Asked, out=Path("maxprune-small"))
def squeezed_command(asked: Asked, as_json: AsJson = False) -> None:
    """How small LeNet-5 goes on MNIST, and whether cutting beats training it small.

    It is cut by measured damage, step by step, with the uncut network as a teacher; at four sizes
    it is trained on and compared with the same architecture from random weights that sees as many
    pictures, with and without the teacher. Then single weights go, and files are coded. Writes
    small.json, .txt and .svg. It takes hours a seed, and goes on with --resume.
    """
    from maxprune.data import load
    from maxprune.plural import plural
    from maxprune.report.squeezed import coded_table, dense_table, squeezed_plot
    from maxprune.runs.workspace import claimed
    from maxprune.studies.squeezed import Recipe, SqueezedRun, cells

    load(asked.dataset, asked.data)  # missing or damaged data is said once, before anything starts
    recipe = Recipe().scaled(asked.scale)
    hows = (True, False) if asked.plain else (True,)
    runs = [
        SqueezedRun(
            seed,
            recipe.model_copy(update={"beside": augmented}),
            augmented,
            asked.dataset,
            asked.data,
        )
        for augmented in hows
        for seed in range(asked.seeds)
    ]
    about: dict[str, object] = {"study": "squeeze", "dataset": asked.dataset}
    tell_if_new(asked.out, asked.resume)
    with claimed(asked.out, about | {"scale": asked.scale}, asked.resume):
        do_all(runs, asked.out, asked.jobs, plural(len(runs), "run"))
    found = cells(runs, asked.out)
    about["recipe"] = recipe.model_dump(mode="json", exclude={"beside"})
    tables = [make(found, how) for how in hows for make in (dense_table, coded_table)]
    plot = squeezed_plot(found, asked.dataset == "mnist")
    tell(asked.out / "small", about, found, tables, plot, as_json)
