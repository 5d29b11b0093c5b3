"""What the readers of a group's channels read: where a channel does whatever it does.

A channel takes effect where the next layers read it: behind batch norm, activation and pooling,
and in a residual network once for every layer that reads the sum. That is also where a removed
channel is missing, so everything that is measured of a channel is measured there.
"""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from maxprune.errors import StructureError, UsageError
from maxprune.halving import by_batch
from maxprune.modes import copied, device_of, evaluating
from maxprune.plan import ChannelGroup, Member
from maxprune.plural import kind_of, plural
from maxprune.surgery.members import target
from maxprune.surgery.narrow import width

Scores: TypeAlias = dict[str, Float[Tensor, " channels"]]
Maps: TypeAlias = Float[Tensor, "batch channels height width"]
See: TypeAlias = Callable[[ChannelGroup, Member, Maps], None]
Batches: TypeAlias = Iterable[tuple[Tensor, Tensor]]

ORIGIN = "_maxprune_origin"
SHRINKING = (
    "max_pool", "avg_pool", "adaptive_", "mean", "amax", "flatten", "view", "reshape", "squeeze",
    "dropout",
)  # fmt: skip
FLAT = (nn.Conv2d, nn.ConvTranspose2d)  # their maps have a height and a width


def cuttable(model: nn.Module, groups: Sequence[ChannelGroup]) -> list[ChannelGroup]:
    """The groups that can be cut, checked to be those of this network.

    Raises:
        StructureError: they are those of another network, or of this one before a cut.
    """
    found = [group for group in groups if not group.reason]
    for group in found:
        for member in group.members:
            if member.side == "count":
                continue
            there = width(target(model, member.name), member.side)
            if member.start + group.channels * member.each > there:
                raise StructureError(
                    f"the groups are not those of this network: {group.name!r} has "
                    f"{plural(group.channels, 'channel')} there, but {member.name!r} only "
                    f"{plural(there, 'entry', 'entries')}; "
                    "find them again with channel_groups"
                )
    return found


def readers(group: ChannelGroup) -> list[Member]:
    """The members of a group that read its channels."""
    return [member for member in group.members if member.side == "in"]


@contextlib.contextmanager
def watched(model: nn.Module, groups: Sequence[ChannelGroup], see: See) -> Iterator[None]:
    """Show what every reader of every group reads, in evaluation mode, while this is open.

    Args:
        model: the network; what is set on it is undone.
        groups: those that can be cut.
        see: called in every forward pass with a group, its reader and the channels' maps:
            (batch, channels, height, width). What has fewer dimensions has sides of length 1; a
            map of a two-dimensional convolution that was flattened before a linear layer is a
            square again if it can be one.
    """
    handles = []
    try:
        for group in groups:
            flat = isinstance(target(model, group.layers[0]), FLAT)
            for member in readers(group):
                hook = functools.partial(_show, group=group, member=member, see=see, flat=flat)
                module = model.get_submodule(member.name)
                handles.append(module.register_forward_pre_hook(hook))
        with evaluating(model):
            yield
    finally:
        for handle in handles:
            handle.remove()


