"""Optimal Brain Damage: what the loss does without a filter, by its second derivatives."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maxprune.errors import StructureError, UsageError
from maxprune.modes import copied, device_of
from maxprune.plan import ChannelGroup, Member
from maxprune.scores.readers import Scores, cuttable, run
from maxprune.scores.rows import by_channel, rows
from maxprune.surgery.narrow import parameter_dim


def obd(
    model: nn.Module, groups: Sequence[ChannelGroup], batches: Iterable[tuple[Tensor, Tensor]]
) -> Scores:
    """The saliency of all parameters that make a channel, added up: the sum of h w^2 / 2.

    h is the diagonal of the Hessian of the loss (LeCun, Denker, Solla 1990, eq. 5), here by the
    mean of the squared gradients of single samples, which is equal to it in expectation where the
    network's probabilities are right (the Fisher information). The parameters of a channel are its
    weights and bias and those of the norms behind it. Torch-Pruning 1.6 keeps the gradient of the
    last sample alone; here all count. One backward pass a sample: some hundred samples will do.

    Args:
        model: a classifier; it is not changed.
        groups: as `channel_groups` finds them; those that cannot be cut are left out.
        batches: inputs and classes.

    Raises:
        UsageError: no samples.
        StructureError: a gradient is not finite.
    """
    network = copied(model).eval()
    squares = _squared_gradients(network, batches)
    found = {}
    for group in cuttable(groups):
        total = torch.zeros(group.channels, dtype=torch.float64)
        for member in group.members:
            if member.side in ("out", "along"):
                total += _saliency(network, group, member, squares)
        found[group.name] = total
    return found


def _squared_gradients(
    network: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]
) -> dict[str, Tensor]:
    """The mean of the squared gradients of single samples, by the name of the parameter."""
    named = {n: p.requires_grad_() for n, p in network.named_parameters() if p.is_floating_point()}
    squares = {name: torch.zeros_like(parameter) for name, parameter in named.items()}
    samples = 0
    with torch.enable_grad():
        for x, y in batches:
            for one, answer in zip(x.split(1), y.to(device_of(network)).split(1), strict=True):
                loss = F.cross_entropy(run(network, one), answer)
                found = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
                for name, gradient in zip(named, found, strict=True):
                    if gradient is not None:
                        squares[name] += gradient.square()
                samples += 1
    if not samples:
        raise UsageError("there are no samples to score on")
    if not all(bool(square.isfinite().all()) for square in squares.values()):
        raise StructureError("a gradient is not finite; train the network again")
    return {name: square / samples for name, square in squares.items()}


def _saliency(
    network: nn.Module, group: ChannelGroup, member: Member, squares: dict[str, Tensor]
) -> Tensor:
    """The part of one module, or of a bare parameter."""
    parameters = dict(network.named_parameters())
    if member.name in parameters:
        bare = parameters[member.name]
        saliency = (squares[member.name] * bare.detach().square()).movedim(parameter_dim(bare), 0)
        return by_channel(saliency.double().cpu(), group, member).sum(1) / 2
    module = network.get_submodule(member.name)
    total = torch.zeros(group.channels, dtype=torch.float64)
    for leaf, parameter in module.named_parameters(recurse=False):
        saliency = squares[f"{member.name}.{leaf}".lstrip(".")] * parameter.detach().square()
        each = rows(module, saliency) if saliency.dim() > 1 else saliency.double().cpu()
        total += by_channel(each, group, member).sum(1) / 2
    return total
