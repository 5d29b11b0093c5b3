"""What each layer of a network costs: parameters, multiply-adds, and the shape of its output."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from maxprune.measure.counter import counted


@dataclass(frozen=True)
class LayerCost:
    """A module that has parameters of its own or multiplies.

    Args:
        name: of the module; empty for the network itself.
        kind: its class.
        shape: of its output for one sample, without the batch; empty if it gives no tensor.
        parameters: its own, each counted once in the network.
        macs: multiply-adds of one sample, those of the modules inside it excluded.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    macs: int


def layer_costs(model: nn.Module, inputs: Tensor) -> tuple[LayerCost, ...]:
    """The cost of every layer, in the network's order; together they are the whole network's.

    Args:
        model: the network; it runs once in evaluation mode.
        inputs: (batch, ...); the multiply-adds are divided by the batch, rounded down.
    """
    shapes: dict[str, tuple[int, ...]] = {}

    def note(name: str, out: Any) -> None:
        if isinstance(out, tuple | list) and out:
            out = out[0]
        if isinstance(out, Tensor):
            shapes[name] = tuple(out.shape[1:])

    handles = [
        module.register_forward_hook(lambda _, __, out, name=name: note(name, out))
        for name, module in model.named_modules()
    ]
    try:
        counter = counted(model, inputs)
    finally:
        for handle in handles:
            handle.remove()
    macs = _own_macs(model, counter)
    seen: set[int] = set()
    costs = []
    for name, module in model.named_modules():
        own = {id(p): p.numel() for p in module.parameters(recurse=False) if id(p) not in seen}
        seen |= own.keys()
        if own or macs[name]:
            shape, each = shapes.get(name, ()), macs[name] // len(inputs)
            costs.append(LayerCost(name, type(module).__name__, shape, sum(own.values()), each))
    return tuple(costs)


def _own_macs(model: nn.Module, counter: FlopCounterMode) -> Counter[str]:
    """Multiply-adds of each module without those of the modules inside it."""
    total = Counter[str]()
    root = type(model).__name__
    for name, counts in counter.get_flop_counts().items():
        if name == "Global" or name == root:
            total[""] = max(total[""], sum(counts.values()) // 2)
        elif name.startswith(f"{root}."):
            total[name.removeprefix(f"{root}.")] = sum(counts.values()) // 2
    own = Counter(total)
    for name in total:
        if name:
            own[_around(name, total)] -= total[name]
    return own


def _around(name: str, counted: Container[str]) -> str:
    """The nearest module around this one that was called itself; a list of modules is not."""
    parent = name.rpartition(".")[0]
    while parent and parent not in counted:
        parent = parent.rpartition(".")[0]
    return parent
