"""The reference of the public names, from their docstrings."""

from __future__ import annotations

from types import ModuleType

import maxprune

HEAD = """# Python

All public names: those of `maxprune` itself, then those of its rooms. Made from their docstrings
when these pages are built.
"""


def python_page() -> str:
    """One directive of mkdocstrings a name."""
    rooms = [name for name in maxprune.__all__ if isinstance(getattr(maxprune, name), ModuleType)]
    parts = [HEAD, _room(maxprune, [name for name in maxprune.__all__ if name not in rooms])]
    for room in rooms:
        module = getattr(maxprune, room)
        own = [name for name in module.__all__ if name not in maxprune.__all__]
        parts.append(_room(module, own))
    return "\n".join(parts)


def _room(module: ModuleType, names: list[str]) -> str:
    shown = (name for name in names if not name.startswith("_"))
    return "\n".join([f"## {module.__name__}\n", *(_entry(module, name) for name in shown)])


def _entry(module: ModuleType, name: str) -> str:
    """The name's own place, and the directive for the place where it is defined.

    A name such as `maxprune.compress` is a module, too, to who only reads the files.
    """
    public = f"{module.__name__}.{name}"
    thing = getattr(module, name)
    home = getattr(thing, "__module__", None) if hasattr(thing, "__qualname__") else None
    place = f"{home}.{thing.__qualname__}" if home else public
    return f'<span id="{public}"></span>\n\n::: {place}\n'
