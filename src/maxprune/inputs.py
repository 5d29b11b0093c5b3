"""Inputs that are made up, the same ones at every call."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor, nn

from maxprune.errors import UsageError
from maxprune.modes import device_of


@contextlib.contextmanager
def fitting(what: str) -> Iterator[None]:
    """While this is open a tensor is made; one that is too large is a `UsageError`.

    Args:
        what: it is, for the message: "inputs of shape (3, 32, 32)".
    """
    try:
        yield
    except (RuntimeError, MemoryError, TypeError, OverflowError) as error:
        raise UsageError(f"there is no memory for {what}") from error


def example_inputs(
    model: nn.Module, shape: tuple[int, ...], kind: Literal["float", "int"] = "float"
) -> Tensor:
    """Two inputs of a network: normal numbers in its precision, or zeros and ones.

    Raises:
        UsageError: there is no memory for them.
    """
    generator = torch.Generator().manual_seed(0)
    first = next((p for p in model.parameters() if p.is_floating_point()), None)
    with fitting(f"inputs of shape {shape}"):
        if kind == "int":
            x = torch.randint(0, 2, (2, *shape), generator=generator)
        else:
            x = torch.randn(2, *shape, generator=generator)
            x = x if first is None else x.to(first.dtype)
        return x.to(device_of(model))


def random_inputs(shape: tuple[int, ...], count: int) -> Tensor:
    """So many inputs in [0, 1).

    Raises:
        UsageError: there is no memory for them.
    """
    with fitting(f"{count} inputs of shape {shape}"):
        return torch.rand(count, *shape, generator=torch.Generator().manual_seed(0))
