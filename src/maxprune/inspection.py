"""What is in a network and what can be cut: without data and without training."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal

from torch import Tensor, fx, nn

from maxprune.errors import StructureError
from maxprune.inputs import check_kind, checked_shape, example_inputs
from maxprune.measure.layers import LayerCost, layer_costs
from maxprune.modes import device_of
from maxprune.naming import called
from maxprune.networks.maxout import unit_sizes
from maxprune.networks.weighted import neurons, weighted_layers
from maxprune.plan import ChannelGroup, Member
from maxprune.plural import plural
from maxprune.records import Checked
from maxprune.surgery.chain import find_chain, trace
from maxprune.surgery.groups import ShapeError
from maxprune.surgery.insert import check_place, runs_alike
from maxprune.surgery.members import chain_members, target
from maxprune.surgery.narrow import width
from maxprune.surgery.trial import channel_groups

KS = (2, 4)


class Layer(Checked):
    """A layer, what it costs, and whether its neurons can be cut.

    Args:
        name: of the module.
        kind: its class.
        shape: of its output for one sample.
        parameters: its own.
        share: of the network's parameters, in [0, 1].
        macs: multiply-adds of one sample.
        group: the group whose channels are its neurons; empty where it has none of its own (a
            norm, a bare parameter).
        reason: why its neurons cannot be cut; empty if they can, or if it has none.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    share: float
    macs: int
    group: str = ""
    reason: str = ""


class MaxoutGain(Checked):
    """What a maxout over k neurons behind a layer, pruned down to k = 1, would remove.

    Args:
        layer: where.
        neurons: of the layer now; a k-th part of them is left, rounded up.
        k: neurons per unit, at most.
        parameters: how many would go, with those of the norms behind and of the next layer.
        removed: the same as a share of the network's parameters, in [0, 1].
        macs: multiply-adds of one sample that would go.
        retrainings: one with the maxout, and one after each cut of one neuron a unit.
        reason: why it cannot be done; empty if it can.
    """

    layer: str
    neurons: int
    k: int
    parameters: int = 0
    removed: float = 0.0
    macs: int = 0
    retrainings: int = 0
    reason: str = ""


class Inspection(Checked):
    """What `inspect` found.

    Args:
        network: the class of the network.
        input_shape: of one sample.
        parameters: of the whole network.
        macs: multiply-adds of one sample.
        layers: every layer with parameters or multiply-adds, in the network's order.
        groups: the channels that hang together.
        maxouts: what a maxout would bring behind each layer, the largest gain first.
    """

    network: str
    input_shape: tuple[int, ...]
    parameters: int
    macs: int
    layers: tuple[Layer, ...]
    groups: tuple[ChannelGroup, ...]
    maxouts: tuple[MaxoutGain, ...]


def inspect(
    model: nn.Module,
    input_shape: Sequence[int],
    skip: Collection[str] = (),
    heads: Collection[str] = (),
    kind: Literal["float", "int"] = "float",
) -> Inspection:
    """Look into a network: what it costs, what can be cut, and where a maxout pays.

    It runs a few times on random inputs, in evaluation mode, and is not changed. Whatever counts
    as cuttable was cut for trial.

    Args:
        model: the network.
        input_shape: of one sample, without the batch.
        skip: layers that are not to be cut.
        heads: attention modules whose heads are to be cut as wholes.
        kind: numbers that the network takes; "int" gives it zeros and ones, for embeddings.

    Raises:
        UsageError: the shape is not one of positive whole numbers, or `skip` names no layer.
        StructureError: the network does not take such inputs, or cannot be traced.

    Example:
        >>> net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> found = inspect(net, (4,))
        >>> [(layer.name, layer.parameters, layer.reason) for layer in found.layers]
        [('0', 40, ''), ('2', 18, 'it is an output of the network')]
        >>> [(gain.layer, gain.k, gain.parameters) for gain in found.maxouts if not gain.reason]
        [('0', 4, 42), ('0', 2, 28)]
    """
    shape = checked_shape(input_shape)
    x = example_inputs(model, shape, kind)
    check_kind(model, x)
    try:
        groups = channel_groups(model, x, skip, heads)
    except ShapeError as error:
        raise ShapeError(f"{error}; say another with {called('input_shape')}") from error
    costs = layer_costs(model, x)
    total = sum(cost.parameters for cost in costs)
    return Inspection(
        network=type(model).__name__,
        input_shape=shape,
        parameters=total,
        macs=sum(cost.macs for cost in costs),
        layers=tuple(_layer(cost, groups, total) for cost in costs),
        groups=groups,
        maxouts=_gains(model, costs, set(skip), KS),
    )


