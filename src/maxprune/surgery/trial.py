"""Cut for trial: what the analysis of a network says is believed only after it was tried.

The trial halves every group in a copy of the network whose weights are random, so that no zero
in the real ones can hide a mistake, and compares with the same network masked. It does so in double
precision: behind many layers a mistake may change the outputs by less than single precision shows.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from torch import Tensor, nn

from maxprune.errors import AuditError, MaxpruneError, UsageError, first_line
from maxprune.modes import copied, device_of, evaluating
from maxprune.plan import ChannelGroup
from maxprune.planner import half_plan
from maxprune.surgery.apply import apply
from maxprune.surgery.audit import audit
from maxprune.surgery.chain import check_traceable
from maxprune.surgery.groups import find_groups
from maxprune.surgery.heads import head_groups

DOUBLE, SINGLE = 1e-9, 1e-3  # tolerances of a trial, relative


def channel_groups(
    model: nn.Module, inputs: Tensor, skip: Collection[str] = (), heads: Collection[str] = ()
) -> tuple[ChannelGroup, ...]:
    """Every group of channels that hang together, in the network's order.

    Residual and concatenated branches, depthwise and grouped convolutions, batch, layer and group
    norm, flattening and bare parameters are followed. Attention heads are left whole unless asked
    for. Each group that can be cut was cut for trial.

    Args:
        model: any network; it is not changed.
        inputs: (batch, ...), a few inputs of the network; random ones will do.
        skip: layers that are not to be cut, by name; whatever hangs together with them stays.
        heads: modules whose attention heads are to be cut as wholes, by name; their forward
            function must take the number of heads from an attribute (`num_heads` or the like) and
            no other width from that of its input.

    Returns:
        The groups, those that cannot be cut with the `reason`.

    Raises:
        StructureError: the network does not take these inputs, gives no tensor, or cannot be
            traced because its path depends on its input.
        UsageError: `skip` names no layer of the network, or `heads` no attention that is known.

    Example:
        >>> net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> [(g.name, g.channels, g.reason) for g in channel_groups(net, torch.randn(2, 4))]
        [('0', 8, ''), ('2', 2, 'it is an output of the network')]
    """
    check_traceable(model, inputs)
    groups = find_groups(model, inputs)
    known = {layer for group in groups for layer in group.layers}
    unknown = [name for name in skip if name not in known]
    if unknown:
        raise UsageError(f"no layer {unknown[0]!r} to skip; there are {', '.join(sorted(known))}")
    groups = tuple(
        _because(g, "it is to be skipped") if not g.reason and set(g.layers) & set(skip) else g
        for g in groups
    )
    for name in heads:
        groups = _with_heads(model, groups, name, inputs)
    return _tried(model, groups, inputs)


def _with_heads(
    model: nn.Module, groups: tuple[ChannelGroup, ...], name: str, inputs: Tensor
) -> tuple[ChannelGroup, ...]:
    """The groups with the heads of one attention in the place of its queries, keys and values."""
    network, x, tolerance = _random(model, inputs)
    reason = ""
    for group in head_groups(model, name, groups):
        reason = group.reason or _failure(network, [group], x, tolerance)
        if not reason:
            break
    group = _because(group, reason)
    first = next(i for i, g in enumerate(groups) if g.name in group.layers)
    others = [g for g in groups if g.name not in group.layers]
    return (*others[:first], group, *others[first:])


def _tried(
    model: nn.Module, groups: tuple[ChannelGroup, ...], inputs: Tensor
) -> tuple[ChannelGroup, ...]:
    """The groups with a reason for each whose trial cut failed."""
    free = [group for group in groups if not group.reason]
    if not free:
        return groups
    network, x, tolerance = _random(model, inputs)
    failed = _failed(network, free, x, tolerance)
    return tuple(_because(g, failed.get(g.name, g.reason)) for g in groups)


def _because(group: ChannelGroup, reason: str) -> ChannelGroup:
    return group.model_copy(update={"reason": reason})


def _failed(
    network: nn.Module, groups: Sequence[ChannelGroup], inputs: Tensor, tolerance: float
) -> dict[str, str]:
    """The groups that cannot be cut, with the reason: found by halving the suspects."""
    reason = _failure(network, groups, inputs, tolerance)
    if not reason:
        return {}
    if len(groups) == 1:
        return {groups[0].name: reason}
    middle = len(groups) // 2
    halves = (groups[:middle], groups[middle:])
    failed = {
        name: why
        for half in halves
        for name, why in _failed(network, half, inputs, tolerance).items()
    }
    return failed or {group.name: f"together with others, {reason}" for group in groups}


def _failure(
    network: nn.Module, groups: Sequence[ChannelGroup], inputs: Tensor, tolerance: float
) -> str:
    """Why these groups cannot be cut together; empty if the trial works."""
    plan = half_plan(groups)
    try:
        audit(network, apply(network, plan), plan, inputs, tolerance)
    except AuditError:
        return "a trial cut changed what other channels give"
    except MaxpruneError as error:
        return f"a trial cut failed: {error}"
    except Exception as error:
        return f"a trial cut did not run: {first_line(error)}"
    return ""


def _random(model: nn.Module, inputs: Tensor) -> tuple[nn.Module, Tensor, float]:
    """A copy whose weights are random and of a size that signals neither die nor blow up.

    Returns:
        The network and the inputs in double precision, and the tolerance of its trials; all in
        single precision for a forward function that insists on that.
    """
    x = inputs.double() if inputs.is_floating_point() else inputs
    double = _with_random_weights(copied(model).double())
    try:
        with evaluating(double), torch.no_grad():
            double(x.to(device_of(double)))
    except Exception:
        return _with_random_weights(copied(model)), inputs, SINGLE
    return double, x, DOUBLE


def _with_random_weights(network: nn.Module) -> nn.Module:
    """The network with other weights, in place: signals keep their size from layer to layer."""
    generator = torch.Generator(device_of(network)).manual_seed(0)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if not parameter.is_floating_point():
                continue
            if parameter.dim() > 1:
                size = (6 / parameter[0].numel()) ** 0.5
                parameter.uniform_(-size, size, generator=generator)
            elif name.endswith("bias"):
                parameter.uniform_(-0.2, 0.4, generator=generator)
            else:  # the scale of a norm, usually
                parameter.uniform_(0.7, 1.4, generator=generator)
        for name, buffer in network.named_buffers():
            if name.endswith("running_mean"):
                buffer.uniform_(-0.3, 0.3, generator=generator)
            elif name.endswith("running_var"):
                buffer.uniform_(0.5, 1.5, generator=generator)
    return network
