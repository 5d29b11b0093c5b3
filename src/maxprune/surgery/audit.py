"""After every cut: does the smaller network do what the larger one does without those neurons?"""

from __future__ import annotations

import contextlib
import copy
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from maxprune.errors import AuditError
from maxprune.modes import device_of, evaluating
from maxprune.plan import KeepPlan
from maxprune.surgery.chain import find_chain, find_maxout
from maxprune.surgery.members import members_of, removed_entries, target
from maxprune.surgery.narrow import narrow, width


@contextlib.contextmanager
def masked(model: nn.Module, plan: KeepPlan) -> Iterator[None]:
    """Silence the neurons that the plan removes; afterwards the model is as it was.

    Whoever reads a silent neuron reads zero; in front of a maxout it is minus infinity, so it
    never wins; a layer or group norm takes its statistics over the others alone.
    """
    handles = []
    try:
        goes = {layer: torch.tensor(plan.removed(layer), dtype=torch.long) for layer in plan.keep}
        members = {layer: members_of(model, plan, layer) for layer in plan.keep}
        for layer in plan.keep.keys() - plan.members.keys():
            maxout = find_chain(model, layer).maxout
            if maxout:
                units = find_maxout(model, maxout)
                silence = functools.partial(
                    _silent, gone=goes[layer], dim=units.dim, value=-torch.inf
                )
                handles.append(units.register_forward_pre_hook(silence))
        entries = removed_entries((m, goes[layer]) for layer in plan.keep for m in members[layer])
        for (name, side), gone in entries.items():
            if side == "count":
                continue
            module = target(model, name)
            if side == "in" and isinstance(module, nn.Module):
                dim = -1 if isinstance(module, nn.Linear) else 1
                silence = functools.partial(_silent, gone=gone, dim=dim, value=0.0)
                handles.append(module.register_forward_pre_hook(silence))
            elif isinstance(module, nn.LayerNorm | nn.GroupNorm):
                handles.append(module.register_forward_hook(_without(module, gone)))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _silent(
    _: nn.Module, args: tuple[Tensor, ...], gone: Tensor, dim: int, value: float
) -> tuple[Tensor, ...]:
    """The inputs of a module with these entries at one value."""
    return (args[0].index_fill(dim, gone.to(args[0].device), value), *args[1:])


def _without(
    norm: nn.LayerNorm | nn.GroupNorm, gone: Tensor
) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]:
    """What a layer or group norm gives if these entries are not there; they come out as zero."""
    dim = -1 if isinstance(norm, nn.LayerNorm) else 1
    keep = torch.ones(width(norm, "along"), dtype=torch.bool)
    keep[gone] = False
    index = keep.nonzero().flatten()
    smaller = copy.deepcopy(norm)
    narrow(smaller, "along", index)

    def replaced(_: nn.Module, args: tuple[Tensor, ...], out: Tensor) -> Tensor:
        there = index.to(out.device)
        few: Tensor = smaller(args[0].index_select(dim, there))
        return torch.zeros_like(out).index_copy(dim, there, few)

    return replaced


def audit(
    larger: nn.Module,
    smaller: nn.Module,
    plan: KeepPlan,
    inputs: Float[Tensor, "batch ..."],
    tolerance: float = 1e-5,
) -> float:
    """Check a cut: the smaller network gives what the larger one gives with those neurons masked.

    Args:
        larger: the network before the cut.
        smaller: the network after it.
        plan: the neurons that stayed.
        inputs: some inputs of the network.
        tolerance: largest difference accepted, relative to the largest output.

    Returns:
        The largest relative difference.

    Raises:
        AuditError: the outputs differ by more, in shape, or are not finite.
    """
    x = inputs.to(device_of(larger))
    with evaluating(larger), evaluating(smaller), torch.inference_mode():
        with masked(larger, plan), _exact(x):
            expected = tensors_of(larger(x))
        with _exact(x):
            found = tensors_of(smaller(x))
    shapes = [[tuple(t.shape) for t in outputs] for outputs in (expected, found)]
    if shapes[0] != shapes[1]:
        raise AuditError(f"outputs were {shapes[0]} and are {shapes[1]}")
    difference = max((_apart(a, b) for a, b in zip(expected, found, strict=True)), default=0.0)
    if not difference <= tolerance:
        layers = ", ".join(plan.keep)
        raise AuditError(f"cutting {layers} changed the outputs by {difference:.1e} (relative)")
    return difference


def tensors_of(out: Any) -> list[Tensor]:
    """Every tensor of what a network gives: one, or a tuple, a dictionary, an object of them."""
    if isinstance(out, Tensor):
        return [out]
    if isinstance(out, dict):
        out = list(out.values())
    elif not isinstance(out, Sequence) and hasattr(out, "__dict__"):
        out = list(vars(out).values())
    return [t for part in out for t in tensors_of(part)] if isinstance(out, tuple | list) else []


def _apart(expected: Tensor, found: Tensor) -> float:
    """The largest difference, relative to the largest value."""
    if not expected.numel():
        return 0.0
    scale = max(float(expected.abs().max()), 1e-30)
    return float((expected - found).abs().max()) / scale


@contextlib.contextmanager
def _exact(x: Tensor) -> Iterator[None]:
    """On CUDA, convolutions in full single precision instead of TF32."""
    if x.device.type != "cuda":
        yield
        return
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        yield
