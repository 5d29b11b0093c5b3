"""A network that a search has tried."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from maxprune.runs.measured import Measured


@dataclass(frozen=True)
class Tried:
    """A network, the one it was made from, and how it was retrained.

    Args:
        measured: of it.
        bytes: of its file.
        model: it.
        base: the network it was made from.
        times: as long as how many retrainings.
        mild: whether on pictures that were augmented half as much, as is all that comes of it.
        fresh: whether from random weights, for as long as all retrainings of its base.
    """

    measured: Measured
    bytes: int
    model: nn.Module
    base: str
    times: float = 1.0
    mild: bool = False
    fresh: bool = False
