"""Studies of several pieces of work: done side by side, written down, shown."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from maxprune.commands.shared import command_line, terminal
from maxprune.files import write_json, write_text

if TYPE_CHECKING:
    from rich.table import Table

    from maxprune.runs.parallel import Piece


def do_all(pieces: Sequence[Piece], out: Path, jobs: int, what: str) -> None:
    """Do what is not done yet, with progress.

    Args:
        pieces: of the work.
        out: folder of the study.
        jobs: processes side by side; 0 for one a core.
        what: the pieces in words, such as "3 seeds".
    """
    from maxprune.report.progress import Steps
    from maxprune.runs.parallel import run_all, usual_jobs

    totals = {piece.name: piece.length() for piece in pieces}
    with Steps(terminal(stderr=True), sum(totals.values()), what) as steps:
        run_all(
            pieces, out, jobs or usual_jobs(),
            lambda piece, done: steps.of(totals, piece.name, done),
        )  # fmt: skip


def tell(
    place: Path, about: dict[str, Any], records: list[Any], tables: Sequence[Table], plot: str,
    as_json: bool,
) -> None:  # fmt: skip
    """Write a study's figures, tables and plot, and show them.

    Args:
        place: of its files, without their endings.
        about: what the study is of.
        records: its figures.
        tables: the same to read.
        plot: the same to look at, as SVG.
        as_json: whether the figures are shown in place of the tables.
    """
    from maxprune.report.plain import as_text
    from maxprune.runs.environment import environment

    head = {"format": 1, **about, "command": command_line(), "environment": environment(1)}
    found = [record.model_dump(mode="json") for record in records]
    write_json(place.with_name(f"{place.name}.json"), head | {"records": found})
    write_text(place.with_name(f"{place.name}.txt"), "\n".join(as_text(table) for table in tables))
    write_text(place.with_name(f"{place.name}.svg"), plot)
    if as_json:
        typer.echo(json.dumps(found, indent=1))
        return
    console = terminal()
    console.print(*tables, sep="\n")
    console.print(f"Written: {place}.json, .txt and .svg", soft_wrap=True)
