"""A network that a file describes may not be far larger than the file: its memory is bounded."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from maxprune.errors import StoreError

FREE = 1 << 28
"""Numbers that any network may have before it is cut, one gigabyte: VGG16 has half as many,"""

FOR_ONE = 64
"""and beside them for each number that is left."""


class Bounded(TorchDispatchMode):
    """While this is open, tensors of no more numbers than a file can be cut from are made.

    Args:
        tensors: the numbers that are left in the file.

    Raises:
        StoreError: in the place of a tensor that goes beyond, before there is memory for it.
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.left = FREE + FOR_ONE * sum(tensor.numel() for tensor in tensors.values())

    def __torch_dispatch__(
        self,
        function: Callable[..., Any],
        kinds: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Count what an operator is to make out of nothing but a shape."""
        shape = args[0] if args else ()
        if isinstance(shape, list | torch.Size) and all(isinstance(size, int) for size in shape):
            self.left -= math.prod(shape)
            if self.left < 0:
                raise StoreError(
                    "it is far larger than its weights: if you trust it, give the factory "
                    "yourself: load(folder, factory=...), or --factory on the command line"
                )
        return function(*args, **(kwargs or {}))
