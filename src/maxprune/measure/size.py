"""How large is a network: parameters, multiply-adds, neurons alive."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from maxprune.modes import device_of, evaluating


def parameters(model: nn.Module) -> int:
    """Trainable numbers of a network: weights and biases, each once."""
    return sum(p.numel() for p in model.parameters())


def nonzero(model: nn.Module) -> int:
    """Parameters that are not zero."""
    return sum(int(p.detach().count_nonzero()) for p in model.parameters())


def macs(model: nn.Module, input_shape: tuple[int, ...]) -> int:
    """Multiply-adds of one sample through convolutions and matrix products.

    Counted by torch's own counter, which counts two operations for each multiply-add; additions
    of biases, activations and pooling are not counted.

    Args:
        model: the network; it runs once in evaluation mode.
        input_shape: shape of one sample, without the batch.
    """
    first = next(model.parameters(), None)
    kind = torch.float32 if first is None else first.dtype
    x = torch.zeros(1, *input_shape, dtype=kind, device=device_of(model))
    counter = FlopCounterMode(display=False)
    with evaluating(model), torch.no_grad(), counter:
        model(x)
    return int(counter.get_total_flops()) // 2
