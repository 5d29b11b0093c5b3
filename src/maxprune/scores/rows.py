"""The weights that make each channel of a group, wherever they lie."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from maxprune.plan import ChannelGroup, Member


def makers(model: nn.Module, group: ChannelGroup) -> Iterator[Float[Tensor, "channels weights"]]:
    """For every layer that makes the channels of a group, the weights of each channel.

    Double precision, on the CPU. Biases and norms are not among them. Of an attention, whose
    queries, keys and values are one layer or several, a channel is a head and has many rows.
    """
    modules = dict(model.named_modules())
    for layer in group.layers:
        module = modules[layer]
        found = rows(module, module.get_parameter("weight").detach())
        own = [m for m in group.members if m.name == layer and m.side == "out"]
        yield torch.cat([by_channel(found, group, member) for member in own], 1)


def by_channel(
    found: Float[Tensor, "entries ..."], group: ChannelGroup, member: Member
) -> Float[Tensor, "channels numbers"]:
    """What belongs to each channel, of a row for every entry of a member."""
    entries = member.entries(torch.arange(group.channels))
    return found[entries].reshape(group.channels, -1)


def rows(module: nn.Module, weight: Tensor) -> Float[Tensor, "neurons weights"]:
    """A row for every neuron of a layer, of a tensor like its weight; double, on the CPU."""
    weight = weight.double().cpu()
    if isinstance(module, nn.Embedding):
        return weight.T
    if isinstance(module, _ConvNd) and module.transposed:
        parts = weight.unflatten(0, (module.groups, -1))  # (groups, in / groups, out / groups, ...)
        found: Tensor = parts.transpose(1, 2).flatten(0, 1).flatten(1)
        return found
    return weight.flatten(1)


def over_mean(scores: Float[Tensor, " channels"]) -> Float[Tensor, " channels"]:
    """Scores of a group divided by their mean, so that groups of other widths can be compared."""
    return scores / scores.mean().clamp_min(torch.finfo(torch.float64).tiny)
