"""Lint, strict types, and the house rules that a program can check."""

import inspect
import pkgutil
import re
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import typer

import maxprune
from maxprune.cli import app

ROOT = Path(__file__).parents[1]


def run(*command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_lint() -> None:
    run("ruff", "check", "src", "tests", "benchmarks")


def test_format() -> None:
    run("ruff", "format", "--check", "src", "tests", "benchmarks")


def test_strict_types() -> None:
    run("mypy", "--strict", "-p", "maxprune")


def modules() -> list[str]:
    return [m.name for m in pkgutil.walk_packages(maxprune.__path__, "maxprune.")]


def test_every_public_name_has_a_docstring() -> None:
    for name in maxprune.__all__:
        thing = getattr(maxprune, name)
        assert name == "__version__" or inspect.getdoc(thing), name
    for name in modules():
        assert import_module(name).__doc__, name


def commands(group: typer.Typer) -> list[tuple[str, object]]:
    found = [(c.name or c.callback.__name__, c.callback) for c in group.registered_commands]
    for inner in group.registered_groups:
        found += [(f"{inner.name} {n}", c) for n, c in commands(inner.typer_instance)]
    return found


def test_every_command_and_option_has_help() -> None:
    names = [name for name, _ in commands(app)]
    assert {"demo", "reproduce table1", "reproduce table2", "reproduce figure1"} <= set(names)
    for name, callback in commands(app):
        assert inspect.getdoc(callback), name
        for parameter in inspect.signature(callback, eval_str=True).parameters.values():
            if parameter.annotation is typer.Context:
                continue
            options = getattr(parameter.annotation, "__metadata__", ())
            assert options, (name, parameter.name)
            assert options[0].help, (name, parameter.name)


def test_imports_point_one_way() -> None:
    """Rooms below never import rooms above them; measuring never prints."""
    above = r"maxprune\.(cli|commands|compress|studies)"
    for room in ("scores", "surgery", "weights", "measure", "train", "data", "networks", "store"):
        for path in (ROOT / "src/maxprune" / room).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            assert not re.search(rf"^from {above}", text, re.MULTILINE), path
            assert not re.search(r"^\s*print\(", text, re.MULTILINE), path


def test_files_are_short() -> None:
    for path in (ROOT / "src").rglob("*.py"):
        lines = path.read_text(encoding="utf-8").count("\n")
        assert lines <= 400, f"{path}: {lines} lines; one idea a file"


def test_the_command_is_installed() -> None:
    command = shutil.which("maxprune", path=str(Path(sys.executable).parent))
    assert command is not None
    said = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    assert said.stdout == f"maxprune {maxprune.__version__}\n"
