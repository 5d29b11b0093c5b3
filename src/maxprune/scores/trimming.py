"""Network Trimming: how often a neuron is silent, its Average Percentage of Zeros (APoZ)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from maxprune.plan import ChannelGroup
from maxprune.scores.readers import Batches, Maps, Scores, cuttable
from maxprune.scores.reduction import Reduce, alone
from maxprune.scores.seen import seen


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
    fired: dict[str, Tensor] = {}
    values: dict[str, int] = {}

    def count(group: ChannelGroup, maps: Maps) -> tuple[Tensor, int]:
        return maps.count_nonzero((0, 2, 3)).cpu(), maps.numel() // group.channels

    for name, (counts, number) in seen(model, cuttable(model, groups), batches, count):
        fired[name] = fired.get(name, 0) + counts
        values[name] = values.get(name, 0) + number
    scores = {
        name: reduce(counts).double() / int(reduce(torch.tensor(values[name])))
        for name, counts in fired.items()
    }
    return {name: each for name, each in scores.items() if float(each.min()) < 1}
