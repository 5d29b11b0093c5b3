"""Saved models: `model.safetensors` and `model.json`, no pickle (described in docs/format.md).

A folder, or one file with the same in it. It is written whole or not at all. A saved network is
opened by calling the factory that built it, applying its plans again, and filling in the weights;
the code that decided on the plans is not needed.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import Tensor, nn

from maxprune._version import __version__
from maxprune.coding.file import is_coded_file
from maxprune.errors import AuditError, OutputError, Remark, StoreError, StructureError
from maxprune.files import parse_json, write_bytes
from maxprune.store.build import UnknownFactoryError, build
from maxprune.store.coded import load_coded
from maxprune.store.description import Description, describe, sealed
from maxprune.store.graph import as_graph, check_graph, from_graph, write_graph
from maxprune.store.opening import check_json, check_opens, origin_of
from maxprune.store.parts import (
    DESCRIPTION,
    GRAPH,
    NAMES,
    SUFFIX,
    WEIGHTS,
    as_file,
    is_model_file,
    read_part,
)
from maxprune.store.weights import as_safetensors, bytes_of, from_safetensors, tensors_of

__all__ = ["DESCRIPTION", "WEIGHTS", "Description", "bytes_of", "describe", "load", "save"]


def save(
    model: nn.Module,
    folder: str | Path,
    about: dict[str, Any] | None = None,
    factory: Callable[..., nn.Module] | None = None,
    example: Tensor | None = None,
) -> Path:
    """Save a network as a folder, or as one file where the name ends in `.maxprune`.

    Before anything is written, the network is made again from its factory and plans: what would
    not open is refused.

    Args:
        model: a network from one of `maxprune.networks`, from a function under
            `maxprune.factory`, or cut from such a one. It is not changed.
        folder: where to; an earlier saved model there is replaced, anything else is refused.
        about: what should stand beside it, for example its accuracy; numbers, text, lists.
        factory: a function without arguments that builds the network as it was before any plan,
            for one that is not under `maxprune.factory`: a closure, `lambda: Net(64)`. Such a
            model is opened by `load(folder, factory=...)`, with the same one.
        example: two or more of its inputs; with them a graph of the network is kept, too, by which
            it opens where its factory cannot be imported. A warning says where there can be none.

    Returns:
        The folder, or the file.

    Raises:
        UsageError: the network's factory is not known, or what it builds is not this network;
            or `about` is not JSON.
        OutputError: the folder is something else, or cannot be written.
    """
    folder, origin = Path(folder), origin_of(model, factory)
    check_json("about", about or {})
    tensors = tensors_of(model)
    content = as_safetensors(tensors)
    graph = None if example is None else _graph(model, example)
    description = Description(
        format=1 if graph is None else 2,
        maxprune=__version__,
        factory=origin.factory,
        arguments=json.loads(json.dumps(origin.arguments)),
        plans=[plan.model_dump(mode="json") for plan in origin.plans],
        kept={layer: list(indices) for layer, indices in origin.kept().items()},
        sha256=hashlib.sha256(content).hexdigest(),
        about=about or {},
        graph="" if graph is None else hashlib.sha256(graph).hexdigest(),
    )
    check_opens(model, description, tensors, factory)
    parts = {DESCRIPTION: sealed(description), WEIGHTS: content}
    parts |= {} if graph is None else {GRAPH: graph}
    try:
        if folder.suffix == SUFFIX:
            _write_file(folder, parts)
        else:
            _write(folder, parts)
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error.strerror or error}") from error
    return folder


def load(
    folder: str | Path, factory: Callable[..., nn.Module] | None = None, graph: bool = True
) -> nn.Module:
    """Open a saved network or a coded file; its outputs equal the saved one's to the bit.

    Imports the module that the description names and calls one function of it, if that function
    stands under `maxprune.factory`; nothing else is called.

    Args:
        folder: as `save` wrote it, folder or file; or a file as `save_coded` did.
        factory: the function that built the network, for one that is not under
            `maxprune.factory`; then nothing is imported.
        graph: whether the graph will do where the factory is not found.

    Returns:
        The network, in evaluation mode. Where its factory is not found, but its graph was saved,
        it is that graph, and a warning says so: it gives the same, but cannot be cut.

    Raises:
        StoreError: a file is missing or damaged, of a newer format, or its factory is not found.
    """
    folder = Path(folder)
    if is_coded_file(folder):
        return load_coded(folder, factory)
    description = describe(folder)
    content = _checked(folder, WEIGHTS, description.sha256)
    operators = _checked(folder, GRAPH, description.graph) if description.graph else b""
    try:
        tensors = from_safetensors(content)
        try:
            return build(description, tensors, factory)
        except UnknownFactoryError as error:
            if factory is not None or not graph or not operators:
                raise
            network = from_graph(parse_json(operators, folder / GRAPH), tensors)
            warnings.warn(f"{folder} was opened as a graph: {error}", Remark, stacklevel=2)
            return network
    except (StoreError, SafetensorError) as error:
        raise StoreError(f"{folder} cannot be opened: {error}") from error


def _checked(folder: Path, name: str, checksum: str) -> bytes:
    """A part that has this checksum."""
    content = read_part(folder, name)
    if hashlib.sha256(content).hexdigest() != checksum:
        raise StoreError(
            f"{folder / name} is damaged: its checksum is not the one in {DESCRIPTION}"
        )
    return content


def _graph(model: nn.Module, example: Tensor) -> bytes | None:
    """The graph of a network, which gives the same; None where there can be none: it is said."""
    try:
        content = write_graph(as_graph(model, example))
        check_graph(content, model, example)
        return content
    except (StructureError, AuditError, StoreError) as error:
        warnings.warn(f"the model is saved without a graph: {error}", Remark, stacklevel=3)
        return None


def _write_file(path: Path, parts: dict[str, bytes]) -> None:
    """Write one file with the parts in it."""
    if path.exists() and not (path.is_file() and is_model_file(path)):
        raise OutputError(f"{path} exists and is not a saved model; name another file")
    write_bytes(path, as_file(parts))


def _write(folder: Path, parts: dict[str, bytes]) -> None:
    """Write the parts into a folder beside, then put it in its place."""
    place = folder.resolve()
    if place.exists() and not _is_saved_model(place):
        raise OutputError(f"{folder} exists and is not a saved model; name another folder")
    place.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=place.parent, prefix=f".{place.name}.", suffix=".part"))
    try:
        for name, part in parts.items():
            write_bytes(temporary / name, part)
        temporary.chmod(0o755)
        _replace_folder(temporary, place)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _is_saved_model(folder: Path) -> bool:
    """Whether a folder holds a saved model and nothing else, or nothing at all."""
    if not folder.is_dir():
        return False
    names = {entry.name for entry in folder.iterdir()}
    return not names or {DESCRIPTION, WEIGHTS} <= names <= {*NAMES}


def _replace_folder(new: Path, folder: Path) -> None:
    """Put the new folder in the place of the old one, which is removed last."""
    if not folder.exists():
        new.replace(folder)
        return
    prefix = f".{folder.name}.old."
    aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=prefix, suffix=".part"))
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
