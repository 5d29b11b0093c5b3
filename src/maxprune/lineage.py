"""Where a network comes from: the factory that built it and the plans applied since.

A saved model is opened by calling the factory again and applying the plans again, so no pickle
and no stored code is needed.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, ParamSpec, TypeVar

from torch import nn

from maxprune.plan import KeepPlan, Plan

P = ParamSpec("P")
M = TypeVar("M", bound=nn.Module)

_ATTRIBUTE = "_maxprune_lineage"


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
        """Each cut layer's neurons, by their index in the network that the factory built."""
        kept: dict[str, tuple[int, ...]] = {}
        for plan in self.plans:
            if isinstance(plan, KeepPlan):
                for layer, indices in plan.keep.items():
                    before = kept.get(layer, tuple(range(plan.neurons[layer])))
                    kept[layer] = tuple(before[i] for i in indices)
        return kept


def lineage(model: nn.Module) -> Lineage:
    """The lineage of a network; an empty one if it was not built by a known factory."""
    found = model.__dict__.get(_ATTRIBUTE)
    return found if isinstance(found, Lineage) else Lineage()


def remember(model: M, origin: Lineage) -> M:
    """Write the lineage on the network and return the network."""
    model.__dict__[_ATTRIBUTE] = origin
    return model


def factory(function: Callable[P, M]) -> Callable[P, M]:
    """Decorate a function that builds a network: what it builds knows how it was built.

    Example:
        >>> @factory
        ... def small(width: int = 2) -> nn.Linear:
        ...     return nn.Linear(width, 1)
        >>> lineage(small(3)).arguments
        {'width': 3}
    """

    @functools.wraps(function)
    def build(*args: P.args, **kwargs: P.kwargs) -> M:
        arguments = inspect.signature(function).bind(*args, **kwargs).arguments
        name = f"{function.__module__}:{function.__qualname__}"
        return remember(function(*args, **kwargs), Lineage(name, dict(arguments)))

    return build
