"""What stands between a layer and the one that reads it.

A chain is one layer with weights, the modules and functions its output passes through, and the
layer with weights that reads the result. It is found by symbolic tracing (torch.fx), so without
data. A layer that feeds two others, whose module is used twice, or whose output passes through
something that mixes neurons is refused, with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.nn.utils import parametrize

from maxprune.errors import StructureError, first_line
from maxprune.modes import device_of, evaluating, silent
from maxprune.networks.cosine import Cosine
from maxprune.networks.maxout import Maxout
from maxprune.networks.weighted import WEIGHTED, Weighted, neurons, weighted_layers
from maxprune.plural import kind_of, plural

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
RELUS = (nn.ReLU, nn.ReLU6)
MONOTONE = (*RELUS, nn.LeakyReLU, nn.Tanh, nn.Sigmoid, nn.ELU, nn.Softplus, nn.Hardtanh)
ACTIVATIONS = (*MONOTONE, nn.GELU, nn.SiLU, nn.Mish, nn.Hardswish)
DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.Identity)
MAX_POOLS = (
    nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d,
)  # fmt: skip
AVERAGES = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
POOLS = (*MAX_POOLS, *AVERAGES, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d)
SHAPES = (nn.Flatten,)
PASSING = (*BATCH_NORMS, *ACTIVATIONS, *DROPOUTS, *POOLS, *SHAPES, Maxout)

FUNCTIONS: dict[Any, type[nn.Module]] = {
    F.relu: nn.ReLU, torch.relu: nn.ReLU, F.relu6: nn.ReLU6, F.leaky_relu: nn.LeakyReLU,
    torch.tanh: nn.Tanh, F.tanh: nn.Tanh, torch.sigmoid: nn.Sigmoid, F.sigmoid: nn.Sigmoid,
    F.gelu: nn.GELU, F.silu: nn.SiLU, F.elu: nn.ELU, F.hardswish: nn.Hardswish,
    F.dropout: nn.Dropout, F.dropout2d: nn.Dropout2d, torch.flatten: nn.Flatten,
    F.max_pool1d: nn.MaxPool1d, F.max_pool2d: nn.MaxPool2d, F.max_pool3d: nn.MaxPool3d,
    F.avg_pool1d: nn.AvgPool1d, F.avg_pool2d: nn.AvgPool2d, F.avg_pool3d: nn.AvgPool3d,
    F.adaptive_avg_pool1d: nn.AdaptiveAvgPool1d, F.adaptive_avg_pool2d: nn.AdaptiveAvgPool2d,
    torch.max_pool1d: nn.MaxPool1d, torch.max_pool2d: nn.MaxPool2d,
}  # fmt: skip
METHODS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "flatten": nn.Flatten,
    "view": nn.Flatten, "reshape": nn.Flatten,
}  # fmt: skip
STATEFUL = (*BATCH_NORMS, Maxout)


@dataclass(frozen=True)
class Link:
    """One operation between two layers: its node in the graph and what kind of module it is."""

    node: fx.Node
    kind: type[nn.Module]

    @property
    def name(self) -> str:
        """The module's name, or the function's name in the graph."""
        return str(self.node.target) if self.node.op == "call_module" else self.node.name


@dataclass(frozen=True)
class Chain:
    """A layer, the links its output passes through, and the layer that reads it."""

    graph: fx.Graph
    layer: str
    node: fx.Node
    links: tuple[Link, ...]
    reader: str

    def first(self, kinds: tuple[type[nn.Module], ...]) -> Link | None:
        """The first link of one of these kinds."""
        return next((link for link in self.links if issubclass(link.kind, kinds)), None)

    @property
    def maxout(self) -> str | None:
        """The name of the maxout that reads the layer, if there is one."""
        found = self.first((Maxout,))
        return found.name if found else None

    def before(self, link: Link | None) -> tuple[Link, ...]:
        """The links in front of `link`; all of them where there is no such link."""
        return self.links if link is None else self.links[: self.links.index(link)]


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, Maxout | Cosine) or super().is_leaf_module(m, module_qualified_name)


def trace(model: nn.Module, training: bool = False) -> fx.Graph:
    """The graph of a network, in evaluation mode or in training mode.

    Raises:
        StructureError: it cannot be traced, for example because its path depends on its input.
    """
    before = [(module, dict(module.__dict__)) for module in model.modules()]
    try:
        with evaluating(model):
            model.train(training)
            return _Tracer().trace(model)
    except StructureError:
        raise
    except Exception as error:
        raise StructureError(
            f"the network {type(model).__name__} cannot be traced: {first_line(error)}"
        ) from error
    finally:
        for module, attributes in before:  # tracing runs forward, which may keep something
            module.__dict__.clear()
            module.__dict__.update(attributes)


def check_traceable(model: nn.Module, inputs: Tensor) -> None:
    """Refuse a network whose path depends on its input.

    Symbolic tracing sees that without running the network; one that it cannot follow for another
    reason, such as a path that depends on a shape, is asked torch.export.

    Raises:
        StructureError: it cannot be traced.
    """
    try:
        trace(model)
    except StructureError as refused:
        try:
            with evaluating(model), silent():
                torch.export.export(model, (inputs.to(device_of(model)),), strict=False)
        except Exception:
            raise refused from None


def find_layer(model: nn.Module, layer: str) -> Weighted:
    """The linear or convolution module of that name.

    Raises:
        StructureError: no such layer (the message names those there are), or of another kind.
    """
    modules = dict(model.named_modules())
    if layer not in modules:
        known = ", ".join(weighted_layers(model))
        raise StructureError(f"the network has no layer {layer!r}; it has {known or 'none to cut'}")
    module = modules[layer]
    if not isinstance(module, WEIGHTED):
        raise StructureError(
            f"layer {layer!r} is {kind_of(module)}, not a linear or convolution layer"
        )
    if not isinstance(module, nn.Linear) and module.groups != 1:
        raise StructureError(f"layer {layer!r} is a grouped convolution, which is not cut")
    if parametrize.is_parametrized(module) or module._parameters.get("weight") is None:
        raise StructureError(f"layer {layer!r} is parametrized; remove the parametrization first")
    if isinstance(module.weight, nn.UninitializedParameter):
        raise StructureError(f"layer {layer!r} has no weights yet; run the network once")
    shared = [n for n, m in modules.items() if m is not module and _share(m, module)]
    if shared:
        raise StructureError(
            f"layer {layer!r} shares its weights with {shared[0]!r}; it is not cut"
        )
    return module


def find_maxout(model: nn.Module, name: str) -> Maxout:
    """The maxout of that name.

    Raises:
        StructureError: the module of that name is not a maxout.
    """
    module = model.get_submodule(name)
    if not isinstance(module, Maxout):
        raise StructureError(f"{name!r} is {kind_of(module)}, not a maxout")
    return module


def _share(one: nn.Module, other: nn.Module) -> bool:
    mine = {id(p) for p in one.parameters(recurse=False)}
    return any(id(p) in mine for p in other.parameters(recurse=False))


def find_chain(model: nn.Module, layer: str, graph: fx.Graph | None = None) -> Chain:
    """Find the chain that starts at `layer`.

    Args:
        model: the network.
        layer: the name of a linear or convolution layer.
        graph: as `trace` gives it for this network, if it is at hand.

    Raises:
        StructureError: the layer does not exist, feeds none or several others, is used several
            times, or its output passes through something that mixes neurons.
    """
    find_layer(model, layer)
    graph = graph or trace(model)
    modules = dict(model.named_modules())
    uses = _uses(graph, layer)
    if len(uses) != 1 or uses[0].op != "call_module":
        raise StructureError(
            f"layer {layer!r} is called {plural(len(uses), 'time')} or as a function; only one "
            "that is called once as a module can be cut"
        )
    links: list[Link] = []
    node = _only_user(uses[0], layer)
    while not _is_reader(node, modules):
        kind = _passing_kind(node, modules)
        if kind is None:
            raise StructureError(
                f"layer {layer!r} cannot be cut: its output passes through "
                f"{_describe(node, modules)}"
            )
        links.append(Link(node, kind))
        node = _only_user(node, layer)
    chain = Chain(graph, layer, uses[0], tuple(links), str(node.target))
    for name in [*(link.name for link in links if issubclass(link.kind, STATEFUL)), chain.reader]:
        if len(_uses(graph, name)) != 1:
            raise StructureError(f"{name!r}, behind layer {layer!r}, is used several times")
    _check_order(chain, find_layer(model, layer), find_layer(model, chain.reader), modules)
    return chain


def _uses(graph: fx.Graph, module: str) -> list[fx.Node]:
    """Where the graph calls a module, or reads a parameter of it."""
    called = [n for n in graph.nodes if n.op == "call_module" and n.target == module]
    read = [
        n for n in graph.nodes if n.op == "get_attr" and str(n.target).rpartition(".")[0] == module
    ]
    return called + read


def _check_order(
    chain: Chain, layer: Weighted, reader: Weighted, modules: dict[str, nn.Module]
) -> None:
    """Refuse a chain in which the reader's inputs are not the neurons, in their order."""
    alone = f"layer {chain.layer!r} cannot be cut: "
    flat, maxout = chain.first(SHAPES), chain.first((Maxout,))
    if isinstance(layer, nn.Linear) != isinstance(reader, nn.Linear):
        if flat is None or isinstance(layer, nn.Linear):
            raise StructureError(f"{alone}{chain.reader!r} does not read its neurons one by one")
        if maxout is not None and flat in chain.before(maxout):
            raise StructureError(f"{alone}its output is flattened before the maxout")
    read = neurons(layer)
    for link in chain.links:
        module = modules.get(link.name)
        if isinstance(module, Maxout):
            read = len(module.of_each(read))
    if reader.weight.shape[1] % max(read, 1):
        raise StructureError(
            f"{alone}the {plural(reader.weight.shape[1], 'input')} of {chain.reader!r} do not "
            f"belong to its {plural(neurons(layer), 'neuron')} alone"
        )


