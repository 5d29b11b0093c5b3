"""The maxout layer: the maximum over k adjacent neurons (Moya Rueda et al. 2017, eq. 1)."""

from __future__ import annotations

from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from maxprune.errors import StructureError, UsageError
from maxprune.plural import plural


class Maxout(nn.Module):
    """Maximum over k adjacent neurons of the layer before it.

    Unit j of the output is max(x[jk], ..., x[jk + k - 1]), so N neurons become N / k units.
    Works over the channels of a convolution, at every position by itself, or over the neurons of a
    fully connected layer.

    Args:
        k: inputs per unit, at least 1 (1 is the identity).
        dim: the dimension of the neurons: 1 for channels, -1 behind a linear layer, which may
            run over many positions (for two dimensions they are the same).

    Example:
        >>> import torch
        >>> Maxout(2)(torch.tensor([[1.0, 3.0, -2.0, -5.0]]))
        tensor([[ 3., -2.]])
    """

    def __init__(self, k: int, dim: Literal[1, -1] = 1) -> None:
        super().__init__()
        if k < 1:
            raise UsageError(f"a maxout unit has at least 1 input, not {k}")
        self.k = k
        self.dim = dim

    def forward(
        self, x: Float[Tensor, "batch neurons *space"]
    ) -> Float[Tensor, "batch units *space"]:
        """Take the maximum of every unit.

        Raises:
            StructureError: k does not divide the number of neurons.
        """
        neurons = x.shape[self.dim]
        if neurons % self.k:
            raise StructureError(
                f"k = {self.k} does not divide the {plural(neurons, 'neuron')} of the layer"
            )
        units: Tensor = x.unflatten(self.dim, (-1, self.k))
        return units.amax(2 if self.dim == 1 else -1)

    def extra_repr(self) -> str:
        """Show k when the network is printed."""
        return f"k={self.k}"
