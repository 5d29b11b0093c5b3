"""What a setting is called where the user gave it: an argument in Python, an option in a shell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

_options: ContextVar[Mapping[str, str] | None] = ContextVar("_options", default=None)


@contextmanager
def as_options(**others: str) -> Iterator[None]:
    """While this is open, settings are called by their options: the user is on the command line.

    Args:
        others: settings whose option has another name.
    """
    token = _options.set({**(_options.get() or {}), **others})
    try:
        yield
    finally:
        _options.reset(token)


def on_command_line() -> bool:
    """Whether settings are called by their options."""
    return _options.get() is not None


def options() -> Mapping[str, str] | None:
    """The settings whose option has another name, for a process of its own; None in Python."""
    return _options.get()


def called(name: str) -> str:
    """A setting as the user knows it.

    Examples:
        >>> called("keep_last")
        'keep_last'
        >>> with as_options():
        ...     called("keep_last")
        '--keep-last'
    """
    names = _options.get()
    return name if names is None else f"--{names.get(name, name).replace('_', '-')}"


def giving(name: str, value: object) -> str:
    """How the user gives a setting a value.

    Examples:
        >>> giving("root", "DIR")
        'root=DIR'
        >>> with as_options(root="data"):
        ...     giving("root", "DIR")
        '--data DIR'
    """
    return f"{called(name)}{' ' if on_command_line() else '='}{value}"
