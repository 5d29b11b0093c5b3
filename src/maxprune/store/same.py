"""Whether what was written gives what the network gives: asked of every exported file."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from maxprune.errors import AuditError

TOLERANCE = 1e-4


def check_same(
    network: Callable[[Tensor], Tensor], other: Callable[[Tensor], Tensor], x: Tensor, whose: str
) -> None:
    """Run both on these inputs, and on the first alone.

    Args:
        network: torch's, in evaluation mode.
        other: what was written, opened again.
        x: at least two inputs.
        whose: outputs they are, for the message: "ONNX Runtime's".

    Raises:
        AuditError: the shapes differ, or the outputs by more than 1e-4, relative to the largest.
    """
    for batch in (x, x[:1]):
        with torch.no_grad():
            expected, found = network(batch), other(batch)
        if expected.shape != found.shape:
            raise AuditError(
                f"{whose} outputs are {tuple(found.shape)}, where torch's are "
                f"{tuple(expected.shape)}"
            )
        scale = max(float(expected.abs().max()), 1e-30)
        difference = float((expected - found).abs().max()) / scale
        if not difference <= TOLERANCE:
            raise AuditError(f"{whose} outputs differ from torch's by {difference:.1e}")
