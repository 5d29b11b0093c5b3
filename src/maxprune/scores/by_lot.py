"""Random scores: what a cut costs if nobody chooses; every other score has to beat it."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from maxprune.plan import ChannelGroup
from maxprune.scores.readers import Scores


def random_scores(groups: Sequence[ChannelGroup], seed: int = 0) -> Scores:
    """A number by lot for each channel.

    Args:
        groups: as `channel_groups` finds them; those that cannot be cut are left out.
        seed: of the lot.
    """
    generator = torch.Generator().manual_seed(seed)
    return {
        group.name: torch.rand(group.channels, generator=generator, dtype=torch.float64)
        for group in groups
        if not group.reason
    }
