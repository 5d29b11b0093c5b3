"""Sums over processes: what every score adds up over samples may be added up over processes too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import torch
from torch import Tensor

Reduce: TypeAlias = Callable[[Tensor], Tensor]
"""Gives back the sum of a tensor over all processes that have a part of the samples.

It may write it into the tensor, as `torch.distributed.all_reduce` does (which gives nothing back).
"""


def alone(sums: Tensor) -> Tensor:
    """The sum over one process, which has all samples."""
    return sums


def summed(sums: Mapping[str, Tensor], count: int, reduce: Reduce) -> tuple[dict[str, Tensor], int]:
    """Sums by name, and over how many samples or steps they are, over all processes."""
    return {n: reduce(s) for n, s in sums.items()}, int(reduce(torch.tensor(count)))
