"""Whether a network can be opened again from its factory, plans and weights; else it is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import Tensor, fx, nn

from maxprune.errors import StoreError, UsageError
from maxprune.lineage import Lineage, lineage
from maxprune.store.build import build
from maxprune.store.description import Description


def origin_of(model: nn.Module, factory: Callable[..., nn.Module] | None) -> Lineage:
    """Where a network comes from; `factory` built it where nobody knows what did.

    Raises:
        UsageError: the factory is not known or cannot be imported, or an argument is not JSON.
    """
    origin = lineage(model)
    check_json(f"an argument of {origin.factory}", origin.arguments)
    if factory is None:
        try:
            check_factory(origin)
        except UsageError as error:
            raise UsageError(f"{error}, or give it: save(..., factory=build)") from None
    elif not callable(factory):
        raise UsageError(f"a factory is a function that builds the network, not {factory!r}")
    elif not origin.factory:
        function = getattr(factory, "func", factory)  # of a functools.partial
        name = getattr(function, "__qualname__", type(function).__qualname__)
        origin = replace(origin, factory=f"{function.__module__}:{name}")
    return origin


def check_factory(origin: Lineage) -> None:
    """Refuse what `load` would not find again.

    Raises:
        UsageError: the factory is not known or cannot be imported, or an argument is not JSON.
    """
    if not origin.factory:
        raise UsageError(
            "the network's factory is not known; build it with a function under @maxprune.factory"
        )
    if origin.factory.startswith("__main__:") or "<" in origin.factory:
        raise UsageError(
            f"the factory {origin.factory!r} cannot be imported later; move it into a module"
        )
    check_json(f"an argument of {origin.factory}", origin.arguments)


def check_json(what: str, content: dict[str, Any]) -> None:
    """Refuse what JSON does not have.

    Raises:
        UsageError: it is not JSON; NaN and infinities are not.
    """
    try:
        json.dumps(content, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"{what} cannot be saved: {error}") from error


def check_opens(
    model: nn.Module,
    description: Description,
    tensors: dict[str, Tensor],
    factory: Callable[..., nn.Module] | None,
) -> None:
    """Refuse a network that was changed by other means than plans since it was built.

    Raises:
        UsageError: what the description builds has other modules.
    """
    try:
        again = _outline(build(description, tensors, factory))
    except StoreError as error:
        raise UsageError(f"the network would not open again: {error}") from error
    now = _outline(model)
    changed = [name for name in {**now, **again} if now.get(name) != again.get(name)]
    if changed:
        name = changed[0]
        raise UsageError(
            f"the network would not open as it is: {name or 'it'} is {now.get(name, 'not there')}, "
            f"but {again.get(name, 'not there')} when {description.factory} builds it again"
        )


def _outline(model: nn.Module) -> dict[str, str]:
    """Every module by name: its kind, and its settings where torch or maxprune made it."""
    found = {}
    for name, module in model.named_modules():
        kind = type(module).__name__
        if isinstance(module, fx.GraphModule):
            kind = "GraphModule"
        elif type(module).__module__.startswith(("torch.nn.modules.", "maxprune.")):
            kind += f"({module.extra_repr()})"
        found[name] = kind
    return found
