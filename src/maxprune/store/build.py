"""Make a saved network again: call its factory, apply its plans, fill in its weights."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from maxprune.errors import MaxpruneError, StoreError, first_line
from maxprune.lineage import Lineage, is_factory, lineage, remember
from maxprune.plan import SharePlan, ZeroPlan, read_plan
from maxprune.store.bounded import Bounded
from maxprune.store.description import Description
from maxprune.store.weights import Tensors, check_shared, shared_names
from maxprune.surgery.apply import change


class UnknownFactoryError(StoreError):
    """The function that built a network is not there, or is not marked as a factory."""


def build(
    description: Description, tensors: Tensors, factory: Callable[..., nn.Module] | None = None
) -> nn.Module:
    """The network of a description, in evaluation mode; torch's random state is not changed.

    Args:
        description: what `model.json` says.
        tensors: the weights.
        factory: called instead of the function that the description names.

    Raises:
        StoreError: the factory is not there or fails, a plan or the weights do not fit, or what a
            factory that is not given builds is far larger than the weights.
    """
    if factory is None:
        with Bounded(tensors):
            model = _made(description, _found(description.factory))
    else:
        model = _made(description, factory)
    for content in description.plans:
        plan = read_plan(content)
        known = lineage(model).then(plan)
        try:
            # Zeros and values are in the weights already; only the shapes have to be made again.
            model = model if isinstance(plan, ZeroPlan | SharePlan) else change(model, plan)
        except MaxpruneError as error:
            raise StoreError(f"a plan does not fit the network: {error}") from error
        remember(model, known)
    kept = {layer: list(indices) for layer, indices in lineage(model).kept().items()}
    if kept != description.kept:
        raise StoreError("the neurons that were kept are not those of the plans")
    _fill(model, tensors)
    return model.eval()


def _found(name: str) -> Callable[..., Any]:
    """The factory of that name; nothing but a function under `maxprune.factory` is ever called."""
    module_name, _, path = name.partition(":")
    parts = path.split(".")
    if not all(part.isidentifier() for part in (*module_name.split("."), *parts)):
        raise UnknownFactoryError(
            f"the network's factory {name!r} is no name of a function; give it yourself: "
            "load(folder, factory=...), or --factory on the command line"
        )
    try:
        function = functools.reduce(getattr, parts, importlib.import_module(module_name))
    except (Exception, SystemExit) as error:
        raise UnknownFactoryError(
            f"the network's factory {name!r} cannot be imported ({first_line(error)})"
        ) from error
    if not callable(function) or not is_factory(function, name):
        raise UnknownFactoryError(
            f"{name!r} is not a function under @maxprune.factory; it is not called (if you trust "
            "it, give it yourself: load(folder, factory=...), or --factory on the command line)"
        )
    return function


def _made(description: Description, function: Callable[..., Any]) -> nn.Module:
    """What the factory builds."""
    name = description.factory
    try:
        with torch.random.fork_rng(devices=[]):
            model = function(**description.arguments)
    except (Exception, SystemExit) as error:
        raise StoreError(f"the network's factory {name!r} failed: {first_line(error)}") from error
    if not isinstance(model, nn.Module):
        raise StoreError(f"the network's factory {name!r} gives no torch module")
    return remember(model, Lineage(name, description.arguments))


def _fill(model: nn.Module, tensors: Tensors) -> None:
    """Fill in the weights, in the types of the file; every one, and no other."""
    try:
        for name, own in model.state_dict(keep_vars=True).items():
            if name in tensors:
                own.data = own.data.to(tensors[name].dtype)
        model.load_state_dict(tensors)
        check_shared(model.state_dict(), tensors)
        _share(model, tensors)
    except (RuntimeError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split("\n\t")[-1].split())
        raise StoreError(f"the weights do not fit the network: {reason}") from error


def _share(model: nn.Module, tensors: Tensors) -> None:
    """Let the network share what its file shares, also where its factory does not."""
    parameters = dict(model.named_parameters(remove_duplicate=False))
    for name, kept in shared_names(tensors).items():
        if name in parameters and kept in parameters:
            owner, _, leaf = name.rpartition(".")
            setattr(model.get_submodule(owner), leaf, parameters[kept])
