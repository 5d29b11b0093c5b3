"""A network from a list of its layers: for networks that come from elsewhere."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import fx, nn

from maxprune.errors import UsageError
from maxprune.lineage import factory
from maxprune.networks.subtract import Subtract
from maxprune.plain_names import is_plain
from maxprune.plural import plural

MODULES: dict[str, Callable[..., nn.Module]] = {
    "subtract": Subtract,
    "convolution": nn.Conv2d,
    "batch norm": nn.BatchNorm2d,
    "batch norm of a vector": nn.BatchNorm1d,
    "relu": nn.ReLU,
    "pad": nn.ZeroPad2d,
    "max pool": nn.MaxPool2d,
    "average pool": nn.AvgPool2d,
    "adaptive average pool": nn.AdaptiveAvgPool2d,
    "flatten": nn.Flatten,
    "dropout": nn.Dropout,
    "linear": nn.Linear,
}
INPUT = ""  # what a layer reads that reads the input of the network
JOINTS = ("add", "concatenate")


@factory
def described(layers: Sequence[Mapping[str, Any]]) -> fx.GraphModule:
    """The network that a list of layers describes, in their order; the last one is its output.

    Args:
        layers: each with a `name`, a `kind` (a key of `MODULES`, "add" or "concatenate"), `reads`,
            the names of the layers before it ("": the input of the network), and the arguments of
            the torch module that it is.

    Raises:
        UsageError: a kind, a name or an argument that is not known, or a name that comes twice.

    Example:
        >>> net = described([
        ...     {"name": "a", "kind": "linear", "reads": [""], "in_features": 3, "out_features": 2},
        ...     {"name": "b", "kind": "relu", "reads": ["a"]},
        ...     {"name": "c", "kind": "add", "reads": ["a", "b"]},
        ... ])
        >>> net(torch.zeros(5, 3)).shape
        torch.Size([5, 2])
    """
    root, graph = nn.Module(), fx.Graph()
    last = graph.placeholder("x")
    found: dict[str, fx.Node] = {INPUT: last}
    for layer in layers:
        settings = dict(layer)
        name, kind = str(settings.pop("name", "")), str(settings.pop("kind", ""))
        reads = settings.pop("reads", [])
        if not name or name in found:
            raise UsageError(f"every layer needs a name of its own, not {name!r}")
        if not is_plain(name):
            raise UsageError(f"{name!r:.60} cannot be the name of a layer")
        unknown = [read for read in reads if read not in found]
        if unknown:
            raise UsageError(f"layer {name!r} reads {unknown[0]!r}, which is not before it")
        inputs = tuple(found[read] for read in reads)
        if not inputs or (len(inputs) > 1 and kind not in JOINTS):
            raise UsageError(
                f"layer {name!r} reads {plural(len(inputs), 'layer')}, which a {kind} does not"
            )
        if kind in JOINTS:
            last = _joined(graph, kind, inputs)
        else:
            _add(root, name, _module(name, kind, settings))
            last = graph.call_module(name, inputs)
        found[name] = last
    graph.output(last)
    return fx.GraphModule(root, graph, "Described")


def _add(root: nn.Module, name: str, module: nn.Module) -> None:
    try:
        root.add_module(name, module)
    except KeyError as error:
        raise UsageError(f"{name!r} cannot be the name of a layer: {error.args[0]}") from error


def _joined(graph: fx.Graph, kind: str, inputs: tuple[fx.Node, ...]) -> fx.Node:
    """A sum, two at a time, or a concatenation of channels."""
    if kind == "concatenate":
        return graph.call_function(torch.cat, (inputs, 1))
    last = inputs[0]
    for node in inputs[1:]:
        last = graph.call_function(operator.add, (last, node))
    return last


def _module(name: str, kind: str, settings: Mapping[str, Any]) -> nn.Module:
    if kind not in MODULES:
        raise UsageError(f"layer {name!r} is of no known kind: {kind!r}")
    try:
        return MODULES[kind](**settings)
    except (TypeError, ValueError) as error:
        raise UsageError(f"layer {name!r}: {error}") from error
