"""Network Trimming: how often a neuron is silent, its Average Percentage of Zeros (APoZ)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from maxprune.halving import in_halves
from maxprune.plan import ChannelGroup, Member
from maxprune.scores.readers import (
    Batches,
    NotFiniteError,
    Scores,
    cuttable,
    naming,
    no_samples,
    paired,
    run,
    unpooled,
    watched,
)
from maxprune.scores.reduction import Reduce, alone


def apoz(
    model: nn.Module, groups: Sequence[ChannelGroup], batches: Batches, reduce: Reduce = alone
) -> Scores:
    """The share of values that are not zero, so 1 - APoZ: what is silent most goes first.

    Counted are all samples and positions (Hu et al. 2016, eq. 1) of what the next layers read, in
    front of any pooling: behind the ReLU, as in the paper.

    Args:
        model: the network; it is left as it was.
        groups: as `channel_groups` finds them; those that cannot be cut are left out.
        batches: inputs and classes; these are not looked at.
        reduce: adds up over processes that have other batches, at least one each.

    Returns:
        A score for each channel of each group that has a zero anywhere; of one that has none, as
        in a network without ReLU, it has nothing to say.

    Raises:
        UsageError: no samples.
        StructureError: a layer reads NaN or infinity, or the groups are those of another network.
    """
    free = cuttable(model, groups)
    fired: dict[str, Tensor] = {}
    seen: dict[str, int] = {}
    own: list[tuple[str, Tensor, int]] = []

    def see(group: ChannelGroup, member: Member, maps: Tensor) -> None:
        if not bool(maps.isfinite().all()):
            raise NotFiniteError(f"what layer {member.name!r} reads")
        counts = maps.count_nonzero((0, 2, 3)).cpu()
        own.append((group.name, counts, maps.numel() // group.channels))

    def look(part: tuple[Tensor, Tensor]) -> tuple[list[tuple[str, Tensor, int]], int]:
        own.clear()
        inputs[:] = [part[0]]
        run(model, part[0])
        return [*own], len(part[0])

    samples, inputs = 0, list[Tensor]()
    with naming(model, inputs), watched(model, free, see), unpooled(), torch.inference_mode():
        for found, count in in_halves(paired(batches), look):
            for name, counts, values in found:
                fired[name] = fired.get(name, 0) + counts
                seen[name] = seen.get(name, 0) + values
            samples += count
    if not samples:
        raise no_samples()
    scores = {
        name: reduce(counts).double() / int(reduce(torch.tensor(seen[name])))
        for name, counts in fired.items()
    }
    return {name: each for name, each in scores.items() if float(each.min()) < 1}
