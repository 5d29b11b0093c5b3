"""Filter Pruning via Geometric Median: how far a filter is from all others (He et al. 2019)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from maxprune.plan import ChannelGroup
from maxprune.scores.readers import Scores, cuttable
from maxprune.scores.rows import makers, over_mean


def fpgm(model: nn.Module, groups: Sequence[ChannelGroup]) -> Scores:
    """The sum of the distances to the other filters: what lies in their middle goes first.

    What is near the geometric median can be replaced by the others (He et al. 2019, eq. 5). Where
    several layers make the channels of a group, their sums add up; each group's scores are divided
    by their mean. Torch-Pruning 1.6 measures between magnitudes or squares of the weights, so that
    a filter and its negative are the same to it; here as in the paper between the weights.

    Args:
        model: the network.
        groups: as `channel_groups` finds them; those that cannot be cut are left out.
    """
    return {
        group.name: over_mean(
            torch.stack([torch.cdist(w, w).sum(1) for w in makers(model, group)]).sum(0)
        )
        for group in cuttable(groups)
    }
