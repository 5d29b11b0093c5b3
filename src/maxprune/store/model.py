"""Saved models: `model.safetensors` and `model.json`, no pickle (described in docs/format.md).

The folder is written whole or not at all. A saved network is opened by calling the factory that
built it, applying its plans again, and filling in the weights; the code that decided on the
plans is not needed.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse
from safetensors.torch import save as serialise
from torch import Tensor, fx, nn

from maxprune._version import __version__
from maxprune.errors import OutputError, StoreError, UsageError
from maxprune.files import read_bytes, write_bytes
from maxprune.lineage import Lineage, lineage
from maxprune.store.build import build
from maxprune.store.description import DESCRIPTION, Description, describe, write_description

__all__ = ["DESCRIPTION", "METADATA", "WEIGHTS", "Description", "describe", "load", "save"]

WEIGHTS = "model.safetensors"
METADATA = {"format": "pt"}


def save(
    model: nn.Module,
    folder: str | Path,
    about: dict[str, Any] | None = None,
    factory: Callable[..., nn.Module] | None = None,
) -> Path:
    """Save a network as a folder of two files.

    Before anything is written, the network is made again from its factory and plans: what would
    not open is refused.

    Args:
        model: a network from one of `maxprune.networks`, from a function under
            `maxprune.factory`, or cut from such a one. It is not changed.
        folder: where to; an earlier saved model there is replaced, any other folder is refused.
        about: what should stand beside it, for example its accuracy; numbers, text, lists.
        factory: a function without arguments that builds the network as it was before any plan,
            for one that is not under `maxprune.factory`: a closure, `lambda: Net(64)`. Such a
            model is opened by `load(folder, factory=...)`, with the same one.

    Returns:
        The folder.

    Raises:
        UsageError: the network's factory is not known, or what it builds is not this network;
            or `about` is not JSON.
        OutputError: the folder is something else, or cannot be written.
    """
    folder, origin = Path(folder), _origin(model, factory)
    _check_json("about", about or {})
    tensors = _tensors(model)
    content = serialise(tensors, METADATA)
    description = Description(
        format=1,
        maxprune=__version__,
        factory=origin.factory,
        arguments=json.loads(json.dumps(origin.arguments)),
        plans=[plan.model_dump(mode="json") for plan in origin.plans],
        kept={layer: list(indices) for layer, indices in origin.kept().items()},
        sha256=hashlib.sha256(content).hexdigest(),
        about=about or {},
    )
    _check_opens(model, description, tensors, factory)
    try:
        _write(folder, content, description)
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error.strerror or error}") from error
    return folder


def load(folder: str | Path, factory: Callable[..., nn.Module] | None = None) -> nn.Module:
    """Open a saved network, in evaluation mode; its outputs equal the saved one's to the bit.

    Imports the module that the description names and calls one function of it, if that function
    stands under `maxprune.factory`; nothing else is called.

    Args:
        folder: as `save` wrote it.
        factory: the function that built the network, for one that is not under
            `maxprune.factory`; then nothing is imported.

    Raises:
        StoreError: a file is missing or damaged, of a newer format, or its factory is not found.
    """
    folder = Path(folder)
    description = describe(folder)
    content = read_bytes(folder / WEIGHTS)
    if hashlib.sha256(content).hexdigest() != description.sha256:
        raise StoreError(
            f"{folder / WEIGHTS} is damaged: its checksum is not the one in {DESCRIPTION}"
        )
    try:
        return build(description, parse(content), factory)
    except (StoreError, SafetensorError) as error:
        raise StoreError(f"{folder} cannot be opened: {error}") from error


def _origin(model: nn.Module, factory: Callable[..., nn.Module] | None) -> Lineage:
    """Where a network comes from; `factory` built it where nobody knows what did."""
    origin = lineage(model)
    _check_json(f"an argument of {origin.factory}", origin.arguments)
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
    _check_json(f"an argument of {origin.factory}", origin.arguments)


def _check_json(what: str, content: dict[str, Any]) -> None:
    try:
        json.dumps(content, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"{what} cannot be saved: {error}") from error


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    """The network's weights and buffers, each in memory of its own."""
    found = {}
    for name, value in model.state_dict().items():
        if not isinstance(value, Tensor) or value.layout is not torch.strided:
            raise UsageError(f"{name} is not a dense tensor and cannot be saved")
        found[name] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
    return found


def _check_opens(
    model: nn.Module,
    description: Description,
    tensors: dict[str, Tensor],
    factory: Callable[..., nn.Module] | None,
) -> None:
    """Refuse a network that was changed by other means than plans since it was built."""
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


def _write(folder: Path, content: bytes, description: Description) -> None:
    """Write both files into a folder beside, then put it in its place."""
    place = folder.resolve()
    if place.exists() and not _is_saved_model(place):
        raise OutputError(f"{folder} exists and is not a saved model; name another folder")
    place.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=place.parent, prefix=f".{place.name}."))
    try:
        write_bytes(temporary / WEIGHTS, content)
        write_description(temporary, description)
        temporary.chmod(0o755)
        _replace_folder(temporary, place)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _is_saved_model(folder: Path) -> bool:
    """Whether a folder holds a saved model and nothing else, or nothing at all."""
    if not folder.is_dir():
        return False
    names = {entry.name for entry in folder.iterdir()}
    return not names or names == {DESCRIPTION, WEIGHTS}


def _replace_folder(new: Path, folder: Path) -> None:
    """Put the new folder in the place of the old one, which is removed last."""
    if not folder.exists():
        new.replace(folder)
        return
    aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.old."))
    old = aside / "folder"
    try:
        folder.replace(old)
        new.replace(folder)
    except BaseException:
        if old.exists() and not folder.exists():
            old.replace(folder)
        raise
    finally:
        if folder.exists():
            shutil.rmtree(aside, ignore_errors=True)
