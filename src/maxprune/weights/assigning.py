"""Weights that find the values they share while they are trained.

K-means puts every weight to the value that is nearest before the training, and none changes its
place afterwards. With few values that costs much. Here each forward and backward pass sees the
weights at their nearest values, and the step that follows moves the weights themselves: the
straight-through estimator (Bengio, Leonard, Courville 2013, *Estimating or propagating gradients
through stochastic neurons*), as in Courbariaux et al. 2015, *BinaryConnect*. So a weight can go
over to another value. The values follow their weights. Weights that are zero stay zero.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from maxprune.networks.weighted import weighted_layers
from maxprune.weights.sharing import layers_with_weights, share_plan

BUFFER = "shared_values"
PACE = 0.1  # share of the way to the mean of its weights that a value goes at each step
FREE = 0.7  # share of the iterations in which weights may change their value


class Assigning:
    """The values of a network's layers, which are buffers in it until `end`.

    Args:
        model: the network; it gets the buffers.
        bits: at most 2^bits values for the weights of a layer, beside zero.

    Raises:
        UsageError: the bits are out of their range.
        StructureError: a layer is parametrized.
    """

    def __init__(self, model: nn.Module, bits: int) -> None:
        self.bits = bits
        values = share_plan(model, bits).values
        weights = layers_with_weights(model)
        layers = weighted_layers(model)
        self.layers = {layers[name]: weights[name] for name in values}
        self.places = {layer: weight.detach() != 0 for layer, weight in self.layers.items()}
        for name, some in values.items():
            weight = weights[name]
            buffer = torch.tensor(some, dtype=weight.dtype, device=weight.device)
            layers[name].register_buffer(BUFFER, buffer)

    @contextlib.contextmanager
    def at_values(self) -> Iterator[None]:
        """Inside, every weight is at its nearest value; then the values follow the weights."""
        free = {weight: weight.detach().clone() for weight in self.layers.values()}
        self.settle()
        try:
            yield
        finally:
            for layer, weight in self.layers.items():
                weight.data.copy_(free[weight])
                self._follow(layer, weight.detach()[self.places[layer]])

    def settle(self) -> None:
        """Put every weight to its nearest value for good."""
        for layer, weight in self.layers.items():
            place, values = self.places[layer], _values(layer)
            weight.data[place] = values[_nearest(weight.detach()[place], values)]

    def end(self) -> None:
        """Take the buffers away."""
        for layer in self.layers:
            if hasattr(layer, BUFFER):
                delattr(layer, BUFFER)

    def _follow(self, layer: nn.Module, weights: Float[Tensor, " n"]) -> None:
        """Each value towards the mean of the weights that are nearest to it."""
        values = _values(layer)
        which = _nearest(weights, values)
        sizes = torch.bincount(which, minlength=len(values))
        sums = torch.zeros_like(values).index_add_(0, which, weights)
        means = torch.where(sizes > 0, sums / sizes.clamp(min=1), values)
        values.copy_(values.lerp(means, PACE).sort().values)


def _values(layer: nn.Module) -> Float[Tensor, " m"]:
    found: Tensor = getattr(layer, BUFFER)
    return found


def _nearest(weights: Float[Tensor, " n"], values: Float[Tensor, " m"]) -> Int64[Tensor, " n"]:
    return torch.bucketize(weights, (values[1:] + values[:-1]) / 2)


@contextlib.contextmanager
def assigning(model: nn.Module, bits: int | None) -> Iterator[Assigning | None]:
    """Values for a network, for as long as it is trained; None for no bits."""
    if bits is None:
        yield None
        return
    values = Assigning(model, bits)
    try:
        yield values
    finally:
        values.end()
