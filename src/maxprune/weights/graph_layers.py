"""The layers of a graph that calls core ATen operators on bare weights.

A network that is opened by its graph (see `store.graph`) has no layers: a linear one is
`addmm(bias, x, permute(weight, [1, 0]))`, or `mm(x, permute(weight, [1, 0]))`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor, fx, nn

Layer: TypeAlias = nn.Linear | nn.Conv2d
aten = torch.ops.aten


def put_layers(model: fx.GraphModule) -> None:
    """Put layers in the place of the products and convolutions with weights of the network.

    Linear layers and convolutions of two dimensions.

    Args:
        model: it is changed; its outputs are not.
    """
    graph = model.graph
    names: dict[tuple[int, int, str], str] = {}
    for node in list(graph.nodes):
        found = _layer(model, node)
        if found is None:
            continue
        layer, x = found
        name = names.setdefault((id(layer.weight), id(layer.bias), str(layer)), node.name)
        if name == node.name:
            model.add_module(name, layer)
        with graph.inserting_before(node):
            node.replace_all_uses_with(graph.call_module(name, (x,)))
        graph.erase_node(node)
    graph.eliminate_dead_code()
    _forget(model, set(names.values()))
    model.recompile()


def _layer(model: fx.GraphModule, node: fx.Node) -> tuple[Layer, fx.Node] | None:
    """The layer that a node is, and its input; None for whatever else."""
    args: Any = node.args
    how: Sequence[Any] = ()
    if node.target is aten.addmm.default and not node.kwargs:
        bias, x, weight = args[0], args[1], _turned(model, args[2])
    elif node.target is aten.mm.default:
        bias, x, weight = None, args[0], _turned(model, args[1])
    elif node.target is aten.convolution.default:
        x, weight, bias, *how = args
        weight = _parameter(model, weight)
    else:
        return None
    own = _parameter(model, bias)
    if weight is None or (bias is not None and (own is None or own.ndim != 1)):
        return None
    layer = _convolution(weight, own, how) if how else _linear(weight, own)
    if layer is None:
        return None
    layer.register_parameter("weight", weight)
    layer.register_parameter("bias", own)
    return layer.eval(), x


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    outputs, inputs = weight.shape
    return nn.Linear(inputs, outputs, bias is not None, device="meta")


def _convolution(weight: Tensor, bias: Tensor | None, how: Sequence[Any]) -> nn.Conv2d | None:
    """`how` is what the operator is told behind the weights and the bias."""
    stride, padding, dilation, transposed, _, groups = how
    if weight.ndim != 4 or transposed:
        return None
    outputs, inputs, high, wide = weight.shape
    return nn.Conv2d(
        inputs * groups, outputs, (high, wide), tuple(stride), tuple(padding), tuple(dilation),
        groups, bias is not None, device="meta",
    )  # fmt: skip


def _turned(model: fx.GraphModule, node: Any) -> nn.Parameter | None:
    """The matrix that a node turns over."""
    if getattr(node, "target", None) is not aten.permute.default or node.args[1] != [1, 0]:
        return None
    return _parameter(model, node.args[0])


def _parameter(model: fx.GraphModule, node: Any) -> nn.Parameter | None:
    """The parameter that a node stands for."""
    if not isinstance(node, fx.Node) or node.op != "get_attr":
        return None
    owner, _, leaf = str(node.target).rpartition(".")
    found = getattr(model.get_submodule(owner), leaf)
    return found if isinstance(found, nn.Parameter) else None


def _forget(model: fx.GraphModule, layers: set[str]) -> None:
    """Let go of the weights that only layers have now, under their earlier names."""
    used = {node.target for node in model.graph.nodes if node.op == "get_attr"}
    for name in [name for name, _ in model.named_parameters(remove_duplicate=False)]:
        owner, _, leaf = name.rpartition(".")
        if name not in used and owner not in layers:
            delattr(model.get_submodule(owner), leaf)
