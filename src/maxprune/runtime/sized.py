"""What a network has and does, whatever runs it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from maxprune.measure import macs, nonzero, parameters
from maxprune.modes import evaluating
from maxprune.runtime.records import Sized


class _Counting(TorchDispatchMode):
    """Counts the operations that are started, and the bytes that they write."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations = self.bytes = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        if not func.is_view:
            self.operations += 1
            outputs = [out for out in tree_leaves(found) if isinstance(out, Tensor)]
            self.bytes += sum(out.numel() * out.element_size() for out in outputs)
        return found


def sized(name: str, model: nn.Module, x: Tensor) -> Sized:
    """Count what a network has, and what it does with one sample.

    Args:
        name: of the network.
        model: it runs on the first sample, in evaluation mode.
        x: inputs (batch, ...).
    """
    count = _Counting()
    with evaluating(model), torch.no_grad(), count:
        model(x[:1])
    return Sized(
        name=name, parameters=parameters(model), nonzero=nonzero(model), macs=macs(model, x),
        operations=count.operations, activations=count.bytes,
    )  # fmt: skip
