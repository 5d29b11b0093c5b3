"""Dead neurons: found, and removed for real.

A neuron whose incoming weights are all zero is dead (Han et al. 2015, section 3.3): its output is
a constant, which goes into the next layer's bias. A neuron that the next layer reads with zero
weights only is unread. Removing one kind makes more of the other, so it is repeated until none
is left.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, fx, nn

from maxprune.errors import StructureError
from maxprune.modes import evaluating
from maxprune.networks.weighted import Weighted, neurons, weighted_layers
from maxprune.plan import KeepPlan, Member, keep_plan
from maxprune.surgery.apply import apply
from maxprune.surgery.chain import AVERAGES, BATCH_NORMS, POOLS, SHAPES, Chain, Link, find_chain


@dataclass(frozen=True)
class DeadRemoval:
    """A network without its dead neurons, the plans that were applied, and what stayed and why."""

    model: nn.Module
    plans: tuple[KeepPlan, ...]
    stayed: dict[str, str]


def dead_neurons(layer: Weighted) -> Bool[Tensor, " neurons"]:
    """Which neurons of a linear or convolution layer have no incoming weight that is not zero."""
    return (layer.weight.detach().flatten(1) == 0).all(1)


def alive_neurons(model: nn.Module) -> dict[str, tuple[int, int]]:
    """Neurons alive and in all, for every linear and convolution layer by name."""
    return {
        name: (int((~dead_neurons(layer)).sum()), neurons(layer))
        for name, layer in weighted_layers(model).items()
    }


def remove_dead(model: nn.Module) -> DeadRemoval:
    """Remove every dead and every unread neuron; the outputs do not change beyond rounding.

    Args:
        model: the network, for evaluation; it is not changed.

    Returns:
        The smaller network (a copy where nothing was found). Neurons that cannot go stay and are
        named with the reason: in a maxout unit, before a padded convolution, in an output layer,
        before a layer without a bias that could take their constant.
    """
    smaller = copy.deepcopy(model)
    plans: list[KeepPlan] = []
    stayed: dict[str, str] = {}
    found = True
    while found:
        found = False
        stayed.clear()
        for layer in list(weighted_layers(smaller)):
            plan = _fold(smaller, layer, stayed)
            if plan is not None:
                smaller = apply(smaller, plan)
                plans.append(plan)
                found = True
    return DeadRemoval(smaller, tuple(plans), stayed)


def _fold(model: nn.Module, layer: str, stayed: dict[str, str]) -> KeepPlan | None:
    """Fold one layer's dead neurons into the next bias, in place; the plan that removes them."""
    module = weighted_layers(model)[layer]
    dead = dead_neurons(module)
    try:
        chain = find_chain(model, layer)
    except StructureError as error:
        if bool(dead.any()):
            stayed[layer] = f"{int(dead.sum())} dead: {error}"
        return None
    if chain.maxout is not None:
        if bool(dead.any()):
            stayed[layer] = f"{int(dead.sum())} dead: in maxout units, which keep equal sizes"
        return None
    reader = weighted_layers(model)[chain.reader]
    each = reader.weight.shape[1] // dead.numel()
    read = reader.weight.detach().transpose(0, 1).unflatten(0, (dead.numel(), each)).flatten(1)
    constants = _constants(model, chain, module, each)
    folds, hindrance = _foldable(model, chain, reader, constants.unflatten(0, (-1, each)))
    foldable = dead & folds
    goes = foldable | (read == 0).all(1)
    if bool((dead & ~goes).any()):
        stayed[layer] = f"{int((dead & ~goes).sum())} dead: {hindrance}"
    if bool(goes.all()):
        goes[0] = False
        stayed[layer] = "1 dead or unread: a layer keeps at least one neuron"
    if not bool(goes.any()):
        return None
    folded = Member(name=chain.reader, side="in", each=each)
    gone = (goes & foldable).nonzero().flatten()
    _add_to_bias(reader, constants, folded.entries(gone))
    keep = tuple(int(i) for i in (~goes).nonzero().flatten())
    return keep_plan({layer: dead.numel()}, {layer: keep}, "dead neurons")


def _constants(
    model: nn.Module, chain: Chain, layer: Weighted, each: int
) -> Float[Tensor, " inputs"]:
    """What the next layer reads from each neuron of the layer if its weights are all zero."""
    value = layer.weight.new_zeros(neurons(layer)) if layer.bias is None else layer.bias
    x = value.detach().clone().reshape(1, -1, *[1] * (layer.weight.dim() - 2))
    modules = dict(model.named_modules())
    with evaluating(model), torch.no_grad():
        for link in chain.links:
            if issubclass(link.kind, SHAPES):
                x = x.flatten(1)
                x = x.repeat_interleave(each, 1) if x.shape[1] == neurons(layer) else x
            elif issubclass(link.kind, POOLS) or _by_batch(modules.get(link.name)):
                continue
            elif link.node.op == "call_module":
                x = modules[link.name](x)
            elif link.node.op == "call_method":
                x = getattr(x, str(link.node.target))()
            else:
                x = _call(link.node, x)
    return x.flatten()


def _call(function: fx.Node, x: Tensor) -> Tensor:
    """Call the function of a node with `x` in the place of what it read."""
    args = fx.map_arg(function.args, lambda _: x)
    result: Tensor = function.target(*args, **fx.map_arg(function.kwargs, lambda _: x))  # type: ignore[operator]
    return result


def _foldable(
    model: nn.Module, chain: Chain, reader: Weighted, constants: Float[Tensor, "neurons each"]
) -> tuple[Bool[Tensor, " neurons"], str]:
    """Whose constant the bias of the next layer can take, and why not that of the others."""
    zero = (constants == 0).all(1)
    modules = dict(model.named_modules())
    for link in chain.links:
        if issubclass(link.kind, AVERAGES) and not _keeps_constants(link, modules):
            return torch.zeros_like(zero), f"read through the padding or divisor of {link.name!r}"
        if _by_batch(modules.get(link.name)):
            return torch.zeros_like(zero), f"{link.name!r} has no running statistics"
    if _pads(reader.__dict__.get("padding", 0)):
        return zero, f"read through the padding of {chain.reader!r}"
    if reader.bias is None:
        return zero, f"{chain.reader!r} has no bias that could take their constant"
    return torch.ones_like(zero), ""


def _by_batch(module: nn.Module | None) -> bool:
    """Whether a batch norm takes its statistics from the batch, in evaluation too."""
    return isinstance(module, BATCH_NORMS) and module.running_mean is None


def _keeps_constants(average: Link, modules: dict[str, nn.Module]) -> bool:
    """Whether average pooling gives c where all is c; a function only with its first arguments."""
    node = average.node
    if node.op != "call_module":
        return len(node.args) <= 3 and not {"padding", "divisor_override"} & node.kwargs.keys()
    module = modules[average.name]
    divisor = getattr(module, "divisor_override", None)
    return divisor is None and not _pads(getattr(module, "padding", 0))


def _pads(padding: object) -> bool:
    return padding != "valid" if isinstance(padding, str) else bool(torch.tensor(padding).any())


def _add_to_bias(reader: Weighted, constants: Float[Tensor, " inputs"], index: Tensor) -> None:
    old = reader.bias
    if index.numel() == 0 or old is None:
        return
    read = reader.weight.detach()[:, index]
    extra = (read.flatten(2).sum(2) if read.dim() > 2 else read) @ constants[index]
    reader.bias = nn.Parameter(old.detach() + extra, requires_grad=old.requires_grad)
