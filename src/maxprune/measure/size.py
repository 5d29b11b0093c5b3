"""How large is a network: parameters, multiply-adds, neurons alive."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from maxprune.measure.counter import counted
from maxprune.modes import device_of


def parameters(model: nn.Module) -> int:
    """Trainable numbers of a network: weights and biases, each once."""
    return sum(p.numel() for p in model.parameters())


def nonzero(model: nn.Module) -> int:
    """Parameters that are not zero."""
    return sum(int(p.detach().count_nonzero()) for p in model.parameters())


def macs(model: nn.Module, sample: Tensor | tuple[int, ...]) -> int:
    """Multiply-adds of one sample through convolutions and matrix products.

    Those of attention and of recurrent layers are counted; additions of biases, activations and
    pooling are not.

    Args:
        model: the network; it runs once in evaluation mode.
        sample: shape of one sample, without the batch, or samples (batch, ...) for a network that
            does not take zeros of its own type, such as one that begins with an embedding.
    """
    if isinstance(sample, Tensor):
        x = sample[:1].to(device_of(model))
    else:
        first = next(model.parameters(), None)
        kind = torch.float32 if first is None else first.dtype
        x = torch.zeros(1, *sample, dtype=kind, device=device_of(model))
    return int(counted(model, x).get_total_flops()) // 2