def _only_user(node: fx.Node, layer: str) -> fx.Node:
    users = [user for user in node.users if not _asks_shape(user)]
    if len(users) > 1:
        names = ", ".join(str(u.target) if u.op == "call_module" else u.name for u in users)
        raise StructureError(f"layer {layer!r} feeds {len(users)} others ({names}); it is not cut")
    if not users or users[0].op == "output":
        raise StructureError(f"layer {layer!r} is an output layer; it is not cut")
    return users[0]


def _asks_shape(node: fx.Node) -> bool:
    if node.op == "call_method":
        return node.target in ("size", "dim")
    return node.op == "call_function" and node.target is getattr and node.args[1] == "shape"


def _is_reader(node: fx.Node, modules: dict[str, nn.Module]) -> bool:
    return node.op == "call_module" and isinstance(modules[str(node.target)], WEIGHTED)


def _passing_kind(node: fx.Node, modules: dict[str, nn.Module]) -> type[nn.Module] | None:
    kind: type[nn.Module] | None
    if node.op == "call_module":
        kind = type(modules[str(node.target)])
    elif node.op == "call_function":
        kind = FUNCTIONS.get(node.target)
    elif node.op == "call_method":
        kind = METHODS.get(str(node.target))
    else:
        kind = None
    if kind is None or not issubclass(kind, PASSING):
        return None
    return None if issubclass(kind, SHAPES) and not _flattens(node, modules) else kind


def _flattens(node: fx.Node, modules: dict[str, nn.Module]) -> bool:
    """Whether a flatten, view or reshape joins all dimensions but the batch, at any width."""
    if node.op == "call_module":
        module = modules[str(node.target)]
        return isinstance(module, nn.Flatten) and (module.start_dim, module.end_dim) == (1, -1)
    sizes = node.args[1:]
    if node.target in ("view", "reshape"):
        shape = sizes[0] if len(sizes) == 1 else sizes
        return isinstance(shape, tuple | list) and len(shape) == 2 and bool(shape[1] == -1)
    given = dict(zip(("start_dim", "end_dim"), sizes, strict=False)) | node.kwargs
    return (given.get("start_dim", 0), given.get("end_dim", -1)) == (1, -1)


def _describe(node: fx.Node, modules: dict[str, nn.Module]) -> str:
    if node.op == "call_module":
        return f"{node.target} ({type(modules[str(node.target)]).__name__})"
    if node.target in ("view", "reshape", "flatten", torch.flatten):
        return f"{node.name}, of which only flatten(1) and view(x.size(0), -1) are known to fit"
    return str(node.name)
