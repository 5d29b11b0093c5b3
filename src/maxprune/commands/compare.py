"""`maxprune compare`: every method on one network, at equal sizes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maxprune.commands.on_data import WithMaxouts
from maxprune.commands.shared import (
    AsJson,
    Out,
    command_line,
    names,
    numbers,
    takes,
    tell_if_new,
    terminal,
)
from maxprune.plural import plural

if TYPE_CHECKING:
    from maxprune.comparison.part import Part, Rows
    from maxprune.comparison.records import Comparison
    from maxprune.comparison.settings import Comparing
    from maxprune.data.samples import Splits


@dataclass(frozen=True)
class Asked(WithMaxouts):
    """The options of the command."""

    methods: Annotated[
        list[str] | None,
        typer.Option(
            help="maxout, any score of compress, torch-pruning-magnitude, -taylor, -lamp, -fpgm; "
            "the controls uncut (the whole network, retrained alike) and scratch (narrower by the "
            "same share everywhere, from random weights, trained for as many epochs in all); "
            "joined by commas. Default: all; scratch only for a network that is trained here.",
            show_default=False,
        ),
    ] = None
    sizes: Annotated[
        list[str] | None,
        typer.Option(
            help="Shares of the network's size that stay, each cut from the last; joined by commas "
            "(0.75,0.5,0.25).",
            show_default=False,
        ),
    ] = None
    by: Annotated[str, typer.Option(help="The size is counted in parameters or macs.")] = (
        "parameters"
    )
    seeds: Annotated[
        int, typer.Option(min=1, help="Seeds 0, 1, ... of weights, order, augmentation, lot.")
    ] = 3
    jobs: Annotated[
        int,
        typer.Option(
            min=0, help="Parts side by side, one thread each; 0: one a core, or one on CUDA."
        ),
    ] = 0
    out: Out = Path("maxprune-compare")

    def comparing(self) -> Comparing:
        """What is compared."""
        from maxprune.comparison.settings import COMPARED, SCRATCH, comparing_of

        epochs = self.first_epochs()
        able = self.builds() and epochs and self.fit is None
        methods = tuple(m for m in COMPARED if able or m != SCRATCH)
        methods = methods if self.methods is None else names("methods", self.methods)
        return comparing_of(
            **self.shared(), methods=methods, by=self.by,
            sizes=numbers("sizes", ",".join(self.sizes or ["0.75,0.5,0.25"]), "0.75,0.5,0.25"),
            train_epochs=epochs, train_rate=self.train_rate,
        )  # fmt: skip

    def part(self, comparing: Comparing, data: Splits, about: dict[str, Any]) -> Part:
        """What all parts of the work share; all have the pictures in memory, or none."""
        from maxprune.comparison.part import Part

        options = self.data_options()
        if data.streamed:
            options = replace(options, stream="yes")
        elif data.source is None:
            options = replace(options, stream="no", workers=0)
        return Part(
            network=self.network, data=self.data, comparing=comparing, seed=0,
            each=data.train.iterations(self.batch),
            weights=None if self.weights is None else str(self.weights), factory=self.factory,
            fit=self.fit, options=options, about=about,
        )  # fmt: skip


@takes(Asked, epochs=3.0)
def compare_command(asked: Asked, as_json: AsJson = False) -> None:
    """Take a network down to the same sizes by several methods, with equal retraining.

    The network is trained once a seed (or given with --weights), then each method cuts it to each
    size, and after every cut it is retrained alike: where several cuts lead to a size, as with a
    maxout, each gets its part of the epochs. Prints a table of test accuracies and writes
    comparison.json, .txt and .svg. Nothing is chosen on the test set: the order of the methods is
    that of their validation accuracy. A killed run goes on with --resume.

    maxprune compare my_net.py:build --data pictures --methods pls,taylor --sizes 0.5,0.25
    """
    from maxprune.comparison.compare import as_comparison, check_comparison
    from maxprune.report.progress import tell_waiting
    from maxprune.runs.code import of_code
    from maxprune.runs.identity import of_data, of_network
    from maxprune.runs.workspace import claimed
    from maxprune.train.waiting import Waiting, advice_of

    comparing = asked.comparing()
    network, fit, data = asked.opened()
    build = (lambda: network) if asked.builds() else None
    check_comparison(comparing, network, data, build, fit)
    about = {
        "network": of_network(network), "data": of_data(data),
        "code": of_code(network, fit, data.source), "stream": data.streamed or None,
    }  # fmt: skip
    part = asked.part(comparing, data, about)
    tell_if_new(asked.out, asked.resume)
    with claimed(asked.out, {**part.identity(), "command": command_line()}, asked.resume):
        found = _found(asked, part)
    result = as_comparison(
        comparing, data, asked.network,
        [rows.start for rows in found if rows.start is not None],
        [row for rows in found for row in rows.compared],
        {method: why for rows in found for method, why in rows.missing.items()},
        threads=1, command=command_line(),
    )  # fmt: skip
    waiting = Waiting(
        advice_of(data), sum(rows.waited for rows in found), sum(rows.passed for rows in found)
    )
    _show(result.with_waiting(waiting.share), asked.out, as_json)
    tell_waiting(terminal(stderr=True), waiting)


def _found(asked: Asked, part: Part) -> list[Rows]:
    """What every part has found, with progress."""
    from maxprune.comparison.part import all_parts, run_parts
    from maxprune.report.progress import Steps
    from maxprune.runs.parallel import usual_jobs

    parts = all_parts(part, asked.seeds)
    totals = {one.name: one.length() for one in parts}
    with Steps(terminal(stderr=True), sum(totals.values()), plural(len(parts), "part")) as steps:
        return run_parts(
            part,
            asked.seeds,
            asked.out,
            asked.jobs or usual_jobs(),
            lambda one, done: steps.of(totals, one.name, done),
        )


def _show(found: Comparison, out: Path, as_json: bool) -> None:
    """Write the files, and print the table or the record."""
    from maxprune.files import write_text
    from maxprune.report.comparison import comparison_plot, summary

    found.write(out / "comparison.json")
    write_text(out / "comparison.svg", comparison_plot(found))
    write_text(out / "comparison.txt", found.table())
    if as_json:
        typer.echo(found.model_dump_json(indent=1))
        return
    console = terminal()
    for part in summary(found):
        console.print(part)
    console.print(f"\nWritten: {out / 'comparison'}.json, .txt and .svg")