def _layer(cost: LayerCost, groups: Sequence[ChannelGroup], total: int) -> Layer:
    group = next((g for g in groups if cost.name in g.layers), None)
    return Layer(
        name=cost.name, kind=cost.kind, shape=cost.shape, parameters=cost.parameters,
        share=cost.parameters / max(total, 1), macs=cost.macs,
        group=group.name if group else "", reason=group.reason if group else "",
    )  # fmt: skip


def maxout_gains(
    model: nn.Module, inputs: Tensor, skip: Collection[str] = (), ks: Sequence[int] = KS
) -> tuple[MaxoutGain, ...]:
    """What a maxout would bring behind every layer, the largest first; then those that cannot be.

    Args:
        model: the network; it runs once in evaluation mode.
        inputs: (batch, ...) that it takes.
        skip: layers that are not to be cut.
        ks: neurons per unit.
    """
    return _gains(model, layer_costs(model, inputs.to(device_of(model))), set(skip), ks)


def _gains(
    model: nn.Module, costs: Sequence[LayerCost], skip: set[str], ks: Sequence[int]
) -> tuple[MaxoutGain, ...]:
    graph: fx.Graph | StructureError
    alike = False
    try:
        graph = trace(model)
        alike = runs_alike(model, graph)
    except StructureError as error:
        graph = error
    named, gains = {cost.name: cost for cost in costs}, []
    for layer in weighted_layers(model):
        reason, members = _room(model, graph, alike, layer)
        reason = "it is to be skipped" if layer in skip else reason
        gains += [_gain(model, layer, k, named, reason, members) for k in ks]
    return tuple(sorted(gains, key=lambda gain: (bool(gain.reason), -gain.parameters)))


def _room(
    model: nn.Module, graph: fx.Graph | StructureError, alike: bool, layer: str
) -> tuple[str, tuple[Member, ...]]:
    """Why no maxout can stand behind a layer, empty if one can; and what it would narrow."""
    try:
        if isinstance(graph, StructureError):
            raise graph
        chain = find_chain(model, layer, graph)
        if chain.maxout is not None:
            return f"it feeds the maxout {chain.maxout!r} already", ()
        if not alike:
            check_place(model, chain)
        return "", chain_members(model, chain)
    except StructureError as error:
        return str(error), ()


def _gain(
    model: nn.Module, layer: str, k: int, costs: dict[str, LayerCost], reason: str,
    members: Sequence[Member],
) -> MaxoutGain:  # fmt: skip
    before = neurons(weighted_layers(model)[layer])
    reason = reason or (
        f"k = {k} is more than its {plural(before, 'neuron')}" if before < k else ""
    )
    if reason:
        return MaxoutGain(layer=layer, neurons=before, k=k, reason=reason)
    sizes = unit_sizes(before, k)
    gone = before - len(sizes)
    total = sum(cost.parameters for cost in costs.values())
    parameters = sum(_parameters(model, member, gone) for member in members)
    macs = sum(_macs(model, member, gone, costs) for member in members)
    return MaxoutGain(
        layer=layer, neurons=before, k=k, parameters=parameters, removed=parameters / total,
        macs=macs, retrainings=max(sizes),
    )  # fmt: skip


def _parameters(model: nn.Module, member: Member, channels: int) -> int:
    """Parameters of a module that belong to so many channels of a group."""
    module = target(model, member.name)
    entries = channels * member.each
    if isinstance(module, nn.Parameter):
        return entries * module.numel() // width(module, member.side)
    share = sum(
        p.numel()
        for name, p in module.named_parameters(recurse=False)
        if not (member.side == "in" and name == "bias")
    )
    return entries * share // width(module, member.side)


def _macs(model: nn.Module, member: Member, channels: int, costs: dict[str, LayerCost]) -> int:
    """Multiply-adds of a module that belong to so many channels of a group."""
    module = target(model, member.name)
    cost = costs.get(member.name)
    return channels * member.each * cost.macs // width(module, member.side) if cost else 0
