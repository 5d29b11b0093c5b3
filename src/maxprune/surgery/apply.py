"""Apply a plan: a model and a plan in, a smaller model out, no decisions.

The caller's model is never changed.
"""

from __future__ import annotations

import torch
from torch import nn

from maxprune.errors import StructureError
from maxprune.lineage import lineage, remember
from maxprune.modes import copied
from maxprune.plan import KeepPlan, MaxoutPlan, Plan, SharePlan, ZeroPlan
from maxprune.surgery.chain import find_chain, find_maxout
from maxprune.surgery.insert import insert_maxout, remove_maxout
from maxprune.surgery.members import members_of, removed_entries, target
from maxprune.surgery.narrow import narrow, narrow_parameter, width
from maxprune.weights.magnitude import zero_below
from maxprune.weights.sharing import share_values


def apply(model: nn.Module, plan: Plan) -> nn.Module:
    """The network that the plan describes, as a new module.

    Args:
        model: any network; it is not changed. Where the plan does not say what is cut along with
            a layer, and for a maxout, torch.fx must be able to trace it.
        plan: a maxout to insert, neurons to keep, weights to set to zero, or values that
            weights share.

    Returns:
        A new network that shares no memory with `model`, and whose lineage has the plan in it.

    Raises:
        StructureError: the plan does not fit the network.
    """
    return change(copied(model), plan)


def change(model: nn.Module, plan: Plan) -> nn.Module:
    """`apply` to a network that nobody else has: it is changed, and needs no memory for a copy."""
    known = lineage(model)
    if isinstance(plan, MaxoutPlan):
        model = insert_maxout(model, plan)
    elif isinstance(plan, ZeroPlan):
        zero_below(model, plan.threshold)
    elif isinstance(plan, SharePlan):
        share_values(model, plan)
    else:
        model = _cut(model, plan)
    return remember(model, known.then(plan))


def _cut(model: nn.Module, plan: KeepPlan) -> nn.Module:
    """Remove the neurons of all layers of the plan, in place.

    Every member is found in the network before the cut, so the order of the layers is nothing.
    """
    goes = {layer: torch.tensor(plan.removed(layer), dtype=torch.long) for layer in plan.keep}
    members = {layer: members_of(model, plan, layer) for layer in plan.keep}
    maxouts = {
        maxout: _units(model, maxout, plan, layer)
        for layer in plan.keep
        if layer not in plan.members and (maxout := find_chain(model, layer).maxout)
    }
    entries = removed_entries((m, goes[layer]) for layer in plan.keep for m in members[layer])
    for (name, side), gone in entries.items():
        owner, _, leaf = name.rpartition(".")
        if side == "count":
            counting = target(model, owner)
            setattr(counting, leaf, getattr(counting, leaf) - len(gone))
            continue
        module = target(model, name)
        stays = torch.ones(width(module, side), dtype=torch.bool)
        stays[gone] = False
        if not bool(stays.any()):
            raise StructureError(f"the plan would leave nothing of {name!r}")
        keep = stays.nonzero().flatten()
        if isinstance(module, nn.Parameter):
            narrow_parameter(model.get_submodule(owner), leaf, keep)
        elif len(gone):
            narrow(module, side, keep)
    for name, sizes in maxouts.items():
        find_maxout(model, name).resize(sizes)
        model = remove_maxout(model, name) if max(sizes) == 1 else model
    return model


def _units(model: nn.Module, name: str, plan: KeepPlan, layer: str) -> list[int]:
    """How many neurons each unit of the maxout keeps."""
    before = find_maxout(model, name).of_each(plan.neurons[layer])
    unit_of = torch.arange(len(before)).repeat_interleave(torch.tensor(before))
    stay = torch.bincount(unit_of[list(plan.keep[layer])], minlength=len(before))
    if not bool(stay.all()):
        raise StructureError(f"every unit of {name!r} must keep at least 1 input")
    return [int(count) for count in stay]
