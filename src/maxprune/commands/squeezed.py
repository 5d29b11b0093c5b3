"""`maxprune reproduce squeeze`: how small LeNet-5 goes, and what cutting it earns."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from maxprune.commands.grid_options import Repeated
from maxprune.commands.shared import AsJson, command_line, takes, tell_if_new, terminal
from maxprune.files import write_json, write_text


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
            "--plain/--no-plain", help="Once more without augmentation, which takes as long again."
        ),
    ] = True


@takes(Asked, out=Path("maxprune-small"))
def squeezed_command(asked: Asked, as_json: AsJson = False) -> None:
    """How small LeNet-5 goes on MNIST, and whether cutting beats training it small.

    It is cut by measured damage, step by step, with the uncut network as a teacher; at four sizes
    it is trained on and compared with the same architecture from random weights that sees as many
    pictures, with and without the teacher. Then single weights go, and files are coded. Writes
    small.json, .txt and .svg. About four hours a seed on one core, twice that with --plain.
    """
    from maxprune.data import load
    from maxprune.plural import plural
    from maxprune.report.plain import as_text
    from maxprune.report.progress import Steps
    from maxprune.report.squeezed import coded_table, dense_table, squeezed_plot
    from maxprune.runs.environment import environment
    from maxprune.runs.parallel import run_all, usual_jobs
    from maxprune.runs.workspace import claimed
    from maxprune.studies.squeezed import Recipe, SqueezedRun, cells

    load(asked.dataset, asked.data)  # missing or damaged data is said once, before anything starts
    recipe = Recipe().scaled(asked.scale)
    hows = (True, False) if asked.plain else (True,)
    runs = [
        SqueezedRun(seed, recipe, augmented, asked.dataset, asked.data)
        for augmented in hows
        for seed in range(asked.seeds)
    ]
    totals = {run.name: run.length() for run in runs}
    identity = {"study": "squeeze", "dataset": asked.dataset, "scale": asked.scale}
    tell_if_new(asked.out, asked.resume)
    with (
        claimed(asked.out, identity, asked.resume),
        Steps(terminal(stderr=True), sum(totals.values()), plural(len(runs), "run")) as steps,
    ):
        run_all(
            runs, asked.out, asked.jobs or usual_jobs(),
            lambda run, done: steps.of(totals, run.name, done),
        )  # fmt: skip
    found = cells(runs, asked.out)
    records = [cell.model_dump(mode="json") for cell in found]
    about = {
        "format": 1, "study": "squeeze", "dataset": asked.dataset, "command": command_line(),
        "environment": environment(1),
        "recipe": recipe.model_dump(mode="json"), "records": records,
    }  # fmt: skip
    tables = [make(found, how) for how in hows for make in (dense_table, coded_table)]
    write_json(asked.out / "small.json", about)
    write_text(asked.out / "small.txt", "\n".join(as_text(table) for table in tables))
    write_text(asked.out / "small.svg", squeezed_plot(found, asked.dataset == "mnist"))
    if as_json:
        typer.echo(json.dumps(records, indent=1))
        return
    console = terminal()
    console.print(*tables, sep="\n")
    console.print(f"Written: {asked.out / 'small'}.json, .txt and .svg", soft_wrap=True)
