"""Which layer of a file is which layer of the network, and whether they fit."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import accumulate, pairwise

import torch
from torch import Tensor, nn

from maxprune.errors import StoreError
from maxprune.networks.vgg import VGG16, vgg_face
from maxprune.networks.weighted import weighted_layers
from maxprune.plural import plural
from maxprune.store.vgg_face.layers import Found, Layer

_PUBLISHED = re.compile(r"(?:^|\.)(?:conv_?(\d+)_(\d+)|fc_?(\d+))(?:\.0)?$")
_NUMBERED = re.compile(r"(?:^|\.)(features|classifier)\.(\d+)$")
CONVOLUTIONS = [f"conv{i}_{j + 1}" for i, block in enumerate(VGG16, 1) for j in range(len(block))]
LINEAR = ["fc6", "fc7", "fc8"]


def arranged(found: Found, wanted: Sequence[str]) -> list[Layer]:
    """The layers of a file, one for each of the network's.

    By their names, whatever stands before them: conv1_1 or conv_1_1, fc6. Else by the numbers of
    torchvision's VGG16 (features.N, classifier.N), else by the order of the file.

    Args:
        found: the file's.
        wanted: the names of the network's layers.

    Raises:
        StoreError: one lacks, there is one more, or nothing tells which is which.
    """
    if not found.layers:
        raise StoreError("it has no layers with weights")
    names = [_published(name) for name in wanted]
    layers = {_published(layer.name): layer for layer in found.layers}
    if len(layers) < len(found.layers):
        raise StoreError("two of its layers have the same name")
    lacks = [name for name in names if name not in layers]
    more = [name for name in layers if name not in names]
    if not lacks and not more:
        return [layers[name] for name in names]
    if len(layers) != len(names):
        if lacks == names:
            raise StoreError(
                f"it has {plural(len(layers), 'layer')} with weights, expected {len(names)}"
            )
        if lacks:
            raise StoreError(f"it has no layer {lacks[0]}")
        raise StoreError(f"it has a layer {more[0]!r}, which the network has not")
    order = _in_order(found, [*layers], more[0])
    for name, own in zip(names, order, strict=True):
        if own != name and own in names:
            raise StoreError(f"it has the layer {own} where {name} is expected")
    return [layers[own] for own in order]


def _published(name: str) -> str:
    """The name that VGG-Face has for a layer, or its own where it is another one."""
    match = _PUBLISHED.search(name)
    if match is None:
        return name
    block, number, linear = match.groups()
    return f"fc{linear}" if linear else f"conv{block}_{number}"


def _in_order(found: Found, names: list[str], unknown: str) -> list[str]:
    """Names that are not all known, in the order in which the network uses them."""
    numbers = [_NUMBERED.search(name) for name in names]
    if all(numbers):
        keys = [(match[1] == "classifier", int(match[2])) for match in numbers if match]
        return [name for _, name in sorted(zip(keys, names, strict=True))]
    if not found.ordered:
        raise StoreError(f"{unknown!r} is no layer of VGG-Face, and safetensors keeps no order")
    return names


def published(found: Found) -> tuple[nn.Module, dict[str, Tensor]]:
    """VGG-Face in the widths of a file, without memory of its own, and its weights.

    Raises:
        StoreError: the layers are not those of VGG-Face, or do not fit each other.
    """
    layers = arranged(found, [*CONVOLUTIONS, *LINEAR])
    widths = [len(layer.weight) for layer in layers]
    ends = list(accumulate(map(len, VGG16), initial=0))
    blocks = [widths[start:end] for start, end in pairwise(ends)]
    first = layers[ends[-1]].weight
    inputs = first[0].numel()
    side = math.isqrt(inputs // blocks[-1][-1])
    if not side or side**2 * blocks[-1][-1] != inputs:
        raise StoreError(
            f"fc6 takes {inputs} numbers, which is no square of {blocks[-1][-1]} channels"
        )
    with torch.device("meta"):
        network = vgg_face(blocks, widths[ends[-1] : -1], side << len(blocks), 3, widths[-1])
    return network.eval(), fitted(network, layers)


def fitted(network: nn.Module, layers: Sequence[Layer]) -> dict[str, Tensor]:
    """The layers' weights as a state dict of a network.

    Args:
        network: with a bias in every layer, and no other weights.
        layers: one for each of its convolutions and linear layers, in its order.

    Raises:
        StoreError: one does not fit; the first is named.
    """
    state: dict[str, Tensor] = {}
    before = 3
    for (name, module), layer in zip(weighted_layers(network).items(), layers, strict=True):
        weight, wanted = layer.weight, tuple(module.weight.shape)
        if weight.dim() == 4 and (weight.shape[1] != before or weight.shape[2] != weight.shape[3]):
            raise StoreError(f"{name} has weights {tuple(weight.shape)}, expected {wanted}")
        before = len(weight)
        weight = weight.flatten(1) if isinstance(module, nn.Linear) else weight
        if tuple(weight.shape) != wanted:
            raise StoreError(f"{name} has weights {tuple(weight.shape)}, expected {wanted}")
        state |= {f"{name}.weight": weight, f"{name}.bias": layer.bias}
    other = [key for key in network.state_dict() if key not in state]
    lacks = [key for key in state if key not in network.state_dict()]
    if other or lacks:
        what = f"{other[0]}, which VGG-Face has not" if other else f"no {lacks[0]}"
        raise StoreError(f"the network has {what}")
    return state
