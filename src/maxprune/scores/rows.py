"""The parameters that make each channel of a group, wherever they lie."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from maxprune.plan import ChannelGroup, Member
from maxprune.surgery.members import target
from maxprune.surgery.narrow import parameter_dim


def makers(
    model: nn.Module, group: ChannelGroup
) -> Iterator[tuple[str, Float[Tensor, "channels weights"]]]:
    """Every layer that makes the channels of a group, with the weights of each channel.

    Double precision, on the CPU. Biases and norms are not among them. Of an attention, whose
    queries, keys and values are one layer or several, a channel is a head and has many rows.
    """
    for layer in group.layers:
        own = [m for m in group.members if m.name == layer and m.side == "out"]
        weights = [
            found for leaf, found in pieces(model, group, own, lambda _, p: p) if leaf == "weight"
        ]
        yield layer, torch.cat(weights, 1)


def pieces(
    model: nn.Module,
    group: ChannelGroup,
    members: list[Member],
    value: Callable[[str, nn.Parameter], Tensor],
) -> Iterator[tuple[str, Float[Tensor, "channels numbers"]]]:
    """Some numbers for every parameter of members, by the channel that they belong to.

    Args:
        model: the network.
        group: whose channels.
        members: of the group, on their "out" or "along" side.
        value: called with a parameter's name and the parameter, gives a tensor of its shape.

    Yields:
        The parameter's name in its module ("" for a bare one), and (channels, numbers), double, on
        the CPU.
    """
    for member in members:
        owner = target(model, member.name)
        if isinstance(owner, nn.Parameter):
            found = value(member.name, owner).detach().movedim(parameter_dim(owner), 0)
            yield "", by_channel(found.double().cpu(), group, member)
            continue
        for leaf, parameter in owner.named_parameters(recurse=False):
            found = value(f"{member.name}.{leaf}".lstrip("."), parameter).detach()
            each = rows(owner, found) if found.dim() > 1 else found.double().cpu()
            yield leaf, by_channel(each, group, member)


def by_channel(
    found: Float[Tensor, "entries ..."], group: ChannelGroup, member: Member
) -> Float[Tensor, "channels numbers"]:
    """What belongs to each channel, of a row for every entry of a member."""
    own = found[member.start : member.start + group.channels * member.each]
    return own.reshape(group.channels, -1)


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
