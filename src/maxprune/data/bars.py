"""The progress of what reads data: on standard error, nothing where that is not a terminal."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

Tick = Callable[[int, int | None], object]
"""Told how much is there, and of how much; None where nobody knows."""


@contextlib.contextmanager
def bar(name: str, *columns: ProgressColumn) -> Iterator[Tick]:
    """A progress bar while this is open; it is gone afterwards.

    Args:
        name: of what is read.
        columns: behind the bar; by default how many of how many, and the time left.
    """
    console = Console(stderr=True, markup=False)
    behind = columns or (MofNCompleteColumn(), TimeRemainingColumn())
    off = not console.is_terminal
    shown = (TextColumn(name, markup=False), BarColumn(), *behind)
    with Progress(*shown, console=console, transient=True, disable=off) as progress:
        task = progress.add_task(name, total=None)
        yield lambda there, total: progress.update(task, completed=there, total=total)
