"""Networks as coded files, and back (docs/format.md, "Coded files")."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from maxprune._version import __version__
from maxprune.coding import Coded, decode, encode
from maxprune.errors import StoreError, UsageError
from maxprune.files import write_bytes
from maxprune.lineage import Lineage, lineage
from maxprune.plan import MOST_NEURONS, KeepPlan, MaxoutPlan, Plan, SharePlan, read_plan
from maxprune.store.build import build
from maxprune.store.description import Description
from maxprune.store.opening import check_json, check_opens, origin_of
from maxprune.store.weights import shared_names, tensors_of

SUFFIX = ".mxp"
METHOD = "coded"
Factory = Callable[..., nn.Module]


def is_coded(model: nn.Module) -> bool:
    """Whether a network shares values, and so belongs into a coded file."""
    plans = lineage(model).plans
    return bool(plans) and isinstance(plans[-1], SharePlan)


def save_coded(
    model: nn.Module,
    path: str | Path,
    about: dict[str, Any] | None = None,
    factory: Factory | None = None,
) -> int:
    """Write a network as one small file; nothing of its numbers is lost.

    What makes it small are zeros (`zero_plan`) and few values (`share_plan`). The file is decoded
    again, and compared, before it gets its name.

    Args:
        model: as for `save`; it is not changed.
        path: the file, by custom `*.mxp`; replaced if it is there.
        about: what should stand beside it, for example its accuracy; numbers, text, lists.
        factory: as for `save`.

    Returns:
        The number of its bytes.

    Raises:
        UsageError: the network's factory is not known, or what it builds is not this network; a
            tensor is of a type that the format does not have; or `about` is not JSON.
        OutputError: the file cannot be written.
    """
    path = Path(path)
    if path.is_dir():
        raise UsageError(f"{path} is a folder; a coded network is one file, by custom *{SUFFIX}")
    content = as_coded(model, about, factory)
    write_bytes(path, content)
    return len(content)


def as_coded(
    model: nn.Module, about: dict[str, Any] | None = None, factory: Factory | None = None
) -> bytes:
    """The bytes that `save_coded` writes; its arguments and errors."""
    check_json("about", about or {})
    network = _as_code(model, about, factory)
    content = encode(network)
    again = decode(content).tensors
    changed = [name for name, array in network.tensors.items() if not _is_same(array, again[name])]
    if changed:
        raise StoreError(f"{changed[0]} is not the same when it is decoded; nothing was written")
    return content


def check_codable(model: nn.Module) -> None:
    """Refuse a network that no coded file can hold, however few its values are.

    Raises:
        UsageError: as for `save_coded`.
    """
    _as_code(model, None, None)


def _as_code(model: nn.Module, about: dict[str, Any] | None, factory: Factory | None) -> Coded:
    """What is to be coded."""
    origin = origin_of(model, factory)
    tensors = tensors_of(model)
    plans = _briefest(model, origin, tensors, factory)
    shared = shared_names(tensors)
    arrays = {name: _array(name, t) for name, t in tensors.items() if name not in shared}
    arrays |= {name: arrays[kept] for name, kept in shared.items()}
    return Coded(origin.factory, origin.arguments, plans, arrays, about or {})


def load_coded(path: str | Path, factory: Factory | None = None) -> nn.Module:
    """Open a coded file as a network, in evaluation mode.

    Args:
        path: the file.
        factory: as for `load`.

    Raises:
        StoreError: it is missing or damaged, of a newer format, or its factory is not found.
    """
    return _opened(decode(path), str(path), factory)


def open_coded(content: bytes, factory: Factory | None = None) -> nn.Module:
    """The same, of the bytes of a coded file."""
    return _opened(decode(content), "the coded file", factory)


def _opened(content: Coded, name: str, factory: Factory | None) -> nn.Module:
    copies = {id(a): torch.from_numpy(np.array(a)) for a in content.tensors.values()}
    tensors = {name: copies[id(a)] for name, a in content.tensors.items()}
    try:
        description = _description(content.factory, content.arguments, content.plans)
        return build(description, tensors, factory)
    except StoreError as error:
        raise StoreError(f"{name} cannot be opened: {error}") from error


def _is_same(array: np.ndarray, again: np.ndarray) -> bool:
    """Whether two arrays have the same numbers; zero has no sign."""
    if (array.dtype, array.shape) != (again.dtype, again.shape):
        return False
    return np.array_equal(array, again, equal_nan=array.dtype.kind == "f")


def _array(name: str, tensor: Tensor) -> np.ndarray:
    try:
        return tensor.numpy()
    except TypeError as error:
        raise UsageError(f"{name} is {tensor.dtype}, which a coded file does not have") from error


def _description(
    factory: str, arguments: dict[str, Any], plans: list[dict[str, Any]]
) -> Description:
    """The description of a folder with the same network in it."""
    exact = [_exact(plan) for plan in plans]
    origin = Lineage(factory, arguments, tuple(read_plan(plan) for plan in exact))
    return Description(
        format=1, maxprune=__version__, factory=factory, arguments=arguments, plans=exact,
        kept={layer: list(stay) for layer, stay in origin.kept().items()}, sha256="",
    )  # fmt: skip


def _exact(plan: dict[str, Any]) -> dict[str, Any]:
    """A plan with indices and members where the file has them in brief."""
    keep = plan.get("keep")
    if not isinstance(keep, dict):
        return plan
    neurons = _dict(plan, "neurons")
    found: dict[str, Any] = {"neurons": dict(neurons), "keep": {}, "members": {}}
    for layer, stay in keep.items():
        found["keep"][layer] = stay
        if isinstance(stay, str):
            left, whole, parts = _numbers(layer, stay, neurons.get(layer))
            found["neurons"][layer] = whole
            size = whole // parts
            found["keep"][layer] = [
                part * size + i for part in range(parts) for i in range(left // parts)
            ]
    for layer, members in _dict(plan, "members").items():
        found["members"][layer] = _members(layer, members) if isinstance(members, str) else members
    return {"kind": "keep", "method": METHOD, **plan, **found}


def _numbers(layer: str, brief: str, neurons: object) -> tuple[int, int, int]:
    """How many neurons stay, of how many, of how many parts: "left/neurons/parts" in brief.

    Where `neurons` says how many there are, as in format 1, it is "left/parts".
    """
    numbers: list[object] = []
    if re.fullmatch(r"[0-9]{1,18}(/[0-9]{1,18}){1,2}", brief):
        numbers = [int(number) for number in brief.split("/")]
    if neurons is not None:
        numbers.insert(1, neurons)
    elif len(numbers) == 2:
        numbers.append(1)
    match numbers:
        case [int(left), int(whole), int(parts)] if type(whole) is int and (
            1 <= parts <= left <= whole <= MOST_NEURONS and not whole % parts and not left % parts
        ):
            return left, whole, parts
    of = "" if neurons is None else f" of {neurons!r:.50} neurons"
    raise StoreError(f"not a plan: {layer} keeps {brief!r:.50}{of}")


def _dict(plan: dict[str, Any], name: str) -> dict[str, Any]:
    found = plan.get(name, {})
    if not isinstance(found, dict):
        raise StoreError(f"not a plan: {name} is {found!r:.50}")
    return found


def _members(layer: str, brief: str) -> list[dict[str, Any]]:
    """The outputs of a layer, and the inputs of the one behind it."""
    name, _, each = brief.partition("*")
    if each and not re.fullmatch("[0-9]{1,18}", each):
        raise StoreError(f"not a plan: {layer} goes with {brief!r:.50}")
    behind = {"name": name, "side": "in"} | ({"each": int(each)} if each else {})
    return [{"name": layer, "side": "out"}, behind]


def _briefest(
    model: nn.Module, origin: Lineage, tensors: dict[str, Tensor], factory: Factory | None
) -> list[dict[str, Any]]:
    """The shortest plans that build the network, of those that are tried.

    Raises:
        UsageError: none does.
    """
    refusal = UsageError("the network would not open again")
    for plans in _candidates(origin):
        try:
            description = _description(origin.factory, origin.arguments, plans)
            check_opens(model, description, tensors, factory)
        except UsageError as error:
            refusal = error
        else:
            return plans
    raise refusal


def _candidates(origin: Lineage) -> Iterator[list[dict[str, Any]]]:
    """Plans for the same shapes: one cut in all; each cut, in brief; each cut as it was."""
    cuts = [plan for plan in origin.plans if isinstance(plan, KeepPlan | MaxoutPlan)]
    keeps = [plan for plan in cuts if isinstance(plan, KeepPlan)]
    yield [_brief(_merged(keeps), {})] if keeps else []
    yield [_brief(plan, _units(cuts)) for plan in cuts]
    yield [plan.model_dump(mode="json") for plan in cuts]


def _merged(cuts: list[KeepPlan]) -> KeepPlan:
    """One cut that leaves as many neurons of each layer as all of them."""
    first: dict[str, KeepPlan] = {}
    left: dict[str, int] = {}
    for plan in cuts:
        for layer, stay in plan.keep.items():
            first.setdefault(layer, plan)
            left[layer] = len(stay)
    return KeepPlan(
        neurons={layer: plan.neurons[layer] for layer, plan in first.items()},
        keep={layer: tuple(range(count)) for layer, count in left.items()},
        members={n: plan.members[n] for n, plan in first.items() if n in plan.members},
    )


def _units(cuts: list[KeepPlan | MaxoutPlan]) -> dict[str, int]:
    """Into how many units the neurons of a layer fell when a maxout was put behind it."""
    sizes = {plan.layer: plan.k for plan in cuts if isinstance(plan, MaxoutPlan)}
    units: dict[str, int] = {}
    for plan in cuts:
        if isinstance(plan, KeepPlan):
            for layer in sizes.keys() & plan.neurons.keys():
                units.setdefault(layer, plan.neurons[layer] // sizes[layer])
    return units


def _brief(plan: Plan, units: dict[str, int]) -> dict[str, Any]:
    """A plan as the file has it: counts in the place of indices, and the usual left out."""
    content = plan.model_dump(mode="json", exclude_defaults=True) | {"kind": plan.kind}
    if not isinstance(plan, KeepPlan):
        return content
    found: dict[str, Any] = {
        "keep": {
            layer: _counted(len(stay), plan.neurons[layer], units.get(layer, 1))
            for layer, stay in plan.keep.items()
        }
    }
    members = content.get("members", {})
    if members:
        found["members"] = {layer: _in_brief(layer, some) for layer, some in members.items()}
    return found


def _in_brief(layer: str, members: list[dict[str, Any]]) -> str | list[dict[str, Any]]:
    """The layer behind, where the two are all that is cut together."""
    own, *others = members
    if own != {"name": layer, "side": "out"} or len(others) != 1:
        return members
    brief = f"{others[0]['name']}*{others[0]['each']}" if "each" in others[0] else others[0]["name"]
    return brief if _members(layer, brief) == members else members


def _counted(left: int, neurons: int, units: int) -> str:
    """How many stay of how many, of how many parts: a maxout's units, where they are whole."""
    parts = 1 if left % units or neurons % units else units
    return f"{left}/{neurons}" if parts == 1 else f"{left}/{neurons}/{parts}"
