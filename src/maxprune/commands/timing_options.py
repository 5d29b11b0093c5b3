"""The options of all commands that time networks: in which engines, and for how long."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maxprune.commands.shared import names
from maxprune.naming import as_options

if TYPE_CHECKING:
    from maxprune.runtime import Bench


@dataclass(frozen=True, kw_only=True)
class Timed:
    """In which engines networks run, and how they are timed there."""

    engine: Annotated[
        list[str] | None,
        typer.Option(
            help="torch, compiled (torch.compile), onnx (ONNX Runtime), sparse (compressed sparse "
            "rows, for a network with zeros): give it again, or join them by commas."
        ),
    ] = None
    threads: Annotated[int, typer.Option(help="Threads of every engine.")] = 1
    seconds: Annotated[
        float, typer.Option(help="For each network, engine and batch, at least 3 passes a round.")
    ] = 2.0
    rounds: Annotated[int, typer.Option(help="In each of them all networks have a turn.")] = 5
    device: Annotated[
        str, typer.Option(help="cpu, cuda (timed by events on the device), or auto.")
    ] = "auto"

    def settings(self, **own: Any) -> Bench:
        """How to measure.

        Args:
            own: settings that other commands do not have.

        Raises:
            UsageError: one is out of its range.
        """
        from maxprune.runtime import Bench

        shared: dict[str, Any] = {
            "engines": names("engine", self.engine), "threads": self.threads,
            "seconds": self.seconds, "rounds": self.rounds, "device": self.device,
        }  # fmt: skip
        with as_options(batches="batch", engines="engine"):
            return Bench(**shared, **own)
