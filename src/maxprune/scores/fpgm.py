"""Filter Pruning via Geometric Median: how far a filter is from all others (He et al. 2019)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from maxprune.plan import ChannelGroup
from maxprune.scores.readers import Scores, cuttable
from maxprune.scores.rows import makers, over_mean

EXACT = "donot_use_mm_for_euclid_dist"  # so that equal filters have equal distances


def fpgm(model: nn.Module, groups: Sequence[ChannelGroup]) -> Scores:
    """The sum of the distances to the other filters: what lies in their middle goes first.

    What is near the geometric median can be replaced by the others (He et al. 2019, section 3.3).
    Where several layers make the channels of a group, their sums add up; where the channels fall
    into parts, as in a grouped convolution, the others are those of the same part. Each group's
    scores are divided by their mean. Torch-Pruning 1.6 measures between magnitudes or squares of
    the weights, so that a filter and its negative are the same to it; here as in the paper between
    the weights.

    Args:
        model: the network.
        groups: as `channel_groups` finds them; those that cannot be cut are left out.

    Raises:
        StructureError: the groups are those of another network.
    """
    found = {}
    for group in cuttable(model, groups):
        total = torch.zeros(group.channels, dtype=torch.float64)
        for _, weights in makers(model, group):
            parts = weights.unflatten(0, (group.parts, -1))
            total += torch.cdist(parts, parts, compute_mode=EXACT).sum(2).flatten()
        found[group.name] = over_mean(total)
    return found
