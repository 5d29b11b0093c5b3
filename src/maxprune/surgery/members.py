"""What a plan cuts, module by module."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

import torch
from jaxtyping import Int
from torch import Tensor, nn

from maxprune.errors import StructureError
from maxprune.networks.maxout import Maxout
from maxprune.networks.weighted import neurons, weighted_layers
from maxprune.plan import KeepPlan, Member
from maxprune.plural import plural
from maxprune.surgery.chain import BATCH_NORMS, Chain, find_chain, find_layer
from maxprune.surgery.narrow import Side, width


def members_of(model: nn.Module, plan: KeepPlan, layer: str) -> tuple[Member, ...]:
    """All that is cut along with a layer: as the plan has it, else by following its one reader.

    Raises:
        StructureError: the plan does not fit the network, or says nothing of the layer's readers
            and it has not exactly one.
    """
    channels, before = plan.neurons[layer], _neurons(model, plan, layer)
    if before != channels:
        raise StructureError(
            f"the plan is for {plural(channels, 'neuron')} of layer {layer!r}, which has {before}"
        )
    members = plan.members.get(layer)
    if members is None:
        return chain_members(model, find_chain(model, layer))
    for member in members:
        if member.side == "count":
            continue
        there = width(target(model, member.name), member.side)
        if member.start + channels * member.each > there:
            raise StructureError(
                f"the plan needs {member.start + channels * member.each} entries of "
                f"{member.name!r}, which has {there}"
            )
    return members


def _neurons(model: nn.Module, plan: KeepPlan, layer: str) -> int:
    for member in plan.members.get(layer, ()):
        if member.side == "count":
            owner, _, leaf = member.name.rpartition(".")
            return int(getattr(target(model, owner), leaf, 0))
    alone = layer not in plan.members
    return neurons(find_layer(model, layer)) if alone else width(target(model, layer), "out")


def chain_members(model: nn.Module, chain: Chain) -> tuple[Member, ...]:
    """The members of a layer that feeds one other: itself, the batch norms behind it, the reader.

    Nothing behind a maxout changes its shape.
    """
    channels = neurons(find_layer(model, chain.layer))
    modules = dict(model.named_modules())
    found = [Member(name=chain.layer, side="out")]
    for link in chain.before(chain.first((Maxout,))):
        norm = modules.get(link.name)
        if isinstance(norm, BATCH_NORMS):
            found.append(Member(name=link.name, side="along", each=norm.num_features // channels))
    if chain.maxout is None:
        inputs = find_layer(model, chain.reader).weight.shape[1]
        found.append(Member(name=chain.reader, side="in", each=inputs // channels))
    return tuple(found)


def target(model: nn.Module, name: str) -> nn.Module | nn.Parameter:
    """The module or bare parameter of that name.

    Raises:
        StructureError: there is none.
    """
    for find in (model.get_submodule, model.get_parameter):
        with contextlib.suppress(AttributeError):
            found: nn.Module | nn.Parameter = find(name)
            return found
    known = ", ".join(weighted_layers(model))
    raise StructureError(f"the network has no layer {name!r}; it has {known or 'none to cut'}")


def removed_entries(
    members: Iterable[tuple[Member, Int[Tensor, " channels"]]],
) -> dict[tuple[str, Side], Int[Tensor, " entries"]]:
    """The entries that go from each side of each module, over all groups of a plan together."""
    found: dict[tuple[str, Side], list[Tensor]] = {}
    for member, channels in members:
        found.setdefault((member.name, member.side), []).append(member.entries(channels))
    return {key: torch.cat(entries).unique() for key, entries in found.items()}
