"""The size of the weights of a filter (Li et al. 2017)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from maxprune.errors import UsageError
from maxprune.plan import ChannelGroup
from maxprune.scores.readers import Scores, cuttable
from maxprune.scores.rows import makers, over_mean


def magnitude(model: nn.Module, groups: Sequence[ChannelGroup], norm: int = 1) -> Scores:
    """The norm of the weights that make each channel (Li et al. 2017, section 3.1).

    Where several layers make the channels of a group (a residual sum, or a depthwise convolution
    behind another), their norms add up. Each
    group's scores are divided by their mean, so that groups of other widths can be compared.

    Args:
        model: the network.
        groups: as `channel_groups` finds them; those that cannot be cut are left out.
        norm: 1 for the sum of magnitudes, 2 for the Euclidean norm.

    Raises:
        UsageError: another norm.
        StructureError: the groups are those of another network.
    """
    if norm not in (1, 2):
        raise UsageError(f"the norm is 1 or 2, not {norm!r}")
    return {
        group.name: over_mean(
            torch.stack([weights.norm(norm, dim=1) for _, weights in makers(model, group)]).sum(0)
        )
        for group in cuttable(model, groups)
    }
