"""Skeletonization: what the loss does without a neuron (Mozer and Smolensky 1989)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maxprune.errors import StructureError, UsageError
from maxprune.modes import device_of, evaluating
from maxprune.plan import ChannelGroup, Member
from maxprune.scores.readers import Scores, cuttable, readers, run


def skeletonization(
    model: nn.Module, groups: Sequence[ChannelGroup], batches: Iterable[tuple[Tensor, Tensor]]
) -> Scores:
    """How much the loss would grow without a channel, by its derivative.

    Every channel gets a gate, a factor of 1 in front of all that read it. The relevance is the
    loss without the channel less that with it, by minus the derivative by the gate (Mozer and
    Smolensky 1989, section 2): a channel that does harm has a negative one and goes first. The
    loss here is cross entropy, where they take the sum of absolute errors; the derivative is the
    mean over all samples.

    Args:
        model: a classifier; it is left as it was.
        groups: as `channel_groups` finds them; those that cannot be cut are left out.
        batches: inputs and classes.

    Raises:
        UsageError: no samples.
        StructureError: the loss is not finite, or its derivative cannot be found.
    """
    total: dict[str, Tensor] = {}
    samples = 0
    with _gated(model, groups) as gates, evaluating(model), torch.enable_grad():
        for x, y in batches:
            loss = F.cross_entropy(run(model, x), y.to(device_of(model)), reduction="sum")
            if not bool(loss.isfinite()):
                raise StructureError("the loss is not finite; train the network again")
            slopes = torch.autograd.grad(loss, list(gates.values()))
            for name, slope in zip(gates, slopes, strict=True):
                total[name] = total.get(name, 0) - slope.double().cpu()
            samples += len(y)
    if not samples:
        raise UsageError("there are no samples to score on")
    return {name: relevance / samples for name, relevance in total.items()}


@contextlib.contextmanager
def _gated(model: nn.Module, groups: Sequence[ChannelGroup]) -> Iterator[dict[str, Tensor]]:
    """A gate for every channel, multiplied into whatever its readers read."""
    device = device_of(model)
    gates: dict[str, Tensor] = {}
    handles = []
    try:
        for group in cuttable(groups):
            gate = torch.ones(group.channels, device=device, requires_grad=True)
            gates[group.name] = gate
            for member in readers(group):
                module = model.get_submodule(member.name)
                handles.append(module.register_forward_pre_hook(_gate(gate, member)))
        yield gates
    finally:
        for handle in handles:
            handle.remove()


def _gate(gate: Tensor, member: Member) -> Callable[..., tuple[Any, ...]]:
    """A hook that multiplies the channels of a group by their gates."""

    def hook(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        x = args[0].movedim(-1, 1) if isinstance(module, nn.Linear) else args[0]
        factors = gate.repeat_interleave(member.each)
        behind = x.shape[1] - member.start - len(factors)
        ones = [gate.new_ones(count) for count in (member.start, behind)]
        all_factors = torch.cat([ones[0], factors, ones[1]]).to(x.dtype)
        x = x * all_factors.view(-1, *[1] * (x.dim() - 2))
        return (x.movedim(1, -1) if isinstance(module, nn.Linear) else x, *args[1:])

    return hook
