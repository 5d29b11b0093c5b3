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
from torch import Tensor, nn

from maxprune.errors import StructureError
from maxprune.modes import evaluating
from maxprune.networks.weighted import Weighted, neurons, weighted_layers
from maxprune.plan import KeepPlan, keep_plan
from maxprune.surgery.apply import apply, expand
from maxprune.surgery.chain import POOLS, SHAPES, Chain, find_chain


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
        named with the reason: in a maxout unit, before a padded convolution, in an output layer.
    """
    smaller = copy.deepcopy(model)
    plans: list[KeepPlan] = []
    stayed: dict[str, str] = {}
    found = True
    while found:
        found = False
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
    foldable = dead & _can_fold(model, chain, reader, constants.unflatten(0, (-1, each)))
    if bool((dead & ~foldable).any()):
        stayed[layer] = f"{int((dead & ~foldable).sum())} dead: read through padding"
    goes = foldable | (read == 0).all(1)
    if bool(goes.all()):
        goes[0] = False
    if not bool(goes.any()):
        return None
    _add_to_bias(reader, constants, expand((goes & foldable).nonzero().flatten(), each))
    keep = tuple(int(i) for i in (~goes).nonzero().flatten())
    return keep_plan({layer: dead.numel()}, {layer: keep}, "dead neurons")


def _constants(
    model: nn.Module, chain: Chain, layer: Weighted, each: int
) -> Float[Tensor, " inputs"]:
    """What the next layer reads from each neuron of the layer if its weights are all zero."""
    value = layer.weight.new_zeros(neurons(layer)) if layer.bias is None else layer.bias
    x = value.detach().reshape(1, -1, *[1] * (layer.weight.dim() - 2))
    modules = dict(model.named_modules())
    with evaluating(model), torch.no_grad():
        for link in chain.links:
            if issubclass(link.kind, SHAPES):
                x = x.flatten(1).repeat_interleave(each, 1)
            elif issubclass(link.kind, POOLS):
                continue
            elif link.node.op == "call_module":
                x = modules[link.name](x)
            elif link.node.op == "call_method":
                x = getattr(x, str(link.node.target))()
            else:
                x = link.node.target(x, *link.node.args[1:], **link.node.kwargs)  # type: ignore[operator]
    return x.flatten()


def _can_fold(
    model: nn.Module, chain: Chain, reader: nn.Module, constants: Float[Tensor, "neurons each"]
) -> Bool[Tensor, " neurons"]:
    """A constant can be folded unless padding lets the next layer see zeros beside it."""
    modules = dict(model.named_modules())
    padded = any(_pads(modules.get(link.name)) for link in chain.links) or _pads(reader)
    return (constants == 0).all(1) | (not padded)


def _pads(module: nn.Module | None) -> bool:
    if isinstance(module, nn.MaxPool1d | nn.MaxPool2d | nn.MaxPool3d):
        return False
    padding = getattr(module, "padding", 0)
    return padding != "valid" if isinstance(padding, str) else bool(torch.tensor(padding).any())


def _add_to_bias(reader: Weighted, constants: Float[Tensor, " inputs"], index: Tensor) -> None:
    if index.numel() == 0:
        return
    read = reader.weight.detach()[:, index]
    extra = (read.flatten(2).sum(2) if read.dim() > 2 else read) @ constants[index]
    reader.bias = nn.Parameter(extra if reader.bias is None else reader.bias.detach() + extra)
