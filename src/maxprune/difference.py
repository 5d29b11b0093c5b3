"""What was cut between two saved models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import nn

from maxprune.errors import UsageError
from maxprune.lineage import Lineage, lineage
from maxprune.measure import nonzero, parameters
from maxprune.networks.weighted import neurons, weighted_layers
from maxprune.plan import KeepPlan, Plan
from maxprune.plural import plural
from maxprune.records import Checked
from maxprune.store import load


class LayerDifference(Checked):
    """One layer in both networks.

    Args:
        layer: its name.
        before: neurons in the first network.
        after: neurons in the second.
        cut: the neurons that only the first has, counted in the network that the factory built.
        by: the methods of the plans that cut it in between, each once, in their order.
    """

    layer: str
    before: int
    after: int
    cut: tuple[int, ...]
    by: tuple[str, ...]


class Difference(Checked):
    """What became of a network.

    Args:
        factory: that built both.
        parameters: before and after.
        nonzero: of them not zero, before and after.
        layers: every linear and convolution layer that both have, in the network's order.
        steps: the plans in between, in a few words each, in their order.
    """

    factory: str
    parameters: tuple[int, int]
    nonzero: tuple[int, int]
    layers: tuple[LayerDifference, ...]
    steps: tuple[str, ...]


def diff(
    before: str | Path, after: str | Path, factory: Callable[..., nn.Module] | None = None
) -> Difference:
    """Compare two saved models of which the second was cut from the first.

    Args:
        before: folder of the larger one.
        after: folder of the smaller one.
        factory: the function that built both, for one that is not under `maxprune.factory`.

    Raises:
        StoreError: one of them is missing or damaged.
        UsageError: the second does not come from the first.
    """
    first, second = load(before, factory), load(after, factory)
    old, new = lineage(first), lineage(second)
    if (old.factory, old.arguments) != (new.factory, new.arguments):
        raise UsageError(
            f"{before} and {after} do not come from the same network: {_built(old)} and "
            f"{_built(new)}"
        )
    if new.plans[: len(old.plans)] != old.plans:
        raise UsageError(f"{after} was not cut from {before}: their plans part earlier")
    between = new.plans[len(old.plans) :]
    layers, others = weighted_layers(first), weighted_layers(second)
    return Difference(
        factory=_built(old),
        parameters=(parameters(first), parameters(second)),
        nonzero=(nonzero(first), nonzero(second)),
        layers=tuple(
            _layer(name, (neurons(layers[name]), neurons(others[name])), old, new, between)
            for name in layers
            if name in others
        ),
        steps=tuple(_words(plan) for plan in between),
    )


def _built(origin: Lineage) -> str:
    arguments = ", ".join(f"{name}={value!r}" for name, value in origin.arguments.items())
    return f"{origin.factory}({arguments})"


def _layer(
    name: str, count: tuple[int, int], old: Lineage, new: Lineage, between: tuple[Plan, ...]
) -> LayerDifference:
    had = old.kept().get(name, tuple(range(count[0])))
    has = set(new.kept().get(name, had))
    cutting = [
        plan
        for plan in between
        if isinstance(plan, KeepPlan)
        and any(
            name == layer or any(m.name == name and m.side == "out" for m in members)
            for layer, members in ((n, plan.members.get(n, ())) for n in plan.keep)
        )
    ]
    return LayerDifference(
        layer=name, before=count[0], after=count[1],
        cut=tuple(i for i in had if i not in has),
        by=tuple(dict.fromkeys(plan.method or "unknown" for plan in cutting)),
    )  # fmt: skip


def _words(plan: Plan) -> str:
    """A plan in a few words."""
    if plan.kind == "maxout":
        return f"a maxout over {plan.k} neurons behind {plan.layer}"
    if plan.kind == "zero":
        return f"{plural(plan.zeroed, 'weight')} to zero"
    if plan.kind == "share":
        return f"at most {plural(2**plan.bits, 'value')} for the weights of a layer"
    gone = sum(len(plan.removed(name)) for name in plan.keep)
    where = ", ".join(list(plan.keep)[:3]) + (" and others" if len(plan.keep) > 3 else "")
    return f"{plural(gone, 'neuron')} of {where} removed ({plan.method or 'unknown'})"
