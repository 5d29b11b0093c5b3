"""The page of all results: which file was made by which command, on which machine."""

from __future__ import annotations

import ast
import html
import re
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

from maxprune.files import read_json
from maxprune.plural import plural

HEAD = """# Results

Every figure in these pages and in the README is from a file in the folder `results/` of the
repository. Commands and machines are read from the files when these pages are built; what a file
does not hold is left empty. The folder that a command wrote to is left out. Files of several seeds
stand in one row, with the command that makes them all.
"""


class Made(NamedTuple):
    """How files were made: what they are of, by which command and where."""

    what: str
    command: str
    machine: str


def measured_page(results: Path) -> str:
    """The page, a section for every folder of `results`."""
    folders = sorted(path for path in results.iterdir() if path.is_dir())
    return "\n\n".join([HEAD, *(_section(folder) for folder in folders)]) + "\n"


def pictures(results: Path) -> dict[str, str]:
    """The plots in `results`, by the names that the page has for them."""
    return {
        f"measured/{path.relative_to(results)}": path.read_text(encoding="utf-8")
        for path in sorted(results.rglob("*.svg"))
    }


def _section(folder: Path) -> str:
    alike: dict[Made, list[tuple[Path, str]]] = defaultdict(list)
    for path in sorted(folder.rglob("*.json")):
        if path.name != "run.json":
            made = _made(path)
            one_for_all = made._replace(command=re.sub(r" --seeds \d+", "", made.command))
            alike[one_for_all].append((path, made.command))
    rows = []
    for how, found in alike.items():
        names = [f"`{path.relative_to(folder)}`" for path, _ in found]
        shown = "<br>".join(names if len(names) < 3 else [names[0], "...", names[-1]])
        rows.append(f"| {shown} | {how.what} | {_code(found[-1][1])} | {how.machine} |")
    parts = [f"## {folder.name}"]
    if rows:
        parts.append("\n".join(["| file | of | command | machine |", "|---|---|---|---|", *rows]))
    for path in sorted(folder.rglob("*.svg")):
        name = path.relative_to(folder.parent)
        parts.append(f"![{path.stem}](measured/{name})")
    for path in sorted(folder.rglob("*.txt")):
        text = path.read_text(encoding="utf-8").rstrip()
        inner = "\n".join(f"    {line}" for line in ["```text", *text.splitlines(), "```"])
        parts.append(f'??? note "{path.relative_to(folder)}"\n\n{inner}')
    return "\n\n".join(parts)


def _code(command: str) -> str:
    """A command that may be broken behind commas, and not within an option."""
    shown = html.escape(command).replace(",", ",<wbr>")
    whole = re.sub(r"--[\w-]+", r'<span class="whole">\g<0></span>', shown)
    return f"<code>{whole}</code>" if command else ""


def _made(path: Path) -> Made:
    """What a results file says of itself, whichever kind it is."""
    found: dict[str, Any] = read_json(path)
    if not isinstance(found, dict):
        return Made("", "", "")
    details = found.get("details") or {}
    where = details.get("environment") or found.get("environment") or {}
    command = details.get("command") or found.get("command") or ""
    if "benchmark" in found:
        about, script = _benchmark(path, str(found["benchmark"]))
        return Made(about, _typed(command) or script, _machine(where))
    kind = "quantize" if "calibrated" in found else found.get("study")
    of = (kind, found.get("dataset"), found.get("network"))
    return Made(", ".join(str(part) for part in of if part), _typed(command), _machine(where))


def _benchmark(path: Path, name: str) -> tuple[str, str]:
    """The first line of what the benchmark's script says of itself, and the script."""
    script = path.parents[2] / "benchmarks" / f"{name}.py"
    if not script.is_file():
        return name, ""
    about = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or name
    return about.splitlines()[0], f"python3 benchmarks/{name}.py"


def _typed(command: str) -> str:
    """The command without its folder and without `--resume`, which change no figure."""
    return re.sub(r" --(out \S+|resume)", "", command)


def _machine(where: dict[str, str]) -> str:
    threads = str(where.get("threads", ""))
    parts = [
        where.get("device", ""),
        plural(int(threads), "thread") if threads.isdigit() else "",
        f"torch {where['torch']}" if "torch" in where else "",
    ]
    return ", ".join(part for part in parts if part)
