"""Optimal Brain Damage: what the loss does without a filter, by its second derivatives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from maxprune.errors import StructureError
from maxprune.plan import ChannelGroup
from maxprune.scores.readers import Batches, Scores, cuttable, differentiable, gradients, paired
from maxprune.scores.reduction import Reduce, alone, summed
from maxprune.scores.rows import pieces


def obd(
    model: nn.Module, groups: Sequence[ChannelGroup], batches: Batches, reduce: Reduce = alone
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
        reduce: adds up over processes that have other batches, at least one each.

    Raises:
        UsageError: no samples, or classes that are none.
        StructureError: a gradient is not finite, or the groups are those of another network.
    """
    free = cuttable(model, groups)
    network = differentiable(model, frozen=False)
    squares = _squared_gradients(network, batches, reduce)
    found = {}
    for group in free:
        own = [member for member in group.members if member.side in ("out", "along")]
        parts = pieces(network, group, own, lambda name, p: squares[name] * p.square() / 2)
        total = torch.zeros(group.channels, dtype=torch.float64)
        for _, saliency in parts:
            total += saliency.sum(1)
        found[group.name] = total
    return found


def _squared_gradients(network: nn.Module, batches: Batches, reduce: Reduce) -> dict[str, Tensor]:
    """The mean of the squared gradients of single samples, by the name of the parameter."""
    named = {name: p for name, p in network.named_parameters() if p.requires_grad}
    squares = {n: torch.zeros_like(p, dtype=torch.float64) for n, p in network.named_parameters()}
    samples = 0
    for found, _ in gradients(network, _singly(batches), [*named.values()]):
        for name, gradient in zip(named, found, strict=True):
            if gradient is not None:
                squares[name] += gradient.square()
        samples += 1
    squares, samples = summed(squares, samples, reduce)
    if not all(bool(square.isfinite().all()) for square in squares.values()):
        raise StructureError("a gradient is not finite; train the network again")
    return {name: square / samples for name, square in squares.items()}


def _singly(batches: Batches) -> Iterator[tuple[Tensor, Tensor]]:
    """The samples one by one."""
    for x, y in paired(batches):
        yield from zip(x.split(1), y.split(1), strict=True)
