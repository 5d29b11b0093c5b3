"""Put a maxout into a network, and take it out again at k = 1.

Where the neighbours stand in an `nn.Sequential`, so does the maxout; any other network becomes a
`torch.fx.GraphModule` with the same parameter names.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from itertools import takewhile

import torch
from torch import Tensor, fx, nn

from maxprune.errors import StructureError, UsageError
from maxprune.networks.maxout import Maxout, unit_sizes
from maxprune.networks.weighted import Weighted, neurons, set_inputs
from maxprune.plan import MaxoutPlan
from maxprune.plural import plural
from maxprune.surgery.chain import (
    ACTIVATIONS,
    BATCH_NORMS,
    DROPOUTS,
    Chain,
    Link,
    find_chain,
    find_layer,
    trace,
)


def insert_maxout(model: nn.Module, plan: MaxoutPlan) -> nn.Module:
    """Insert the maxout of the plan, in place; the next layer's inputs shrink by k.

    Where k does not divide the neurons, some units have less.

    The maxout stands behind the layer's batch norm, activation and dropout, in front of any
    pooling (they commute). The weights with which the next layer reads a unit are the mean of
    those with which it read the unit's neurons: the expected value where one neuron of a unit is
    active at a time, each equally often. A start for retraining, not a replacement of it.

    Raises:
        UsageError: the layer has less than k neurons.
        StructureError: the layer cannot be found or cut, or feeds a maxout already.
    """
    chain = find_chain(model, plan.layer)
    before = neurons(find_layer(model, plan.layer))
    if chain.maxout is not None:
        raise StructureError(f"layer {plan.layer!r} feeds the maxout {chain.maxout!r} already")
    if before < plan.k:
        raise UsageError(
            f"k = {plan.k} is more than the {plural(before, 'neuron')} of {plan.layer!r}"
        )
    sizes = unit_sizes(before, plan.k)
    if not runs_alike(model, chain.graph):
        check_place(model, chain)
    leading = _leading(chain)
    anchor = _anchor(chain)
    for link in chain.links[len(leading) :]:
        _merge_batch_norm(model, link, sizes)
    _merge_inputs(find_layer(model, chain.reader), sizes)
    name = f"{plan.layer.rpartition('.')[2]}_maxout"
    linear = isinstance(find_layer(model, plan.layer), nn.Linear)
    maxout = Maxout(sizes, dim=-1 if linear else 1)
    return _place(model, chain, anchor, name, maxout.train(model.training))


def runs_alike(model: nn.Module, graph: fx.Graph) -> bool:
    """Whether a network does the same in training as in evaluation, its modules' modes aside.

    Args:
        model: the network.
        graph: as `trace` gives it in evaluation mode.
    """
    try:
        return str(graph) == str(trace(model, training=True))
    except StructureError:
        return False


def check_place(model: nn.Module, chain: Chain) -> None:
    """Refuse a maxout that needs a graph of a network that `runs_alike` says no of.

    Raises:
        StructureError: it would not stand in an `nn.Sequential`.
    """
    if not _in_sequential(model, _anchor(chain)):
        raise StructureError(
            f"{type(model).__name__} itself does something else in training than in evaluation, "
            "which a traced graph cannot switch; make it a module, for example nn.Dropout"
        )


def _leading(chain: Chain) -> list[Link]:
    """The links in front of the place of a maxout."""
    kinds = (*ACTIVATIONS, *BATCH_NORMS, *DROPOUTS)
    return list(takewhile(lambda link: issubclass(link.kind, kinds), chain.links))


def _anchor(chain: Chain) -> fx.Node:
    """The node behind which the maxout stands."""
    leading = _leading(chain)
    return leading[-1].node if leading else chain.node


def _in_sequential(model: nn.Module, anchor: fx.Node) -> bool:
    """Whether the maxout can be a child of the Sequential that runs the anchor."""
    name = str(anchor.target).rpartition(".")[0]
    parent = model.get_submodule(name) if anchor.op == "call_module" else model
    return _runs_as_sequential(parent, name, anchor)


def _place(model: nn.Module, chain: Chain, anchor: fx.Node, name: str, maxout: Maxout) -> nn.Module:
    if _in_sequential(model, anchor):
        parent_name, _, leaf = str(anchor.target).rpartition(".")
        parent = model.get_submodule(parent_name)
        children = OrderedDict[str, nn.Module]()
        name = _free_name(parent, name)
        for key, child in parent.named_children():
            children[key] = child
            if key == leaf:
                children[name] = maxout
        parent._modules = dict(children)
        return model
    name = _free_name(model, name)
    model.add_module(name, maxout)
    with chain.graph.inserting_after(anchor):
        node = chain.graph.call_module(name)
    anchor.replace_all_uses_with(node)
    node.args = (anchor,)
    return fx.GraphModule(model, chain.graph, type(model).__name__)


def remove_maxout(model: nn.Module, name: str) -> nn.Module:
    """Take out a maxout of k = 1, the identity, in place."""
    parent_name, _, leaf = name.rpartition(".")
    parent = model.get_submodule(parent_name)
    if _is_plain_sequential(parent):
        del parent._modules[leaf]
    elif isinstance(model, fx.GraphModule):
        for node in [n for n in model.graph.nodes if n.op == "call_module" and n.target == name]:
            node.replace_all_uses_with(node.args[0])
            model.graph.erase_node(node)
        model.delete_submodule(name)
        model.recompile()
    else:
        setattr(parent, leaf, nn.Identity())
    return model


def _runs_as_sequential(parent: nn.Module, name: str, child: fx.Node) -> bool:
    """Whether the parent runs its children one after the other; nobody else picks them by index."""
    callers = dict(child.meta.get("nn_module_stack", {})).values()
    return (
        child.op == "call_module"
        and _is_plain_sequential(parent)
        and (not name or any(path == name for path, _ in callers))
    )


def _free_name(parent: nn.Module, name: str) -> str:
    while hasattr(parent, name):
        name += "_"
    return name


def _is_plain_sequential(module: nn.Module) -> bool:
    return isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward


def _merge_inputs(layer: Weighted, sizes: Sequence[int]) -> None:
    weight = layer.weight
    merged = _means(weight.detach(), 1, sizes)
    set_inputs(layer, nn.Parameter(merged, requires_grad=weight.requires_grad))


def _merge_batch_norm(model: nn.Module, link: Link, sizes: Sequence[int]) -> None:
    """A batch norm behind the maxout: a unit's entries are the means of its neurons'."""
    module = dict(model.named_modules()).get(link.name)
    if not isinstance(module, BATCH_NORMS):
        return
    if module.affine:
        for entry in ("weight", "bias"):
            old = getattr(module, entry)
            merged = _means(old.detach(), 0, sizes)
            setattr(module, entry, nn.Parameter(merged, requires_grad=old.requires_grad))
    if module.running_mean is not None and module.running_var is not None:
        module.running_mean = _means(module.running_mean, 0, sizes)
        module.running_var = _means(module.running_var, 0, sizes)
    module.num_features = module.num_features // sum(sizes) * len(sizes)


def _means(old: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """The mean over the neurons of each unit, of the entries that each has along a dimension."""
    by_neuron = old.unflatten(dim, (sum(sizes), -1))
    if len(set(sizes)) == 1:
        units = by_neuron.unflatten(dim, (len(sizes), sizes[0])).mean(dim + 1)
    else:
        each = torch.tensor(sizes, device=old.device)
        shape = [*by_neuron.shape[:dim], len(sizes), *by_neuron.shape[dim + 1 :]]
        unit_of = torch.arange(len(sizes), device=old.device).repeat_interleave(each)
        units = old.new_zeros(shape).index_add_(dim, unit_of, by_neuron)
        units /= each.view(-1, *[1] * (by_neuron.dim() - dim - 1))
    merged: Tensor = units.flatten(dim, dim + 1).contiguous()
    return merged


def head(model: nn.Module, chain: Chain, node: fx.Node) -> fx.GraphModule:
    """The part of the network that computes `node`; it shares the network's parameters."""
    needed = {node}
    for old in reversed(chain.graph.nodes):
        if old in needed or old.op == "placeholder":
            needed.update(old.all_input_nodes, [old])
    graph = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    for old in chain.graph.nodes:
        if old in needed:
            copies[old] = graph.node_copy(old, lambda n: copies[n])
    graph.output(copies[node])
    return fx.GraphModule(model, graph, "Head")
