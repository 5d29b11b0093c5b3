"""Network Slimming: the factor that batch norm gives a channel (Liu et al. 2017)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from maxprune.plan import ChannelGroup
from maxprune.scores.readers import Scores, cuttable
from maxprune.scores.rows import pieces
from maxprune.surgery.chain import BATCH_NORMS


def bn_scale(model: nn.Module, groups: Sequence[ChannelGroup]) -> Scores:
    """The magnitude of the factor of batch norm; its mean, where a channel has several.

    As it is, over all layers (section 3 there: one threshold for the whole network); Torch-Pruning
    divides each layer's factors by their mean. It is meant for networks that were trained with a
    penalty on these factors.

    Args:
        model: the network.
        groups: as `channel_groups` finds them; those that cannot be cut are left out.

    Returns:
        A score for each channel of each group that passes a batch norm with factors.

    Raises:
        StructureError: the groups are those of another network.
    """
    found = {}
    for group in cuttable(model, groups):
        norms = [
            member
            for member in group.members
            if member.side == "along" and isinstance(_module(model, member.name), BATCH_NORMS)
        ]
        parts = pieces(model, group, norms, lambda _, p: p.abs())
        factors = [factor for leaf, factor in parts if leaf == "weight"]
        if factors:
            found[group.name] = torch.cat(factors, 1).mean(1)
    return found


def _module(model: nn.Module, name: str) -> nn.Module | None:
    return dict(model.named_modules()).get(name)
