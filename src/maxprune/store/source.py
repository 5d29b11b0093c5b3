"""Somebody's network by name: a function in a file or a module, or a saved model.

A function's module is imported, which runs it, as `python my_net.py` would: name only your own.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from safetensors import SafetensorError
from torch import Tensor, nn

from maxprune.coding.file import is_coded_file
from maxprune.errors import StoreError, UsageError, first_line
from maxprune.files import read_bytes
from maxprune.lineage import adopt, lineage, trust
from maxprune.plural import kind_of
from maxprune.store.model import load
from maxprune.store.parts import SUFFIXES, is_model_file
from maxprune.store.state import load_state
from maxprune.store.weights import check_shared, from_safetensors, shared_names


def open_network(
    name: str, weights: str | Path | None = None, factory: str | None = None, graph: bool = False
) -> nn.Module:
    """The network that `name` stands for, in evaluation mode.

    Args:
        name: "my_net.py:build" or "package.module:build", a function without required arguments
            that gives a torch module (a class will do), the folder of a saved model, or a coded
            file.
        weights: a .safetensors file, or a state dict saved by torch (loaded with
            `weights_only=True`), to fill in.
        factory: the function that built a saved model, named like a network.
        graph: whether a saved model's graph will do where its factory is not found; that can
            neither be cut nor trained as it was.

    Raises:
        UsageError: there is no such file or function, it raises, needs arguments or gives no
            module, or the weights do not fit.
        StoreError: the saved model or the file of weights is damaged.
    """
    source, _, path = name.rpartition(":")
    if not _is_function(name):
        if not name or not _is_kept(name):
            is_what = "is no network" if name and Path(name).exists() else "does not exist"
            raise UsageError(
                f"{name!r} {is_what}: give my_net.py:build, package.module:build, a saved model "
                "(folder or .maxprune file), a coded file (.mxp) or, to bench, an ONNX file"
            )
        model = open_saved(name, factory, graph)
    else:
        if factory is not None:
            raise UsageError(f"{name} is built anew; a factory is named for a saved model alone")
        module = Path(source).stem if source.endswith(".py") else source
        with look_here():
            model = _built(name, module, path, find_function(source, path))
    if weights is not None:
        _fill(model, Path(weights))
    return model.eval()


def is_built(name: str, weights: str | Path | None) -> bool:
    """Whether `open_network` would build this network with weights of its own, not trained ones."""
    return weights is None and _is_function(name)


def _is_function(name: str) -> bool:
    """Whether this names a function in a file or module: what is there itself does not."""
    return ":" in name[1:] and not Path(name).exists()


def _is_kept(name: str) -> bool:
    """Whether this is a folder, such as that of a saved model, its file, or a coded file."""
    path = Path(name)
    called_so = path.is_file() and path.suffix in SUFFIXES  # if it is damaged, opening it says so
    return path.is_dir() or is_coded_file(name) or is_model_file(name) or called_so


def open_saved(folder: str | Path, factory: str | None = None, graph: bool = False) -> nn.Module:
    """A saved model or coded file, by the function that built it; also from the current folder.

    Raises:
        UsageError: there is no such function.
        StoreError: the model is damaged, or its own factory cannot be found or is not marked.
    """
    with look_here():
        if factory is None:
            return load(folder, graph=graph)
        function = find_named(factory)
        model = load(folder, function)
    trust(lineage(model).factory, function)  # so that what is cut from it can be saved
    return model


def find_named(name: str) -> Callable[..., Any]:
    """The function that "my_file.py:function" or "package.module:function" names.

    Raises:
        UsageError: there is none.
    """
    source, _, path = name.rpartition(":")
    if not source:
        raise UsageError(f"{name!r} is no function: give my_file.py:function")
    return find_function(source, path)


def find_function(source: str, path: str) -> Callable[..., Any]:
    """The function `path` in a Python file or in an importable module.

    Raises:
        UsageError: there is no such file, module or function, or importing it fails.
    """
    if source.endswith(".py"):
        module = _from_file(Path(source))
    elif not all(part.isidentifier() for part in source.split(".")):
        raise UsageError(f"{source!r} is neither a .py file nor the name of a module")
    else:
        with look_here():
            module = _imported(source, source)
    try:
        function = functools.reduce(getattr, path.split("."), module)
    except AttributeError:
        known = [
            n
            for n, v in vars(module).items()
            if callable(v) and getattr(v, "__module__", "") == module.__name__
        ]
        raise UsageError(
            f"{source} has no {path!r}; it has {', '.join(known) or 'no function'}"
        ) from None
    if not callable(function) or isinstance(function, nn.Module):
        raise UsageError(f"{path!r} in {source} is {kind_of(function)}, not a function")
    return function


def _from_file(path: Path) -> ModuleType:
    """Import a file under its own name, so that a saved model's factory is found again."""
    if not path.is_file():
        raise UsageError(f"{path} does not exist")
    if not path.stem.isidentifier():
        raise UsageError(f"{path} cannot be imported: rename it to a name without {path.stem!r}")
    folder = path.resolve().parent
    if path.stem in sys.modules:
        other = getattr(sys.modules[path.stem], "__file__", None) or ""
    else:
        spec = importlib.util.find_spec(path.stem)
        other = spec.origin if spec else None  # a folder without an __init__.py has none
    if other is not None and Path(other).resolve() != path.resolve():
        raise UsageError(
            f"{path} cannot be imported: another module is called {path.stem!r}; rename the file"
        )
    with _looking_in(folder, first=True):
        module = _imported(path.stem, str(path))
    if str(folder) not in sys.path:
        sys.path.append(str(folder))  # for what it imports later
    return module


