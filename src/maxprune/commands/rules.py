"""`maxprune reproduce rules`: the paper's rule for maxout units against others, at equal size."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from maxprune.commands.grid_options import Seeded
from maxprune.commands.shared import AsJson, command_line, takes, tell_if_new, terminal
from maxprune.files import write_json, write_text


@dataclass(frozen=True, kw_only=True)
class Asked(Seeded):
    """The options of the command."""

    rule: Annotated[
        list[str] | None,
        typer.Option(
            help="One of the rules by its name in the table, with the paper's; may be repeated. "
            "Default: all.",
            show_default=False,
        ),
    ] = None


@takes(Asked, iterations=3000, out=Path("maxprune-rules"))
def rules_command(asked: Asked, as_json: AsJson = False) -> None:
    """Which neurons of maxout units should go: the paper's rule and others, at equal size.

    LeNet-5 with 128 units: by wins, share or margin; of every unit or over all of them; in one
    step or several; from 2, 4 or 8 neurons a unit; in one layer or two; and by lot. Each is
    retrained alike and compared with the paper's rule at the same size. Writes rules.json, .txt
    and .svg. About 25 minutes a seed on one core.
    """
    from maxprune.data import load
    from maxprune.plural import plural
    from maxprune.report.plain import as_text
    from maxprune.report.progress import Steps
    from maxprune.report.rules import rule_plot, rule_table
    from maxprune.runs.environment import environment
    from maxprune.runs.parallel import run_all, usual_jobs
    from maxprune.runs.workspace import claimed
    from maxprune.studies.recipe import OURS
    from maxprune.studies.rules import RuleRun, cells, chosen

    load(asked.dataset, asked.data)  # missing or damaged data is said once, before anything starts
    training = OURS.model_copy(update={"iterations": asked.iterations})
    ways = chosen(asked.rule or ())
    how = (training, asked.dataset, asked.data, ways)
    runs = [RuleRun(seed, *how) for seed in range(asked.seeds)]
    totals = {run.name: run.length() for run in runs}
    identity = {
        "study": "rules", "dataset": asked.dataset, "training": training.model_dump(),
    }  # fmt: skip
    tell_if_new(asked.out, asked.resume)
    with (
        claimed(asked.out, identity, asked.resume),
        Steps(terminal(stderr=True), sum(totals.values()), plural(len(runs), "seed")) as steps,
    ):
        run_all(
            runs, asked.out, asked.jobs or usual_jobs(),
            lambda run, done: steps.of(totals, run.name, done),
        )  # fmt: skip
    found = cells(runs, asked.out)
    records = [cell.model_dump(mode="json") for cell in found]
    about = {
        "format": 1, "study": "rules", "dataset": asked.dataset, "command": command_line(),
        "environment": environment(1),
        "records": records,
    }  # fmt: skip
    table = rule_table(found, f"Rules for maxout units, LeNet-5 on {asked.dataset}")
    write_json(asked.out / "rules.json", about)
    write_text(asked.out / "rules.txt", as_text(table))
    write_text(asked.out / "rules.svg", rule_plot(found))
    if as_json:
        typer.echo(json.dumps(records, indent=1))
        return
    console = terminal()
    console.print(table)
    console.print(f"Written: {asked.out / 'rules'}.json, .txt and .svg", soft_wrap=True)
