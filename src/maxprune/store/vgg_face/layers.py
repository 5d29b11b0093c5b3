"""What every format gives: the layers that have weights, checked one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from maxprune.errors import StoreError
from maxprune.plural import plural

Colours: TypeAlias = Literal["rgb", "bgr"]
LIMIT = 2 << 30  # bytes of a file and of the weights in it; VGG-Face has 580 million


@dataclass(frozen=True, eq=False)
class Layer:
    """A convolution or a linear layer, as a file has it.

    Attributes:
        name: its name in the file.
        weight: (outputs, channels, height, width), or (outputs, inputs), float32 and finite; linear
            layers may have either.
        bias: (outputs,).
    """

    name: str
    weight: Tensor
    bias: Float[Tensor, " n"]


@dataclass(frozen=True, eq=False)
class Found:
    """The content of a file.

    Attributes:
        layers: those with weights, in the order of the file.
        ordered: whether that order is the one in which the network uses them.
        colours: the order of the channels that networks in this format are published with.
        mean: of each channel, in 0..255 and in the network's order; None where the file has none.
        mean_from: where the mean is from, in words.
    """

    layers: list[Layer]
    ordered: bool
    colours: Colours
    mean: tuple[float, ...] | None = None
    mean_from: str = "published"


def checked(name: str, weight: Tensor, bias: Tensor) -> Layer:
    """A layer, once its weights and biases are known to be numbers and to fit each other.

    Raises:
        StoreError: they are not finite, or not of the shapes of a convolution or a linear layer.
    """
    if weight.dim() not in (2, 4) or not weight.numel():
        raise StoreError(f"{name} has weights {tuple(weight.shape)}, expected two or four axes")
    if bias.numel() != len(weight):
        raise StoreError(
            f"{name} has {plural(bias.numel(), 'bias', 'biases')} for "
            f"{plural(len(weight), 'output')}"
        )
    layer = Layer(name, weight.float().contiguous(), bias.float().flatten())
    for what, value in (("weights", layer.weight), ("biases", layer.bias)):
        check_finite(f"{name} has {what}", value)
    return layer


def check_finite(what: str, values: Tensor) -> None:
    """Refuse NaN and infinities, without a second tensor of this size.

    Raises:
        StoreError: there are some.
    """
    if not all(bool(torch.isfinite(end)) for end in values.aminmax()):
        raise StoreError(f"{what} that are not finite")


def check_size(what: str, count: int) -> None:
    """Refuse more numbers than a file of VGG-Face can have, before memory is taken for them.

    Raises:
        StoreError: there are more.
    """
    if count > LIMIT // 4:
        raise StoreError(f"{what} has {count} numbers, which is too many for VGG-Face")
