"""The size of the weights (Li et al. 2017), and chance, the score that every other has to beat."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from maxprune.errors import UsageError
from maxprune.plan import ChannelGroup


def magnitude(
    model: nn.Module, groups: Sequence[ChannelGroup], norm: int = 1
) -> dict[str, Float[Tensor, " channels"]]:
    """The norm of the weights that make each channel (Li et al. 2017, section 3.1).

    Where several layers make the channels of a group (a residual sum), their norms add up. Each
    group's scores are divided by their mean, so that groups of other widths can be compared.

    Args:
        model: the network.
        groups: as `channel_groups` finds them; those that cannot be cut are left out.
        norm: 1 for the sum of magnitudes, 2 for the Euclidean norm.

    Raises:
        UsageError: another norm.
    """
    if norm not in (1, 2):
        raise UsageError(f"the norm is 1 or 2, not {norm!r}")
    modules = dict(model.named_modules())
    scores = {}
    for group in groups:
        if group.reason:
            continue
        total = torch.zeros(group.channels, dtype=torch.float64)
        for layer in group.layers:
            total += _weights(modules[layer], group, layer).norm(norm, dim=1).cpu()
        scores[group.name] = total / total.mean().clamp_min(torch.finfo(torch.float64).tiny)
    return scores


def chance(groups: Sequence[ChannelGroup], seed: int = 0) -> dict[str, Float[Tensor, " channels"]]:
    """A number by lot for each channel: what a cut costs if nobody chooses.

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


def _weights(
    module: nn.Module, group: ChannelGroup, layer: str
) -> Float[Tensor, "channels weights"]:
    """The weights that make each channel of a group in one layer; several rows for a head."""
    rows, channels = _rows(module), torch.arange(group.channels)
    own = [m for m in group.members if m.name == layer and m.side == "out"]
    entries = [m.entries(channels).to(rows.device) for m in own]
    return torch.cat([rows[e].unflatten(0, (group.channels, -1)).flatten(1) for e in entries], 1)


def _rows(module: nn.Module) -> Float[Tensor, "neurons weights"]:
    """The weights of each neuron of a layer, in double precision."""
    weight: Tensor = module.get_parameter("weight").detach().double()
    if isinstance(module, nn.Embedding):
        return weight.T
    if isinstance(module, _ConvNd) and module.transposed:
        parts = weight.unflatten(0, (module.groups, -1))  # (groups, in / groups, out / groups, ...)
        rows: Tensor = parts.transpose(1, 2).flatten(0, 1).flatten(1)
        return rows
    return weight.flatten(1)
