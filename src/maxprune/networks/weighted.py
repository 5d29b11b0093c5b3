"""The layers that have neurons to remove, and their weights."""

from __future__ import annotations

from typing import TypeAlias

from torch import nn

Weighted: TypeAlias = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d
WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


def weighted_layers(model: nn.Module) -> dict[str, Weighted]:
    """Every linear and convolution layer of a network, by name, in its order."""
    return {name: m for name, m in model.named_modules() if isinstance(m, WEIGHTED)}


def neurons(layer: Weighted) -> int:
    """The neurons of a linear layer, the channels of a convolution."""
    return layer.weight.shape[0]


def set_inputs(layer: Weighted, weight: nn.Parameter) -> None:
    """Give a layer weights for another number of inputs."""
    layer.weight = weight
    if isinstance(layer, nn.Linear):
        layer.in_features = weight.shape[1]
    else:
        layer.in_channels = weight.shape[1]


def set_neurons(layer: Weighted, weight: nn.Parameter, bias: nn.Parameter | None) -> None:
    """Give a layer weights and biases for another number of neurons."""
    layer.weight, layer.bias = weight, bias
    if isinstance(layer, nn.Linear):
        layer.out_features = weight.shape[0]
    else:
        layer.out_channels = weight.shape[0]
