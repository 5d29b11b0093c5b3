"""What the readers of a group's channels read: where a channel does whatever it does.

A channel takes effect where the next layers read it: behind batch norm, activation and pooling,
and in a residual network once for every layer that reads the sum. That is also where a removed
channel is missing, so everything that is measured of a channel is measured there.
"""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

from jaxtyping import Float
from torch import Tensor, nn

from maxprune.errors import StructureError
from maxprune.modes import device_of, evaluating
from maxprune.plan import ChannelGroup, Member

Scores: TypeAlias = dict[str, Float[Tensor, " channels"]]
Maps: TypeAlias = Float[Tensor, "batch channels height width"]
See: TypeAlias = Callable[[ChannelGroup, Member, Maps], None]


def cuttable(groups: Sequence[ChannelGroup]) -> list[ChannelGroup]:
    """The groups that can be cut."""
    return [group for group in groups if not group.reason]


def readers(group: ChannelGroup) -> list[Member]:
    """The members of a group that read its channels."""
    return [member for member in group.members if member.side == "in"]


@contextlib.contextmanager
def watched(model: nn.Module, groups: Sequence[ChannelGroup], see: See) -> Iterator[None]:
    """Show what every reader of every group reads, in evaluation mode, while this is open.

    Args:
        model: the network; what is set on it is undone.
        groups: as `channel_groups` finds them; those that cannot be cut are left out.
        see: called in every forward pass with a group, its reader and the channels' maps:
            (batch, channels, height, width). What has fewer dimensions has sides of length 1; a
            map that was flattened before a linear layer is a square again if it can be one.
    """
    handles = []
    try:
        for group in cuttable(groups):
            for member in readers(group):
                hook = functools.partial(_show, group=group, member=member, see=see)
                module = model.get_submodule(member.name)
                handles.append(module.register_forward_pre_hook(hook))
        with evaluating(model):
            yield
    finally:
        for handle in handles:
            handle.remove()


def _show(
    module: nn.Module, args: tuple[Any, ...], group: ChannelGroup, member: Member, see: See
) -> None:
    see(group, member, maps(module, args[0], member, group.channels))


def maps(module: nn.Module, x: Tensor, member: Member, channels: int) -> Maps:
    """The maps of a group's channels in what one of its readers reads."""
    if isinstance(module, nn.Linear):
        x = x.movedim(-1, 1)
    entries = x[:, member.start : member.start + channels * member.each]
    if member.each == 1:
        if entries.dim() < 3:
            return entries[:, :, None, None]
        space = entries.shape[2:]
        return entries.reshape(*entries.shape[:2], math.prod(space[:-1]), space[-1])
    found = entries.unflatten(1, (channels, member.each)).flatten(2)
    side = math.isqrt(found.shape[2])
    square = (side, side) if side * side == found.shape[2] else (1, found.shape[2])
    picture: Maps = found.unflatten(2, square)
    return picture


def run(model: nn.Module, inputs: Tensor) -> Tensor:
    """One forward pass where the network lives.

    Raises:
        StructureError: what it gives is no tensor.
    """
    out: object = model(inputs.to(device_of(model)))
    if not isinstance(out, Tensor):
        raise StructureError(
            f"the network {type(model).__name__} gives a {type(out).__name__}, not a tensor"
        )
    return out
