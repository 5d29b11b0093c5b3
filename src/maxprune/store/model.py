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
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as parse
from safetensors.torch import save as serialise
from torch import nn

from maxprune._version import __version__
from maxprune.errors import OutputError, StoreError
from maxprune.files import read_bytes, write_bytes
from maxprune.store.build import build
from maxprune.store.coded import load_coded
from maxprune.store.description import DESCRIPTION, Description, describe, write_description
from maxprune.store.opening import check_json, check_opens, origin_of, tensors_of

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
    folder, origin = Path(folder), origin_of(model, factory)
    check_json("about", about or {})
    tensors = tensors_of(model)
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
    check_opens(model, description, tensors, factory)
    try:
        _write(folder, content, description)
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error.strerror or error}") from error
    return folder


def load(folder: str | Path, factory: Callable[..., nn.Module] | None = None) -> nn.Module:
    """Open a saved network or a coded file; its outputs equal the saved one's to the bit.

    Imports the module that the description names and calls one function of it, if that function
    stands under `maxprune.factory`; nothing else is called.

    Args:
        folder: as `save` wrote it, or a file as `save_coded` did.
        factory: the function that built the network, for one that is not under
            `maxprune.factory`; then nothing is imported.

    Returns:
        The network, in evaluation mode.

    Raises:
        StoreError: a file is missing or damaged, of a newer format, or its factory is not found.
    """
    folder = Path(folder)
    if folder.is_file():
        return load_coded(folder, factory)
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


def bytes_of(model: nn.Module) -> int:
    """How many bytes the network's weights have as a safetensors file."""
    tensors = {n: t.detach().cpu().clone().contiguous() for n, t in model.state_dict().items()}
    return len(serialise(tensors, METADATA))


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
