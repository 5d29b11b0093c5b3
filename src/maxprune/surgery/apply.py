"""Apply a plan: a model and a plan in, a smaller model out, no decisions.

The caller's model is never changed.
"""

from __future__ import annotations

import copy

import torch
from jaxtyping import Int
from torch import Tensor, nn

from maxprune.errors import StructureError
from maxprune.lineage import lineage, remember
from maxprune.networks.maxout import Maxout
from maxprune.networks.weighted import Weighted, neurons, set_inputs, set_neurons
from maxprune.plan import KeepPlan, MaxoutPlan, Plan, ZeroPlan
from maxprune.surgery.chain import BATCH_NORMS, find_chain, find_layer, find_maxout
from maxprune.surgery.insert import insert_maxout, remove_maxout
from maxprune.weights.magnitude import zero_below


def apply(model: nn.Module, plan: Plan) -> nn.Module:
    """The network that the plan describes, as a new module.

    Args:
        model: any network that torch.fx can trace; it is not changed.
        plan: a maxout to insert, neurons to keep, or weights to set to zero.

    Returns:
        A new network that shares no memory with `model`, and whose lineage has the plan in it.

    Raises:
        StructureError: the plan does not fit the network.
    """
    known = lineage(model)
    smaller = copy.deepcopy(model)
    if isinstance(plan, MaxoutPlan):
        smaller = insert_maxout(smaller, plan)
    elif isinstance(plan, ZeroPlan):
        zero_below(smaller, plan.threshold)
    else:
        for layer in plan.keep:
            smaller = _cut(smaller, plan, layer)
    return remember(smaller, known.then(plan))


def _cut(model: nn.Module, plan: KeepPlan, layer: str) -> nn.Module:
    """Remove the neurons of one layer, in place."""
    chain = find_chain(model, layer)
    module = find_layer(model, layer)
    before = neurons(module)
    if before != plan.neurons[layer]:
        raise StructureError(
            f"the plan is for {plan.neurons[layer]} neurons of layer {layer!r}, which has {before}"
        )
    keep = torch.tensor(plan.keep[layer])
    _narrow_outputs(module, keep)
    for link in chain.before(chain.first((Maxout,))):
        _narrow_batch_norm(model, link.name, keep, before)
    if chain.maxout is None:
        _narrow_inputs(find_layer(model, chain.reader), keep, before)
        return model
    return _narrow_units(model, chain.maxout, keep, before)


def _narrow_units(
    model: nn.Module, name: str, keep: Int[Tensor, " kept"], before: int
) -> nn.Module:
    """Give every unit of the maxout the same smaller number of inputs; k = 1 removes it."""
    maxout = find_maxout(model, name)
    stay = torch.bincount(keep // maxout.k, minlength=before // maxout.k)
    if not bool((stay == stay[0]).all()):
        raise StructureError(
            f"every unit of {name!r} must keep the same number of inputs, at least 1"
        )
    maxout.k = int(stay[0])
    return remove_maxout(model, name) if maxout.k == 1 else model


def _narrow_outputs(layer: Weighted, keep: Int[Tensor, " kept"]) -> None:
    bias = None if layer.bias is None else _selected(layer.bias, keep, 0)
    set_neurons(layer, _selected(layer.weight, keep, 0), bias)


def _narrow_inputs(layer: Weighted, keep: Int[Tensor, " kept"], before: int) -> None:
    each = layer.weight.shape[1] // before
    set_inputs(layer, _selected(layer.weight, expand(keep, each), 1))


def _narrow_batch_norm(model: nn.Module, name: str, keep: Int[Tensor, " kept"], of: int) -> None:
    module = dict(model.named_modules()).get(name)
    if not isinstance(module, BATCH_NORMS):
        return
    index = expand(keep, module.num_features // of)
    if module.affine:
        module.weight, module.bias = (_selected(p, index, 0) for p in (module.weight, module.bias))
    if module.running_mean is not None and module.running_var is not None:
        module.running_mean = module.running_mean[index.to(module.running_mean.device)]
        module.running_var = module.running_var[index.to(module.running_var.device)]
    module.num_features = len(index)


def expand(keep: Int[Tensor, " kept"], each: int) -> Int[Tensor, " inputs"]:
    """The inputs that belong to the kept neurons where each has `each` adjacent ones (flatten)."""
    return (keep[:, None] * each + torch.arange(each)).flatten()


def _selected(old: Tensor, index: Int[Tensor, " kept"], dim: int) -> nn.Parameter:
    """These entries of a parameter along one dimension, as a new parameter."""
    new = old.detach().index_select(dim, index.to(old.device))
    return nn.Parameter(new, requires_grad=old.requires_grad)