@contextlib.contextmanager
def look_here() -> Iterator[None]:
    """Find modules in the current folder, too, while this is open: after all others.

    So no file that happens to lie there stands in for a library. Where one was found there, the
    folder is looked in from then on, for what that imports later.
    """
    here, before = Path.cwd(), set(sys.modules)
    with _looking_in(here):
        yield
    new = [module for name, module in sys.modules.items() if name not in before]
    if str(here) not in sys.path and any(_lies_in(module, here) for module in new):
        sys.path.append(str(here))


@contextlib.contextmanager
def _looking_in(folder: Path, first: bool = False) -> Iterator[None]:
    """Find modules in a folder, too, while this is open."""
    there = str(folder) in sys.path and not first
    if not there:
        sys.path.insert(0 if first else len(sys.path), str(folder))
    try:
        yield
    finally:
        if not there:
            sys.path.remove(str(folder))


def _lies_in(module: ModuleType, folder: Path) -> bool:
    """Whether a module or package lies in a folder."""
    spec = getattr(module, "__spec__", None)
    places = [*(getattr(spec, "submodule_search_locations", None) or [getattr(spec, "origin", "")])]
    return any(place and Path(place).parent == folder for place in places)


def _imported(name: str, shown: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        raise UsageError(
            f"{shown} cannot be imported: {type(error).__name__}: {first_line(error)}"
        ) from error


def _built(name: str, module: str, path: str, function: Callable[..., Any]) -> nn.Module:
    """What the function builds, with its origin written on it."""
    try:
        needed = [
            p.name
            for p in inspect.signature(function).parameters.values()
            if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        ]
    except ValueError:
        needed = []
    if needed:
        raise UsageError(
            f"{name} needs arguments ({', '.join(needed)}): write a function without, that calls it"
        )
    try:
        model = function()
    except (Exception, SystemExit) as error:
        raise UsageError(f"{name} failed: {type(error).__name__}: {first_line(error)}") from error
    if not isinstance(model, nn.Module):
        raise UsageError(f"{name} gives {kind_of(model)}, not a torch module")
    return model if lineage(model).factory else adopt(model, function, f"{module}:{path}")


def _fill(model: nn.Module, path: Path) -> None:
    """Fill in the weights of a file; every one, and no other."""
    tensors = _state(path)
    prefix = "module."
    if tensors and all(key.startswith(prefix) for key in tensors):
        tensors = {key.removeprefix(prefix): value for key, value in tensors.items()}
    own = model.state_dict()
    for pair in shared_names(own).items():  # a file that has one of them has both
        for name, other in (pair, pair[::-1]):
            if other in tensors:
                tensors.setdefault(name, tensors[other])
    for what, keys in (
        ("lacks", own.keys() - tensors.keys()),
        ("has", tensors.keys() - own.keys()),
    ):
        if keys:
            extra = "" if what == "lacks" else ", which the network has not"
            first = min(keys)
            raise UsageError(
                f"{path} does not fit: it {what} {first!r}{extra} ({len(keys)} in all)"
            )
    for key, value in own.items():
        if value.shape != tensors[key].shape:
            raise UsageError(
                f"{path} does not fit: {key!r} is {tuple(tensors[key].shape)} there and "
                f"{tuple(value.shape)} in the network"
            )
    try:
        check_shared(own, tensors)
        model.load_state_dict(tensors)
    except (StoreError, RuntimeError) as error:
        raise UsageError(f"{path} does not fit: {first_line(error)}") from error


def _state(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise UsageError(
            f"{path} is a folder, no file" if path.is_dir() else f"{path} does not exist"
        )
    if path.suffix == ".safetensors":
        try:
            return from_safetensors(read_bytes(path))
        except SafetensorError as error:
            raise StoreError(f"{path} is damaged: {first_line(error)}") from error
    try:
        found = load_state(path)
    except Exception as error:
        raise StoreError(
            f"{path} is not a state dict that can be read safely; save model.state_dict() with "
            "torch or safetensors"
        ) from error
    if not isinstance(found, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in found.items()
    ):
        raise StoreError(f"{path} holds no state dict: save model.state_dict()")
    return dict(found)