def _show(
    module: nn.Module, args: tuple[Any, ...], group: ChannelGroup, member: Member, see: See,
    flat: bool,
) -> None:  # fmt: skip
    x = first_of(args, member)
    origin = getattr(x, ORIGIN, None)
    if origin is not None and origin.shape == x.shape:
        x = origin
    elif (
        origin is not None
        and origin.dim() > 2
        and origin.shape[1] * member.each == _entries(module, x)
    ):
        alone = member.model_copy(update={"start": member.start // member.each, "each": 1})
        see(group, member, maps(nn.Identity(), origin, alone, group.channels))
        return
    see(group, member, maps(module, x, member, group.channels, flat))


def _entries(module: nn.Module, x: Tensor) -> int:
    """How many inputs a layer has."""
    return x.shape[-1 if isinstance(module, nn.Linear) else 1]


@contextlib.contextmanager
def unpooled() -> Iterator[None]:
    """While this is open, `watched` shows what is read as it was in front of any pooling."""
    with _Origins():
        yield


class _Origins(TorchFunctionMode):
    """Writes on what a pooling or a change of shape gives what it was made of."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if not isinstance(out, Tensor):
            return out
        if getattr(func, "__name__", "").startswith(SHRINKING) and isinstance(args[0], Tensor):
            setattr(out, ORIGIN, getattr(args[0], ORIGIN, args[0]))
        elif ORIGIN in getattr(out, "__dict__", ()):  # changed in place
            delattr(out, ORIGIN)
        return out


def first_of(args: tuple[Any, ...], member: Member) -> Tensor:
    """What a layer reads.

    Raises:
        StructureError: it is called by keyword, or with no tensor.
    """
    if not args or not isinstance(args[0], Tensor):
        raise StructureError(f"{member.name!r} does not get a tensor as its first argument")
    return args[0]


def maps(module: nn.Module, x: Tensor, member: Member, channels: int, flat: bool = True) -> Maps:
    """The maps of a group's channels in what one of its readers reads.

    Args:
        module: the reader.
        x: what it reads.
        member: where the channels lie there.
        channels: how many.
        flat: whether what was flattened was a picture.
    """
    if isinstance(module, nn.Linear):
        x = x.movedim(-1, 1)
    entries = x[:, member.start : member.start + channels * member.each]
    if member.each == 1:
        if entries.dim() < 3:
            return entries[:, :, None, None]
        space = entries.shape[2:]
        return entries.reshape(*entries.shape[:2], math.prod(space[:-1]), space[-1])
    found = entries.unflatten(1, (channels, member.each)).flatten(2)
    side = math.isqrt(found.shape[2])
    square = (side, side) if flat and side * side == found.shape[2] else (1, found.shape[2])
    picture: Maps = found.unflatten(2, square)
    return picture


def run(model: nn.Module, inputs: Tensor) -> Any:
    """One forward pass where the network lives, in the precision of its weights."""
    first = next(model.parameters(), None)
    x = inputs.to(device_of(model))
    if first is not None and x.is_floating_point() and first.is_floating_point():
        x = x.to(first.dtype)
    return model(x)


def differentiable(model: nn.Module, frozen: bool) -> nn.Module:
    """A copy in evaluation mode and at least single precision, for gradients.

    Args:
        model: the network.
        frozen: whether the weights need no gradients, or else all of them have some.
    """
    network = copied(model).eval()
    for parameter in network.parameters():
        parameter.grad = None
        if parameter.is_floating_point():
            parameter.requires_grad_(not frozen)
            if parameter.dtype in (torch.float16, torch.bfloat16):
                return differentiable(network.float(), frozen)
    return network


def labelled(batches: Batches) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches, each checked to be inputs and what they are.

    Raises:
        UsageError: one is something else, for example inputs alone.
    """
    if not isinstance(batches, Iterable):
        raise UsageError(f"a score takes batches (inputs, classes), not {kind_of(batches)}")
    for batch in batches:
        pair = isinstance(batch, tuple | list) and len(batch) == 2
        if not pair or not all(isinstance(part, Tensor) for part in batch):
            shown = "inputs alone" if isinstance(batch, Tensor) else kind_of(batch)
            raise UsageError(
                f"a score takes batches (inputs, classes) of two tensors, not {shown}: for "
                "example data.train.batches(1000)"
            )
        yield batch[0], batch[1]


def paired(batches: Batches) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches, each checked to have a target for every input.

    Raises:
        UsageError: one has not, or is something else.
    """
    for x, y in labelled(batches):
        if len(x) != len(y):
            raise UsageError(
                f"a batch has {plural(len(x), 'input')} and {plural(len(y), 'target')}"
            )
        yield x, y


def gradients(
    network: nn.Module, batches: Batches, wanted: Sequence[Tensor]
) -> Iterator[tuple[list[Tensor | None], int]]:
    """The gradients of the sum of the cross entropies of every batch, and its samples.

    Args:
        network: as `differentiable` makes it.
        batches: inputs and classes; one that does not fit in memory is taken in parts.
        wanted: by which the gradients are; there is None for what the loss does not depend on.

    Raises:
        UsageError: no samples, or classes that are none.
        StructureError: the network gives no tensor, or the loss is not finite.
        OutOfMemory: a single sample does not fit.
    """
    samples = 0
    recurrent = any(isinstance(module, nn.RNNBase) for module in network.modules())

    def look(part: tuple[Tensor, Tensor]) -> tuple[list[Tensor | None], int]:
        loss = _loss(network, *part)
        if not wanted or not loss.requires_grad:
            return [None] * len(wanted), len(part[0])
        return [*torch.autograd.grad(loss, [*wanted], allow_unused=True)], len(part[0])

    with torch.enable_grad(), torch.backends.cudnn.flags(enabled=not recurrent):
        for parts in by_batch(paired(batches), look):
            found, count = parts[0]
            for more, behind in parts[1:]:
                pairs = zip(found, more, strict=True)
                found = [a if b is None else b if a is None else a + b for a, b in pairs]
                count += behind
            samples += count
            yield found, count
    if not samples:
        raise no_samples()


def _loss(network: nn.Module, x: Tensor, y: Tensor) -> Float[Tensor, ""]:
    """The sum of the cross entropies of a batch."""
    out = run(network, x)
    if not isinstance(out, Tensor):
        raise StructureError(
            f"the network {type(network).__name__} gives {kind_of(out)}, not a tensor"
        )
    classes = out.shape[1] if out.dim() > 1 else 0
    if y.shape != (len(out), *out.shape[2:]) or y.is_floating_point() or not classes:
        raise UsageError(
            f"there are classes of shape {tuple(y.shape)} and type {y.dtype} for outputs "
            f"{tuple(out.shape)}; each sample has one whole number"
        )
    if y.numel() and not 0 <= int(y.min()) <= int(y.max()) < classes:
        raise UsageError(f"a class is outside 0 to {classes - 1}")
    loss = F.cross_entropy(out, y.to(out.device).long(), reduction="sum")
    if not bool(loss.isfinite()):
        raise not_finite(network, x, "the loss")
    return loss


class NotFiniteError(StructureError):
    """NaN or infinity was seen; it says where."""


@contextlib.contextmanager
def naming(model: nn.Module, inputs: list[Tensor]) -> Iterator[None]:
    """Say in the place of a `NotFiniteError` which layer it comes from.

    Args:
        model: the network.
        inputs: whose last are those that it ran on.
    """
    try:
        yield
    except NotFiniteError as error:
        raise not_finite(model, inputs[-1], str(error)) from None


def not_finite(model: nn.Module, x: Tensor, seen: str) -> StructureError:
    """What is said where NaN or infinity was seen: the layer that it comes from.

    Args:
        model: the network.
        x: the inputs that lead to it.
        seen: where it was seen.
    """
    if x.is_floating_point() and not bool(x.isfinite().all()):
        return StructureError("an input has NaN or infinity; the data are damaged")
    guilty: list[str] = []

    def look(name: str, out: Any) -> None:
        if isinstance(out, Tensor) and not bool(out.isfinite().all()):
            guilty.append(name)

    leaves = [(n, m) for n, m in model.named_modules() if n and not list(m.children())]
    handles = [
        module.register_forward_hook(lambda _, __, out, name=name: look(name, out))
        for name, module in leaves
    ]
    try:
        with evaluating(model), torch.no_grad():
            run(model, x)
    finally:
        for handle in handles:
            handle.remove()
    where = f"layer {guilty[0]!r} gives NaN or infinity" if guilty else f"{seen} is not finite"
    return StructureError(f"{where}; train the network again")


def no_samples() -> UsageError:
    """What is said where there is nothing to score on."""
    return UsageError("there are no samples to score on")
