"""Progress of long work: bars with the time left in a terminal, a line a step elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from maxprune.plural import plural
from maxprune.train.loop import TICK_EVERY
from maxprune.train.waiting import Waiting


class MeasuredStep(Protocol):
    """What a finished step must tell; see `runs.measured.Measured`."""

    name: str
    parameters: int
    nonzero: int
    accuracy: float


class Steps:
    """Shows how far each of several parts of one piece of work is, and the time left for all.

    Args:
        console: where to.
        total: iterations in all, None where nobody knows; parts report theirs.
        title: what is being done.
        unit: what a part's length is counted in.
        waiting: how long trainings wait for their data, which is shown; None for no trainings.
    """

    def __init__(
        self,
        console: Console,
        total: int | None,
        title: str,
        unit: str = "iteration",
        waiting: Waiting | None = None,
    ) -> None:
        self.console, self.total, self.unit = console, total, unit
        self.waiting, self.advised = waiting, False
        self.bars = Progress(
            TextColumn("{task.description:<22}"),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[waiting]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self.whole = self.bars.add_task(title, total=total, waiting="")
        self.parts: dict[str, tuple[TaskID, int]] = {}
        self.spoken = self.started = time.monotonic()
        self.skipped = 0

    def __enter__(self) -> Steps:
        self.bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.bars.stop()

    def report(self, name: str, done: int, total: int) -> None:
        """A part is `done` of `total` iterations; a finished part's bar goes away."""
        if name not in self.parts:
            self.parts[name] = self._bar(name, total), 0
        task, before = self.parts[name]
        if done - before > TICK_EVERY:  # a larger jump was done by an earlier run
            self.skipped += done - before
        self.parts[name] = task, done
        self.bars.update(task, completed=done, visible=done < total)
        finished = sum(count for _, count in self.parts.values())
        self.bars.update(self.whole, completed=finished, waiting=self._waits())
        if not self.console.is_terminal and done > before:
            self._say(name, done, total, finished)
        if self.waiting is not None and not self.advised:
            self.advised = tell_waiting(self.console, self.waiting)

    def of(self, totals: Mapping[str, int], name: str, done: int) -> None:
        """A part, whose total is known by its name, is `done`; never more than that total."""
        self.report(name, min(done, totals[name]), totals[name])

    def finished(self, step: MeasuredStep) -> None:
        """A step of a network being pruned is done: a line that stays."""
        self.console.print(
            f"{step.name:<12}{step.parameters:>12,} parameters, {step.nonzero:>9,} of them not zero"
            f"{step.accuracy:>8.2f}% right",
            highlight=False,
        )

    def _bar(self, name: str, total: int) -> TaskID:
        return self.bars.add_task(f"  {name}", total=total, waiting="")

    def _waits(self) -> str:
        """The share of the time in which trainings wait for their data."""
        share = None if self.waiting is None else self.waiting.share
        return "" if share is None else f"waiting for data {share:.0%}"

    def _say(self, name: str, done: int, total: int, finished: int) -> None:
        """Without a terminal: a line when a part ends, and every minute."""
        now = time.monotonic()
        if done < total and now - self.spoken < 60:
            return
        self.spoken = now
        passed = now - self.started
        trained = finished - self.skipped
        whole = ""
        if self.total:
            left = passed * (self.total - finished) / trained if trained else 0
            whole = f" all: {finished / self.total:.0%}," + f" {passed:.0f} s"
            whole += f", about {left:.0f} s left" if trained else ""
        else:
            whole = f" {passed:.0f} s"
        self.console.print(
            f"{name}: {done:,} of {plural(total, self.unit)};{whole}"
            + (f"; {self._waits()}" if self._waits() else ""),
            highlight=False,
        )


def tell_waiting(console: Console, waiting: Waiting) -> bool:
    """Say what to do, if there is something, where much of the time is spent waiting for data."""
    if not waiting.is_much or not waiting.advice:
        return False
    console.print(
        f"{waiting.share:.0%} of the training's time is spent waiting for data: {waiting.advice}",
        soft_wrap=True,
        highlight=False,
    )
    return True
