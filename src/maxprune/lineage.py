"""Where a network comes from: the factory that built it and the plans applied since.

A saved model is opened by calling the factory again and applying the plans again, so no pickle
and no stored code is needed.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ParamSpec, TypeVar

from torch import fx, nn

from maxprune.errors import StoreError, UsageError
from maxprune.plan import KeepPlan, Plan
from maxprune.plural import kind_of

P = ParamSpec("P")
M = TypeVar("M", bound=nn.Module)

_ATTRIBUTE = "_maxprune_lineage"
_MARK = "_maxprune_factory"
_adopted: dict[str, Any] = {}  # functions that the user named, by that name


@dataclass(frozen=True)
class Lineage:
    """The factory ("package.module:name", or "" if unknown), its arguments, the plans so far."""

    factory: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)
    plans: tuple[Plan, ...] = ()

    def then(self, plan: Plan) -> Lineage:
        """The lineage after one more plan."""
        return replace(self, plans=(*self.plans, plan))

    def kept(self) -> dict[str, tuple[int, ...]]:
        """Each cut layer's neurons, by their index in the network that the factory built.

        Raises:
            StoreError: a plan keeps neurons that there are not.
        """
        kept: dict[str, Sequence[int]] = {}
        for plan in self.plans:
            if isinstance(plan, KeepPlan):
                for group in plan.keep:
                    for layer, (before, stay) in _stay(plan, group).items():
                        had = kept.get(layer, range(before))
                        if stay[-1] >= len(had):
                            raise StoreError(f"not a plan: {layer} keeps {stay[-1]} of {len(had)}")
                        kept[layer] = tuple(had[i] for i in stay)
        return {layer: tuple(stay) for layer, stay in kept.items()}


def _stay(plan: KeepPlan, group: str) -> dict[str, tuple[int, list[int]]]:
    """For each layer whose neurons are cut under this name: how many there were, which stay."""
    channels, keep = plan.neurons[group], set(plan.keep[group])
    found: dict[str, tuple[int, list[int]]] = {}
    for member in plan.members.get(group, ()):
        if member.side == "out":
            before, stay = found.get(member.name, (0, []))
            each = range(member.each)
            own = [member.start + c * member.each + i for c in sorted(keep) for i in each]
            found[member.name] = before + channels * member.each, sorted([*stay, *own])
    return found or {group: (channels, sorted(keep))}


def lineage(model: nn.Module) -> Lineage:
    """The lineage of a network; an empty one if it was not built by a known factory."""
    found = _notes(model).get(_ATTRIBUTE)
    return found if isinstance(found, Lineage) else Lineage()


def remember(model: M, origin: Lineage) -> M:
    """Write the lineage on the network and return the network."""
    _notes(model)[_ATTRIBUTE] = origin
    return model


def _notes(model: nn.Module) -> dict[str, Any]:
    """Where the lineage is written; a copy of a GraphModule keeps nothing but its `meta`."""
    return model.meta if isinstance(model, fx.GraphModule) else model.__dict__


def factory(function: Callable[P, M]) -> Callable[P, M]:
    """Decorate a function that builds a network: what it builds knows how it was built.

    Only functions under this decorator are called when a saved model is opened.

    Raises:
        UsageError: an argument of the function cannot be given by its name.

    Example:
        >>> @factory
        ... def small(width: int = 2) -> nn.Linear:
        ...     return nn.Linear(width, 1)
        >>> lineage(small(3)).arguments
        {'width': 3}
    """
    name = f"{function.__module__}:{function.__qualname__}"
    signature = inspect.signature(function)
    rest = ""
    for parameter in signature.parameters.values():
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.VAR_POSITIONAL):
            raise UsageError(f"{name}: {str(parameter)!r} must be an argument with a name")
        if parameter.kind is parameter.VAR_KEYWORD:
            rest = parameter.name

    @functools.wraps(function)
    def build(*args: P.args, **kwargs: P.kwargs) -> M:
        arguments = _snapshot(signature.bind(*args, **kwargs).arguments)
        arguments |= arguments.pop(rest, {})
        model = function(*args, **kwargs)
        if not isinstance(model, nn.Module):
            raise UsageError(f"{name} gives no torch module but {kind_of(model)}")
        return remember(model, Lineage(name, arguments))

    setattr(build, _MARK, name)
    return build


def adopt(model: M, function: Callable[[], Any], name: str) -> M:
    """Write on a network that this function, found as "package.module:name", built it.

    The user named the function, so it counts as a factory from now on, in this process.
    """
    trust(name, function)
    return remember(model, Lineage(name))


def trust(name: str, function: Callable[..., Any]) -> None:
    """Let a function that the user named count as the factory of that name, in this process."""
    _adopted[name] = function


def is_factory(function: object, name: str) -> bool:
    """Whether `function` is the one that was decorated as the factory "package.module:name"."""
    marked = getattr(function, "__dict__", {}).get(_MARK) == name
    return callable(function) and (marked or _adopted.get(name) == function)


def is_marked(model: nn.Module) -> bool:
    """Whether a saved model of this network opens by itself: its factory is under the decorator."""
    return lineage(model).factory not in _adopted


def _snapshot(value: Any) -> Any:
    """A copy of nested lists and dictionaries, so that later changes to them are not seen."""
    if isinstance(value, dict):
        return {key: _snapshot(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_snapshot(part) for part in value]
    return value
