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
    model: nn.Module,
    shape: tuple[int, ...],
    kind: Literal["float", "int"] = "float",
    count: int = 2,
) -> Tensor:
    """Random inputs of a network, the same ones at every call.

    Args:
        model: they have the type of its weights, and are where it is.
        shape: of one.
        kind: "float", normal numbers; "int", zeros and ones.
        count: how many.

    Returns:
        (count, *shape)

    Raises:
        UsageError: there is no memory for them.
    """
    generator = torch.Generator().manual_seed(0)
    first = next((p for p in model.parameters() if p.is_floating_point()), None)
    with fitting(f"{count} inputs of shape {shape}"):
        if kind == "int":
            x = torch.randint(0, 2, (count, *shape), generator=generator)
        else:
            x = torch.randn(count, *shape, generator=generator)
            x = x if first is None else x.to(first.dtype)
        return x.to(device_of(model))
