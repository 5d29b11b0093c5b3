"""Average Percentage of Zeros: how often a neuron is silent (Hu et al. 2016)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from maxprune.errors import StructureError, UsageError
from maxprune.plan import ChannelGroup, Member
from maxprune.scores.readers import Scores, run, watched


def apoz(
    model: nn.Module, groups: Sequence[ChannelGroup], batches: Iterable[tuple[Tensor, Tensor]]
) -> Scores:
    """The share of values that are not zero, so 1 - APoZ: what is silent most goes first.

    Counted are all samples and positions of what the next layers read (Hu et al. 2016, eq. 1).
    It says nothing where no ReLU stands before them: then every channel has 1.

    Args:
        model: the network; it is left as it was.
        groups: as `channel_groups` finds them; those that cannot be cut are left out.
        batches: inputs and classes; these are not looked at.

    Raises:
        UsageError: no samples.
        StructureError: a layer reads NaN or infinity.
    """
    fired: dict[str, Tensor] = {}
    seen: dict[str, int] = {}

    def see(group: ChannelGroup, member: Member, maps: Tensor) -> None:
        if not bool(maps.isfinite().all()):
            raise StructureError(f"layer {member.name!r} reads NaN or infinity; train it again")
        counts = maps.count_nonzero((0, 2, 3)).cpu()
        fired[group.name] = fired.get(group.name, 0) + counts
        seen[group.name] = seen.get(group.name, 0) + maps.numel() // group.channels

    with watched(model, groups, see), torch.inference_mode():
        for x, _ in batches:
            run(model, x)
    if not fired:
        raise UsageError("there are no samples to score on")
    return {name: counts.double() / seen[name] for name, counts in fired.items()}
