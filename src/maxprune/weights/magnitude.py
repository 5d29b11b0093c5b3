"""Weight pruning by one global magnitude threshold (Han et al. 2015, section 3).

The weights of linear and convolution layers are compared by magnitude over the whole network;
those up to the threshold become zero and stay zero while the rest is retrained. Biases and
batch-norm parameters are never zeroed, but they count in the share: a share of 0.7 leaves
30% of all parameters.
"""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from maxprune.errors import StructureError, UsageError
from maxprune.networks.weighted import weighted_layers
from maxprune.plan import ZeroPlan


def prunable(model: nn.Module) -> list[Tensor]:
    """The weight tensors of linear and convolution layers, each once.

    Raises:
        StructureError: a weight is computed from something else (parametrized), so zeros in it
            would be lost.
    """
    layers = weighted_layers(model)
    for name, layer in layers.items():
        if layer._parameters.get("weight") is None:
            raise StructureError(
                f"layer {name!r} is parametrized; remove the parametrization first"
            )
    return list(dict.fromkeys(layer.weight for layer in layers.values()))


def zeros_wanted(model: nn.Module, share: float) -> int:
    """How many weights a share of all parameters is, rounded up."""
    total = sum(p.numel() for p in model.parameters())
    return math.ceil(round(share * total, 6))  # 0.07 * 100 is a little more than 7


def zero_plan(model: nn.Module, share: float) -> ZeroPlan:
    """The plan that makes `share` of all parameters zero.

    Args:
        model: the network; weights that are zero already count.
        share: of all parameters, in [0, 1).

    Returns:
        A plan whose threshold is the magnitude of the largest weight that goes; weights of
        exactly that magnitude all go.

    Raises:
        UsageError: the share is outside [0, 1), or takes every weight.
        StructureError: the network has no linear or convolution layer, a parametrized one, or
            weights that are not finite.
    """
    if not 0 <= share < 1:
        raise UsageError(f"the share of weights to zero lies in [0, 1), not {share}")
    weights = prunable(model)
    total = sum(p.numel() for p in model.parameters())
    if not weights:
        raise StructureError(
            "the network has no linear or convolution layer, so no weights to zero"
        )
    magnitudes = torch.cat([w.detach().abs().flatten() for w in weights])
    if not bool(magnitudes.isfinite().all()):
        raise StructureError("the network has weights that are not finite; train it again")
    count = zeros_wanted(model, share)
    if count >= magnitudes.numel():
        raise UsageError(
            f"a share of {share:.2%} takes every weight: "
            f"{total - magnitudes.numel()} of {total} parameters are biases or the like"
        )
    if count == 0:
        return ZeroPlan(share=share, threshold=0.0, zeroed=int((magnitudes == 0).sum()))
    threshold = float(magnitudes.kthvalue(count).values)
    zeroed = int((magnitudes <= threshold).sum())
    return ZeroPlan(share=share, threshold=threshold, zeroed=zeroed)


def zero_below(model: nn.Module, threshold: float) -> None:
    """Set every weight of a magnitude up to the threshold to zero, in place."""
    with torch.no_grad():
        for weight in prunable(model):
            weight.masked_fill_(weight.abs() <= threshold, 0.0)


@contextlib.contextmanager
def hold_zeros(model: nn.Module) -> Iterator[None]:
    """Weights that are zero now stay zero in any training inside this context.

    Their gradients are set to zero before the optimizer sees them; with a fresh optimizer they
    stay exactly zero under momentum and weight decay too. Works with your own loop:

    Example:
        >>> layer = nn.Linear(2, 1)
        >>> _ = nn.init.zeros_(layer.weight)
        >>> with hold_zeros(layer):
        ...     layer(torch.ones(1, 2)).sum().backward()
        >>> layer.weight.grad
        tensor([[0., 0.]])
    """

    def hold(zero: Tensor, weight: Tensor) -> None:
        if weight.grad is not None:
            weight.grad.masked_fill_(zero, 0.0)

    handles = []
    try:
        for weight in prunable(model):
            zero = weight.detach() == 0
            if bool(zero.any()) and weight.requires_grad:
                hook = functools.partial(hold, zero)
                handles.append(weight.register_post_accumulate_grad_hook(hook))
        yield
    finally:
        for handle in handles:
            handle.remove()
