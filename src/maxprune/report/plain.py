"""What all tables of the terminal share: a rule under the header, nothing around."""

from __future__ import annotations

import io

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text


def plain_table(title: str = "", caption: str = "", between: int = 1) -> Table:
    """A table without columns.

    Args:
        title: above it, bold.
        caption: below it.
        between: spaces between two columns.
    """
    return Table(
        title=Text(title, style="bold") if title else None,
        caption=Text(caption) if caption else None,
        box=box.SIMPLE_HEAD, show_edge=False, padding=(0, between, 0, 0),
        title_justify="left", caption_justify="left",
    )  # fmt: skip


def figures(table: Table, *headers: str) -> None:
    """Add columns of figures, which stand on the right and never wrap."""
    for header in headers:
        table.add_column(header, justify="right", no_wrap=True)


def as_text(*parts: RenderableType, width: int = 100) -> str:
    """What a terminal of so many columns would show, without colours: for a file."""
    console = Console(
        width=width, record=True, file=io.StringIO(), markup=False, emoji=False, highlight=False
    )
    for part in parts:
        console.print(part)
    return console.export_text()
