"""What is counted of the maps that the next layers read, over all batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from maxprune.halving import in_halves
from maxprune.plan import ChannelGroup, Member
from maxprune.scores.readers import (
    Batches,
    Maps,
    NotFiniteError,
    naming,
    no_samples,
    paired,
    run,
    unpooled,
    watched,
)

T = TypeVar("T")


def seen(
    model: nn.Module, groups: Sequence[ChannelGroup], batches: Batches,
    count: Callable[[ChannelGroup, Maps], T],
) -> Iterator[tuple[str, T]]:  # fmt: skip
    """What is counted of every map of every group that is read, in front of any pooling.

    Args:
        model: the network; it is left as it was.
        groups: those that can be cut.
        batches: inputs and classes; these are not looked at. One that does not fit in memory is
            taken in parts, each counted once.
        count: of a group and its maps, (batch, channels, height, width).

    Yields:
        The name of a group and what was counted, once for each of its readers and batches.

    Raises:
        UsageError: no samples.
        StructureError: a layer reads NaN or infinity.
    """
    own: list[tuple[str, T]] = []

    def see(group: ChannelGroup, member: Member, maps: Maps) -> None:
        if not bool(maps.isfinite().all()):
            raise NotFiniteError(f"what layer {member.name!r} reads")
        own.append((group.name, count(group, maps)))

    def look(part: tuple[Tensor, Tensor]) -> tuple[list[tuple[str, T]], int]:
        own.clear()
        inputs[:] = [part[0]]
        run(model, part[0])
        return [*own], len(part[0])

    samples, inputs = 0, list[Tensor]()
    with naming(model, inputs), watched(model, groups, see), unpooled(), torch.inference_mode():
        for found, number in in_halves(paired(batches), look):
            yield from found
            samples += number
    if not samples:
        raise no_samples()
