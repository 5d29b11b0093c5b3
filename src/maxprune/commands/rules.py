"""`maxprune reproduce rules`: the paper's rule for maxout units against others, at equal size."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from maxprune.commands.grid_options import Seeded
from maxprune.commands.shared import AsJson, takes, tell_if_new
from maxprune.commands.studied import do_all, tell


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
    from maxprune.report.rules import rule_plot, rule_table
    from maxprune.runs.workspace import claimed
    from maxprune.studies.recipe import OURS
    from maxprune.studies.rules import RuleRun, cells, chosen

    load(asked.dataset, asked.data)  # missing or damaged data is said once, before anything starts
    training = OURS.model_copy(update={"iterations": asked.iterations})
    ways = chosen(asked.rule or ())
    how = (training, asked.dataset, asked.data, ways)
    runs = [RuleRun(seed, *how) for seed in range(asked.seeds)]
    about = {"study": "rules", "dataset": asked.dataset}
    tell_if_new(asked.out, asked.resume)
    with claimed(asked.out, about | {"training": training.model_dump()}, asked.resume):
        do_all(runs, asked.out, asked.jobs, plural(len(runs), "seed"))
    found = cells(runs, asked.out)
    table = rule_table(found, f"Rules for maxout units, LeNet-5 on {asked.dataset}")
    tell(asked.out / "rules", about, found, [table], rule_plot(found), as_json)
