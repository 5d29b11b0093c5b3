"""Wins where no maxout stands: how often a channel is the largest of its neighbours."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from maxprune.errors import UsageError
from maxprune.networks.maxout import Maxout, unit_sizes
from maxprune.plan import ChannelGroup
from maxprune.scores.readers import Batches, Maps, Scores, cuttable
from maxprune.scores.reduction import Reduce, alone
from maxprune.scores.seen import seen
from maxprune.scores.wins import WinCounts, wins_of


def channel_wins(
    model: nn.Module, groups: Sequence[ChannelGroup], batches: Batches, k: int = 4,
    reduce: Reduce = alone,
) -> Scores:  # fmt: skip
    """The relevance of maxout pruning, as if a maxout stood over k adjacent channels everywhere.

    A channel wins at a position of a sample where it is the first maximum of its unit, and that is
    above zero (Moya Rueda et al. 2017, section 4.1, whose maxout stays in the network while it is
    pruned). Looked at is what the next layers read, in front of any pooling.

    Args:
        model: the network; it is left as it was.
        groups: as `channel_groups` finds them; those that cannot be cut are left out.
        batches: inputs and classes; these are not looked at.
        k: neighbours in a unit; some have fewer where the channels do not divide by k.
        reduce: adds up over processes that have other batches, at least one each.

    Returns:
        For each channel of each group its wins by those that a channel of its unit has in the
        mean: 1 for neighbours that win alike.

    Raises:
        UsageError: no samples, or units of less than 2.
        StructureError: a layer reads NaN or infinity, or the groups are those of another network.
    """
    if k < 2:
        raise UsageError(f"a unit has at least 2 channels, not {k}")
    free = [group for group in cuttable(model, groups) if group.channels > 1]
    units = {group.name: Maxout(unit_sizes(group.channels, k)) for group in free}
    found: dict[str, WinCounts] = {}

    def count(group: ChannelGroup, maps: Maps) -> WinCounts:
        return wins_of(maps, units[group.name], above=0.0, margins=False)

    for name, counts in seen(model, free, batches, count):
        found[name] = found[name] + counts if name in found else counts
    sizes = {group.name: units[group.name].of_each(group.channels) for group in free}
    return {name: _relative(reduce(c.wins.cpu().clone()), sizes[name]) for name, c in found.items()}


def _relative(wins: Tensor, sizes: Sequence[int]) -> Tensor:
    """The wins of each channel by the mean over its unit; 0 in a unit that is never active."""
    each = torch.tensor(sizes)
    there = torch.arange(wins.shape[1]) < each[:, None]
    mean = wins.sum(1).clamp_min(1).double() / each
    return (wins / mean[:, None])[there]
