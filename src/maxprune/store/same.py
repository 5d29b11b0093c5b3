"""Whether what was written gives what the network gives: asked of every exported file."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from maxprune.errors import AuditError, StructureError
from maxprune.plural import kind_of

TOLERANCE = 1e-4
CHECKED = 16  # inputs that a file is checked on, where the caller does not choose

Network: TypeAlias = Callable[[Tensor], Tensor]


def check_same(network: Network, other: Network, x: Tensor, whose: str) -> None:
    """Run both on these inputs, and on the first alone.

    Args:
        network: torch's, in evaluation mode.
        other: what was written, opened again.
        x: at least two inputs.
        whose: outputs they are, for the message: "ONNX Runtime's".

    Raises:
        AuditError: the shapes differ, or the outputs by more than 1e-4, relative to the largest.
    """
    found = difference(network, other, x, whose)
    if found > TOLERANCE:
        raise AuditError(f"{whose} outputs differ from torch's by {found:.1e}")


def difference(network: Network, other: Network, x: Tensor, whose: str) -> float:
    """How far the outputs are apart, the same way: the largest difference.

    Returns:
        It, relative to the largest output of the network.

    Raises:
        AuditError: the shapes differ, or the outputs are no finite numbers.
        StructureError: the network gives something else than one tensor.
    """
    largest = 0.0
    for batch in (x, x[:1]):
        with torch.no_grad():
            expected, found = network(batch), other(batch)
        if not isinstance(expected, Tensor):
            raise StructureError(f"the network gives {kind_of(expected)}, not one tensor")
        if expected.shape != found.shape:
            raise AuditError(
                f"{whose} outputs are {tuple(found.shape)}, where torch's are "
                f"{tuple(expected.shape)}"
            )
        largest = max(largest, relative(expected, found, whose))
    return largest


def relative(expected: Tensor, found: Tensor, whose: str) -> float:
    """The largest difference of outputs, relative to the largest that was expected.

    Raises:
        AuditError: it is no finite number.
    """
    apart = float((expected - found).abs().max()) / max(float(expected.abs().max()), 1e-30)
    if not math.isfinite(apart):
        raise AuditError(f"{whose} outputs differ from torch's by {apart}")
    return apart
