"""Modes set on somebody's model and taken back, whatever happens."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import warnings
from collections.abc import Iterator

import torch
from torch import nn

from maxprune.errors import StructureError, first_line


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put every module into evaluation mode; afterwards each has the mode it had."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Keep another library from saying anything: it is asked whether it can do something."""
    nowhere, before = io.StringIO(), logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(nowhere),
            contextlib.redirect_stderr(nowhere),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def copied(model: nn.Module) -> nn.Module:
    """A deep copy of a network.

    Raises:
        StructureError: it cannot be copied, for example because it keeps the result of a forward
            pass, or its weights are parametrized by hooks.
    """
    try:
        return copy.deepcopy(model)
    except Exception as error:
        raise StructureError(
            f"the network {type(model).__name__} cannot be copied: {first_line(error)}"
        ) from error


def best_device(name: str = "auto") -> torch.device:
    """The device of that name; "auto" is CUDA where there is one, else the CPU."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(name)


def device_of(model: nn.Module) -> torch.device:
    """Where the first parameter of a network lives; the CPU for a network without any."""
    first = next(model.parameters(), None)
    return torch.device("cpu") if first is None else first.device
