"""`maxprune diff`: what was cut between two saved models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from maxprune.commands.shared import AsJson, Factory, show

Folder = Annotated[
    Path, typer.Argument(help="A saved model: folder or .maxprune file.", show_default=False)
]


def diff_command(
    before: Folder,
    after: Folder,
    factory: Factory = None,
    every: Annotated[
        bool, typer.Option("--all", help="Show all indices, and layers that were not cut.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Which neurons the second network lacks, by their number in the network as it was built.

    maxprune diff out/steps/unpruned out/model
    """
    from maxprune.difference import diff
    from maxprune.report.difference import difference_tables
    from maxprune.store.source import find_named, look_here

    with look_here():
        found = diff(before, after, None if factory is None else find_named(factory))
    show(found, lambda: difference_tables(found, every), as_json)
