"""The maxout layer: the maximum over adjacent neurons (Moya Rueda et al. 2017, eq. 1)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from maxprune.errors import StructureError, UsageError
from maxprune.plural import plural


def unit_sizes(neurons: int, k: int) -> tuple[int, ...]:
    """How many neurons each unit has where there are at most k in one, as equal as can be.

    Example:
        >>> unit_sizes(10, 4)
        (4, 3, 3)
    """
    units = -(-neurons // k)
    each, more = divmod(neurons, units)
    return (each + 1,) * more + (each,) * (units - more)


class Maxout(nn.Module):
    """Maximum over k adjacent neurons of the layer before it.

    Unit j of the output is max(x[jk], ..., x[jk + k - 1]), so N neurons become N / k units.
    Works over the channels of a convolution, at every position by itself, or over the neurons of a
    fully connected layer. The units may differ in size, which the paper's do not.

    Args:
        k: inputs per unit, at least 1 (1 is the identity), or the inputs of each unit in turn.
        dim: the dimension of the neurons: 1 for channels, -1 behind a linear layer, which may
            run over many positions (for two dimensions they are the same).

    Attributes:
        k: inputs of the largest unit.
        sizes: inputs of each unit where they differ, else None.

    Example:
        >>> Maxout(2)(torch.tensor([[1.0, 3.0, -2.0, -5.0]]))
        tensor([[ 3., -2.]])
        >>> Maxout((3, 1))(torch.tensor([[1.0, 3.0, -2.0, -5.0]]))
        tensor([[ 3., -5.]])
    """

    k: int
    sizes: tuple[int, ...] | None = None
    _entries: tuple[int, ...] | None = None

    def __init__(self, k: int | Sequence[int], dim: Literal[1, -1] = 1) -> None:
        super().__init__()
        self.dim = dim
        self.resize(k)

    def resize(self, k: int | Sequence[int]) -> None:
        """Have other units from now on; `k` is as for a new one."""
        sizes = (k,) if isinstance(k, int) else tuple(k)
        if not sizes or min(sizes) < 1:
            raise UsageError(f"a maxout unit has at least 1 input, not {min(sizes, default=0)}")
        self.k = max(sizes)
        self.sizes = None if len(set(sizes)) == 1 else sizes
        self._entries = None if self.sizes is None else self._padded(self.sizes)

    def of_each(self, neurons: int) -> tuple[int, ...]:
        """The inputs of each unit, over so many neurons.

        Raises:
            StructureError: the units have not so many.
        """
        if self.sizes is None and neurons % self.k:
            raise StructureError(
                f"k = {self.k} does not divide the {plural(neurons, 'neuron')} of the layer"
            )
        sizes = self.sizes or (self.k,) * (neurons // self.k)
        if sum(sizes) != neurons:
            raise StructureError(
                f"the units have {plural(sum(sizes), 'input')}, the layer has "
                f"{plural(neurons, 'neuron')}"
            )
        return sizes

    def by_unit(self, x: Tensor, dim: int) -> Tensor:
        """The neurons of a dimension as two, (units, k).

        The last neuron of a unit that has less than k comes as often as it takes.

        Raises:
            StructureError: the units have not so many neurons.
        """
        self.of_each(x.shape[dim])
        if self._entries is not None:
            x = x.index_select(dim, torch.tensor(self._entries, device=x.device))
        units: Tensor = x.unflatten(dim, (-1, self.k))
        return units

    def forward(
        self, x: Float[Tensor, "batch neurons *space"]
    ) -> Float[Tensor, "batch units *space"]:
        """Take the maximum of every unit.

        Raises:
            StructureError: k does not divide the number of neurons, or the units have not so many.
        """
        return self.by_unit(x, self.dim).amax(2 if self.dim == 1 else -1)

    def extra_repr(self) -> str:
        """Show the inputs when the network is printed."""
        return f"k={self.k}" if self.sizes is None else f"k={self.sizes}"

    def _padded(self, sizes: Sequence[int]) -> tuple[int, ...]:
        """The neurons of every unit, one unit behind the other, the last again up to k."""
        starts = itertools.accumulate(sizes, initial=0)
        return tuple(
            first + min(i, size - 1)
            for first, size in zip(starts, sizes, strict=False)
            for i in range(self.k)
        )
