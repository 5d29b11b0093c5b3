"""What tells one run's own code from another's: checksums of the user's classes and functions.

What a run has kept is worth nothing to a network that computes something else, also where its
layers and weights are the same.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from maxprune.lineage import lineage

NOT_OWN = {"torch", "maxprune", *sys.builtin_module_names, *sys.stdlib_module_names}


def of_code(
    model: nn.Module,
    fit: Callable[..., Any] | None = None,
    loaders: Callable[..., Any] | None = None,
) -> dict[str, str]:
    """A checksum of each piece of the user's own code, by what it is in words.

    Comments, layout and docstrings do not count. What has no source to be had (a REPL) is left out.

    Args:
        model: of which every class, with those it is derived from, and the factory.
        fit: the user's training.
        loaders: the function that gave the data, of which all its module.

    Example:
        >>> of_code(nn.Linear(2, 2))
        {}
    """
    own = [*_classes(model), _factory(model), _plain(fit)]
    found = {_named(thing): _checksum(thing) for thing in own if _is_own(thing)}
    if _is_own(loaders):
        module = inspect.getmodule(loaders)
        found[f"{_file(module)}, which gives the data,"] = _checksum(module)
    return {name: checksum for name, checksum in found.items() if checksum}


def _classes(model: nn.Module) -> Iterator[type]:
    """The classes of all modules, and all that these are derived from; each once."""
    kinds = dict.fromkeys(type(module) for module in model.modules())
    yield from dict.fromkeys(base for kind in kinds for base in kind.__mro__)


def _factory(model: nn.Module) -> Any:
    """The function or class that built a network; None where it is not known."""
    module, _, path = lineage(model).factory.partition(":")
    try:
        return _plain(functools.reduce(getattr, path.split("."), sys.modules.get(module)))
    except AttributeError:
        return None


def _plain(thing: Any) -> Any:
    """A function without its decorators, or the class of an object that can be called."""
    while isinstance(thing, functools.partial):
        thing = thing.func
    thing = inspect.unwrap(thing) if callable(thing) else thing
    return thing if inspect.isroutine(thing) or inspect.isclass(thing) else type(thing)


def _is_own(thing: Any) -> bool:
    """Whether it is the user's, or at least neither Python's nor torch's nor ours."""
    module = getattr(thing, "__module__", None)
    return isinstance(module, str) and module.partition(".")[0] not in NOT_OWN


def _named(thing: Any) -> str:
    """A class or function in words."""
    kind = "class" if inspect.isclass(thing) else "function"
    return f"the {kind} {thing.__qualname__} in {_file(inspect.getmodule(thing))}"


def _file(module: ModuleType | None) -> str:
    """The file of a module as it is imported: "my_net.py", "package/module.py"."""
    file = Path(getattr(module, "__file__", None) or "the session")
    depth = 1 + getattr(module, "__name__", "").count(".") + (file.name == "__init__.py")
    return "/".join(file.parts[-depth:])


def _checksum(thing: Any) -> str:
    """Of what is said by the source; empty where there is none."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(thing)))
    except (OSError, TypeError, SyntaxError):
        return ""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = node.body[ast.get_docstring(node, clean=False) is not None :]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()
