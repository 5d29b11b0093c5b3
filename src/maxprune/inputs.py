"""Inputs that are made up, the same ones at every call."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from maxprune.errors import UsageError
from maxprune.modes import device_of, evaluating
from maxprune.naming import giving


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


def checked_shape(given: Any) -> tuple[int, ...]:
    """The shape of one input, as somebody gives it.

    Raises:
        UsageError: it is not a row of whole numbers from 1.

    Example:
        >>> checked_shape([3, 32, 32])
        (3, 32, 32)
    """
    sizes = tuple(given) if isinstance(given, Sequence) else ()
    if not sizes or any(type(size) is not int or size < 1 for size in sizes):
        raise UsageError(f"an input shape is a row of numbers from 1, (3, 32, 32), not {given!r}")
    return sizes


def check_kind(model: nn.Module, x: Tensor, name: str = "the network") -> None:
    """Refuse floats for a network that takes nothing but whole numbers.

    Args:
        model: it runs in evaluation mode.
        x: inputs (batch, ...).
        name: of the network, for the message.

    Raises:
        UsageError: it is one.
    """
    whole = torch.zeros_like(x, dtype=torch.long)
    if x.is_floating_point() and not _takes(model, x) and _takes(model, whole):
        raise UsageError(f"{name} takes whole numbers, not floats: give {giving('kind', 'int')}")


def _takes(model: nn.Module, x: Tensor) -> bool:
    try:
        with evaluating(model), torch.no_grad():
            model(x)
    except Exception:
        return False
    return True


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
