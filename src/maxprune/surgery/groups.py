"""Which channels hang together, in any network: the one place that talks to torch-pruning.

A residual sum, a concatenation, a depthwise convolution or a norm ties the channels of several
layers to each other: cut in one place, they have to go in all (Fang et al. 2023, section 3).
torch-pruning follows autograd's graph of one forward pass to find them. It guesses where it does
not know an operation, and says nothing; so a group counts as one that can be cut only if every
operation in it is known to keep channels apart, and if cutting it for trial gives the outputs of
the network with those channels masked (`surgery.trial`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils import parametrize
from torch_pruning.dependency import DependencyGraph

from maxprune.errors import StructureError, first_line
from maxprune.modes import copied, device_of
from maxprune.plan import ChannelGroup, Member
from maxprune.surgery.audit import tensors_of
from maxprune.surgery.narrow import NARROWED, Side, is_depthwise, parts, width

# Operations of autograd through which every channel passes alone, by the beginning of their name.
APART = (
    "Abs", "Add", "Sub", "Mul", "Div", "Neg", "Exp", "Log", "Pow", "Sqrt", "Rsqrt", "Maximum",
    "Minimum", "Clamp", "Where", "Lerp",
    "Relu", "LeakyRelu", "Threshold", "Hardtanh", "Hardsigmoid", "Hardswish", "Sigmoid", "Silu",
    "Tanh", "Elu", "Gelu", "Mish", "Softplus", "Prelu", "LogSigmoid",
    "MaxPool", "AvgPool", "AdaptiveAvgPool", "AdaptiveMaxPool", "MkldnnMaxPool", "Upsample",
    "ConstantPadNd", "ReflectionPad", "ReplicationPad", "Mean", "Sum", "Amax", "Max",
    "NativeDropout", "FusedDropout", "FeatureDropout", "Bernoulli",
    "Cat", "Split", "Unbind", "View", "UnsafeView", "Reshape", "Alias", "Clone", "Contiguous",
    "ToCopy", "Expand", "Repeat", "Squeeze", "Unsqueeze", "Transpose", "Permute", "TBackward",
    "Select", "Slice", "Index", "Flatten", "Addmm", "Mm", "Convolution", "Mkldnn",
    "NativeBatchNorm", "CudnnBatchNorm", "NativeLayerNorm", "NativeGroupNorm",
)  # fmt: skip
ATTENTION = ("ScaledDotProduct", "Bmm", "BaddBmm")

ATTENDED = "it is read by an attention, whose heads are left whole"
WHOLE = (nn.MultiheadAttention, nn.RNNBase, nn.RNNCellBase)


@dataclass(frozen=True)
class _Found:
    """A network as torch-pruning sees it, and what it does not tell."""

    graph: Any
    names: dict[Any, str]
    outputs: frozenset[Any]
    reused: frozenset[str]


class ShapeError(StructureError):
    """The network does not take inputs of this shape."""


def find_groups(model: nn.Module, inputs: Tensor) -> tuple[ChannelGroup, ...]:
    """Every group of channels, in the network's order, without the trial cut.

    Args:
        model: the network; it is not changed.
        inputs: (batch, ...), inputs of the network, at least one.

    Raises:
        StructureError: the network does not take these inputs, or gives no tensor.
    """
    lazy = [n for n, p in model.named_parameters() if isinstance(p, nn.UninitializedParameter)]
    if lazy:
        raise StructureError(f"{lazy[0]!r} is not there yet; run the network once")
    traced = copied(model).eval()
    for parameter in traced.parameters():
        if parameter.is_floating_point():
            parameter.requires_grad_(True)
    x = inputs.to(device_of(model))
    _check_runs(traced, x)
    found = _trace(traced, x)
    groups: list[ChannelGroup] = []
    seen: set[str] = set()
    for name, module in traced.named_modules():
        if isinstance(module, nn.Linear | _ConvNd) and name not in seen:
            if is_depthwise(module):
                continue
            group = _group(found, name, module)
            seen |= set(group.layers)
            groups.append(group)
    return tuple(groups)


def library_scores(
    model: nn.Module, inputs: Tensor, groups: Sequence[ChannelGroup], importance: Any
) -> Iterator[tuple[ChannelGroup, Tensor | None]]:
    """What one of torch-pruning's importances says of groups that were found here.

    Args:
        model: the network, all of its parameters trainable, with the gradients that the importance
            looks at.
        inputs: (batch, ...), inputs of the network, at least one.
        groups: of the network.
        importance: of torch-pruning, called with one of its groups.

    Yields:
        A group and (channels,), or None where the importance has nothing to say.

    Raises:
        StructureError: the importance fails, or a group is not made of the channels of a layer.
    """
    graph = _trace(model, inputs.to(device_of(model))).graph
    for group in groups:
        owner = model.get_submodule(group.name)
        if owner not in graph.module2node:
            raise StructureError(f"{group.name!r} is no layer; torch-pruning has no score for it")
        pruner = graph.get_pruner_of_module(owner)
        index = list(range(group.channels))
        try:
            found = importance(graph.get_pruning_group(owner, pruner.prune_out_channels, index))
        except Exception as error:
            raise StructureError(
                f"{type(importance).__name__} fails at {group.name!r}: {first_line(error)}"
            ) from error
        yield group, found


def _check_runs(model: nn.Module, x: Tensor) -> None:
    """Refuse inputs that the network does not take."""
    try:
        with torch.no_grad():
            model(x)
    except Exception as error:
        raise ShapeError(
            f"the network {type(model).__name__} does not take an input of shape "
            f"{tuple(x.shape[1:])}: {first_line(error)}"
        ) from error


def _trace(model: nn.Module, x: Tensor) -> _Found:
    """One forward pass, followed by torch-pruning."""
    calls: Counter[str] = Counter()
    outputs: list[Any] = []

    def keep(out: Any) -> Any:
        tensors = [t for t in tensors_of(out) if t.grad_fn is not None]
        if not tensors:
            raise StructureError(
                f"the network {type(model).__name__} gives no tensor of its layers"
            )
        outputs.extend(t.grad_fn for t in tensors)
        return tensors

    handles = [
        module.register_forward_hook(lambda *_, name=name: calls.update([name]))
        for name, module in model.named_modules()
        if not any(True for _ in module.children())
    ]
    try:
        with torch.enable_grad():
            # A tuple, since torch-pruning would take a bare tensor apart along its batch.
            graph = DependencyGraph().build_dependency(
                model, (x,), output_transform=keep, verbose=False
            )
    except StructureError:
        raise
    except Exception as error:
        raise StructureError(
            f"the network {type(model).__name__} cannot be followed: {first_line(error)}"
        ) from error
    finally:
        for handle in handles:
            handle.remove()
    names: dict[Any, str] = {module: name for name, module in model.named_modules()}
    names |= {parameter: name for name, parameter in model.named_parameters()}
    reused = {name for name, count in calls.items() if count > 1} | _tied(model)
    return _Found(graph, names, frozenset(outputs), frozenset(reused))


def _tied(model: nn.Module) -> set[str]:
    """Modules that share a parameter with another one."""
    owners: dict[int, set[str]] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        for parameter in module.parameters(recurse=False):
            owners.setdefault(id(parameter), set()).add(name)
    return {name for names in owners.values() if len(names) > 1 for name in names}


def _group(found: _Found, name: str, module: nn.Module) -> ChannelGroup:
    """The group of the channels of one layer, with the reason why it cannot be cut if so."""
    channels = width(module, "out")
    alone = (Member(name=name, side="out"),)
    owner = _whole(found, name)
    if owner:
        reason = f"it is part of {owner}, which is left whole"
        return ChannelGroup(name=name, channels=channels, members=alone, reason=reason)
    if module not in found.graph.module2node:
        reason = "it is not used, or its gradient is cut off"
        return ChannelGroup(name=name, channels=channels, members=alone, reason=reason)
    pruner = found.graph.get_pruner_of_module(module)
    items = found.graph.get_pruning_group(module, pruner.prune_out_channels, list(range(channels)))
    members: list[Member] = []
    hindrances = [reason for item in items if (reason := _hindrance(found, item.dep))]
    reason = ATTENDED if ATTENDED in hindrances else next(iter(hindrances), "")
    divided = 1
    for item in items:
        target = item.dep.target.module
        if not isinstance(target, (*NARROWED, nn.Parameter)) or _is_single(target):
            continue
        member = _member(found.names[target], _side(item.dep), item, channels)
        if member is None:
            reason = reason or f"its channels are interleaved in {found.names[target]!r}"
        elif member not in members:
            members.append(member)
            divided = math.lcm(divided, parts(target))
            if parts(target) > 1 and channels * member.each < width(target, member.side):
                shared = found.names[target]
                reason = reason or f"it shares the {parts(target)} parts of {shared!r} with others"
    order = list(found.names.values())
    members.sort(key=lambda member: order.index(member.name))
    reason = reason or ("a single channel" if channels == 1 else "")
    if not reason and divided > 1 and (channels % divided or channels // divided < 2):
        reason = f"its {channels} channels fall into {divided} parts, which have none to spare"
    return ChannelGroup(
        name=name, channels=channels, members=tuple(members), parts=divided, reason=reason
    )


def _whole(found: _Found, name: str) -> str:
    """The attention or recurrent module that a layer is part of; empty if there is none."""
    for module, owner in found.names.items():
        if isinstance(module, WHOLE) and name.startswith(f"{owner}."):
            return f"{owner!r} ({type(module).__name__})"
    return ""


def _hindrance(found: _Found, dep: Any) -> str:
    """Why a module or operation of the group forbids the cut; empty if it does not."""
    node, module = dep.target, dep.target.module
    reads = isinstance(module, nn.Linear | _ConvNd) and _side(dep) == "in"
    if node.grad_fn in found.outputs and not reads:
        return "it is an output of the network"
    if module not in found.names:
        return _mixes(node.grad_fn)
    name = found.names[module]
    if name in found.reused:
        return f"{name!r} is used several times, or shares its weights"
    if isinstance(module, nn.Parameter):
        return ""
    if not isinstance(module, NARROWED):
        return f"it passes through {name!r} ({type(module).__name__}), which is left whole"
    if parametrize.is_parametrized(module) or "weight" not in module._parameters:
        return f"{name!r} is parametrized; remove the parametrization first"
    if isinstance(module, nn.LayerNorm) and len(module.normalized_shape) > 1:
        return f"{name!r} normalises over more than the channels"
    return ""


def _mixes(grad_fn: Any) -> str:
    """Why an operation may mix channels; empty if it is known to keep them apart."""
    operation = grad_fn.name() if hasattr(grad_fn, "name") else type(grad_fn).__name__
    operation = operation.rpartition("::")[2]
    if operation.startswith(ATTENTION):
        return ATTENDED
    if operation.startswith(APART):
        return ""
    plain = operation.rstrip("0123456789").removesuffix("Backward")
    return f"it passes through the operation {plain!r}, which may mix channels"


def _is_single(module: nn.Module | nn.Parameter) -> bool:
    """Whether a module has one number for all channels."""
    return isinstance(module, nn.PReLU) and module.num_parameters == 1


def _side(dep: Any) -> Side:
    module = dep.target.module
    if is_depthwise(module):
        return "out"
    if isinstance(module, nn.Linear | _ConvNd):
        return "in" if dep.handler.__name__ == "prune_in_channels" else "out"
    return "out" if isinstance(module, nn.Embedding) else "along"


def _member(name: str, side: Side, item: Any, channels: int) -> Member | None:
    """Where the channels lie in one module; None if not in equal, adjacent, ascending runs."""
    of: dict[int, list[int]] = {}
    for index, root in zip(item.idxs, item.root_idxs, strict=True):
        of.setdefault(root, []).append(index)
    start, each = min(of.get(0, [0])), len(of.get(0, []))
    for channel in range(channels):
        first = start + channel * each
        if sorted(of.get(channel, [])) != list(range(first, first + each)):
            return None
    return Member(name=name, side=side, start=start, each=each)
