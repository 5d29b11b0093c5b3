"""The maxout layer: the maximum over k adjacent neurons (Moya Rueda et al. 2017, eq. 1)."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from maxprune.errors import StructureError, UsageError


class Maxout(nn.Module):
    """Maximum over k adjacent neurons of the layer before it.

    Unit j of the output is max(x[jk], ..., x[jk + k - 1]), so N neurons become N / k units.
    Works over the second dimension: neurons of a fully connected layer, channels of a
    convolution (there the maximum is taken at every position by itself).

    Args:
        k: inputs per unit, at least 1 (1 is the identity).

    Example:
        >>> import torch
        >>> Maxout(2)(torch.tensor([[1.0, 3.0, -2.0, -5.0]]))
        tensor([[ 3., -2.]])
    """

    def __init__(self, k: int) -> None:
        super().__init__()
        if k < 1:
            raise UsageError(f"a maxout unit has at least 1 input, not {k}")
        self.k = k

    def forward(
        self, x: Float[Tensor, "batch neurons *space"]
    ) -> Float[Tensor, "batch units *space"]:
        """Take the maximum of every unit.

        Raises:
            StructureError: k does not divide the number of neurons.
        """
        if x.shape[1] % self.k:
            raise StructureError(
                f"k = {self.k} does not divide the {x.shape[1]} neurons of the layer"
            )
        units: Tensor = x.unflatten(1, (-1, self.k))
        return units.amax(2)

    def extra_repr(self) -> str:
        """Show k when the network is printed."""
        return f"k={self.k}"
