"""How the tables of face verification are written and shown."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maxprune.commands.shared import command_line, terminal
from maxprune.files import write_json, write_text

if TYPE_CHECKING:
    from maxprune.verification_results import FaceCell


def present(
    cells: Sequence[FaceCell], title: str, place: Path, notes: Sequence[str], as_json: bool,
    **about: Any,
) -> None:  # fmt: skip
    """Write PLACE.json, .txt and .svg, and print the table or the records.

    Args:
        cells: of the table.
        title: above it; the name of the study is that of the place.
        place: the files without their endings.
        notes: what has to be known of it.
        as_json: print the records.
        about: what else is to stand in the JSON file.
    """
    from maxprune.report.faces import faces_plot, faces_table
    from maxprune.report.plain import as_text
    from maxprune.runs.environment import environment

    records = [cell.model_dump(mode="json") for cell in cells]
    head = {"format": 1, "study": place.name, "command": command_line(), "notes": list(notes)}
    record = {**head, "environment": environment(1), **about, "records": records}
    write_json(place.with_name(f"{place.name}.json"), record)
    write_text(place.with_name(f"{place.name}.svg"), faces_plot(cells))
    table = faces_table(cells, title)
    write_text(place.with_name(f"{place.name}.txt"), as_text(table, *notes))
    if as_json:
        print(json.dumps(records, indent=1))
        return
    console = terminal()
    for part in (table, *notes):
        console.print(part)
    console.print(f"\nWritten: {place}.json, .txt and .svg", soft_wrap=True)
