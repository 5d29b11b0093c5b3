"""What the loss does without a neuron, by its derivative: skeletonization and Taylor expansion.

Every channel gets a gate, a factor of 1 in front of all that read it. Minus the derivative of the
loss by the gate is, to first order, the loss without the channel less that with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from maxprune.errors import StructureError
from maxprune.modes import device_of
from maxprune.plan import ChannelGroup, Member
from maxprune.scores.readers import (
    Batches,
    Scores,
    cuttable,
    differentiable,
    first_of,
    gradients,
    readers,
)
from maxprune.scores.reduction import Reduce, alone, summed


def skeletonization(
    model: nn.Module, groups: Sequence[ChannelGroup], batches: Batches, reduce: Reduce = alone
) -> Scores:
    """How much the loss would grow without a channel (Mozer and Smolensky 1989, section 2).

    The mean over all samples; a channel that does harm has a negative relevance and goes first.
    The loss is cross entropy. Its slope vanishes where a network fits its training samples, which
    is why they take the sum of absolute errors for the relevance.

    Args:
        model: a classifier; it is not changed.
        groups: as `channel_groups` finds them; those that cannot be cut are left out.
        batches: inputs and classes.
        reduce: adds up over processes that have other batches, at least one each.

    Raises:
        UsageError: no samples, or classes that are none.
        StructureError: the loss is not finite, a layer that reads a channel is not called, or the
            groups are those of another network.
    """
    total: Scores = {}
    samples = 0
    for slopes, count in _slopes(model, groups, batches):
        total = {name: total.get(name, 0) - slope for name, slope in slopes.items()}
        samples += count
    total, samples = summed(total, samples, reduce)
    return {name: relevance / samples for name, relevance in total.items()}


def taylor(
    model: nn.Module, groups: Sequence[ChannelGroup], batches: Batches, reduce: Reduce = alone
) -> Scores:
    """The squared change of the loss without a channel, to first order (Molchanov et al. 2019).

    Their eq. 8 with a gate behind every layer: the mean over minibatches of the squared derivative
    of the mean loss. Torch-Pruning's Taylor score looks at single weights and leaves out the batch
    norms; `library` asks it.

    The arguments and errors are those of `skeletonization`.
    """
    total: Scores = {}
    steps = 0
    for slopes, count in _slopes(model, groups, batches):
        total = {n: total.get(n, 0) + (slope / count).square() for n, slope in slopes.items()}
        steps += 1
    total, steps = summed(total, steps, reduce)
    return {name: squares / steps for name, squares in total.items()}


def _slopes(
    model: nn.Module, groups: Sequence[ChannelGroup], batches: Batches
) -> Iterator[tuple[Scores, int]]:
    """For every batch, the derivatives of the summed loss by all gates, and its samples."""
    free = cuttable(model, groups)
    network = differentiable(model, frozen=True)
    gates = _gates(network, free)
    for found, count in gradients(network, batches, [*gates.values()]):
        slopes = {}
        for name, slope in zip(gates, found, strict=True):
            if slope is None:
                raise StructureError(f"what reads {name!r} is not called; skip that layer")
            slopes[name] = slope.double().cpu()
        yield slopes, count


def _gates(model: nn.Module, groups: Sequence[ChannelGroup]) -> dict[str, Tensor]:
    """A gate for every channel, multiplied for good into whatever its readers read."""
    device = device_of(model)
    gates: dict[str, Tensor] = {}
    for group in groups:
        gates[group.name] = torch.ones(group.channels, device=device, requires_grad=True)
        for member in readers(group):
            hook = _gate(gates[group.name], member)
            model.get_submodule(member.name).register_forward_pre_hook(hook)
    return gates


def _gate(gate: Tensor, member: Member) -> Callable[..., tuple[Any, ...]]:
    """A hook that multiplies the channels of a group by their gates."""

    def hook(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        x = first_of(args, member)
        x = x.movedim(-1, 1) if isinstance(module, nn.Linear) else x
        factors = gate.repeat_interleave(member.each)
        behind = x.shape[1] - member.start - len(factors)
        ones = [gate.new_ones(count) for count in (member.start, behind)]
        every = torch.cat([ones[0], factors, ones[1]]).to(x.dtype)
        x = x * every.view(-1, *[1] * (x.dim() - 2))
        return (x.movedim(1, -1) if isinstance(module, nn.Linear) else x, *args[1:])

    return hook
