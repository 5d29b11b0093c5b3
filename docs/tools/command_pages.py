"""The command reference, from the commands themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from maxprune.cli import app

HEAD = """# Commands

Made from `maxprune --help` when these pages are built.
"""


# The text of an option, and what typer says of its default behind it.
_SAID = re.compile(r"(.*?)(?:\s+\[(required|default: .*|x[<>]=?.*)\])?", re.DOTALL)


def every_command() -> Iterator[tuple[str, Any]]:
    """All commands and groups by what is typed, in the order of `--help`."""
    yield from _below("maxprune", get_command(app))


def _below(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    yield name, command
    for inner, found in getattr(command, "commands", {}).items():
        yield from _below(f"{name} {inner}", found)


def commands_page() -> str:
    """All commands with their help, arguments and options, in Markdown."""
    return "\n".join([HEAD, *(_section(name, command) for name, command in every_command())])


def _section(name: str, command: Any) -> str:
    context = command.make_context(name, [], resilient_parsing=True)
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    parts = [f"## {name}", _paragraphs(command.help or ""), f"```text\n{usage}\n```"]
    inner = getattr(command, "commands", {})
    if inner:
        parts.append("\n".join(f"- [`{name} {one}`](#{_anchor(f'{name} {one}')})" for one in inner))
    for title, kind in (("argument", "argument"), ("option", "option")):
        rows = [_row(p, context) for p in command.params if p.param_type_name == kind]
        if rows:
            parts.append("\n".join([f"| {title} | what | default |", "|---|---|---|", *rows]))
    return "\n\n".join(parts) + "\n"


def _anchor(name: str) -> str:
    return name.replace(" ", "-")


def _paragraphs(text: str) -> str:
    """Help text; a paragraph that is a command is set as one."""
    blocks = [" ".join(block.split()) for block in re.split(r"\n\s*\n", text.strip())]
    return "\n\n".join(
        f"```sh\n{block}\n```" if block.startswith("maxprune ") and not block.endswith(".")
        else plain(block)
        for block in blocks
    )  # fmt: skip


def _row(parameter: Any, context: Any) -> str:
    """What `--help` says of an option: its name and values, what it is, and its default."""
    name, text = parameter.get_help_record(context)
    said = _SAID.fullmatch(text)
    about, default = said.groups(default="") if said else (text, "")
    return f"| `{_narrow(name)}` | {plain(about)} | {plain(default.removeprefix('default: '))} |"


def _narrow(name: str) -> str:
    """A name that does not end the cell of a table."""
    return name.replace("|", "\\|")


def plain(text: str) -> str:
    """Text in which Markdown finds nothing to set, but code in backquotes."""
    parts = " ".join(text.split()).split("`")
    parts[::2] = [re.sub(r"[\\*_|<>\[\]#&$]", _entity, part) for part in parts[::2]]
    return "`".join(parts)


def _entity(sign: re.Match[str]) -> str:
    return f"&#{ord(sign[0])};"
