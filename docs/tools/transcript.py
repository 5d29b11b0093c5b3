"""Run the shell commands of a tutorial, and keep what they print.

A Python block that begins with `# NAME.py` is written as that file; then every `sh` block is run,
one after the other, in one folder. What the page shows of the output is compared with what is kept
here by tests/docs.

    python3 docs/tools/transcript.py docs/tutorials/engineer.md [--folder DIR] [--out DIR]
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from maxprune.files import write_json
from maxprune.runs.environment import environment

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


class Block(NamedTuple):
    """A fenced block of a page: its language, and its text."""

    language: str
    text: str


def blocks(page: str) -> Iterator[Block]:
    r"""The fenced blocks of a page that name their language.

    Example:
        >>> list(blocks("```sh\nls\n```\n"))
        [Block(language='sh', text='ls\n')]
    """
    yield from (Block(*found.groups()) for found in _BLOCK.finditer(page))


def transcript(page: str, folder: Path) -> list[dict[str, str]]:
    """Every command of a page with its output; a command that fails ends it."""
    said = []
    for block in blocks(page):
        named = re.match(r"# (\w+\.py)\n", block.text)
        if block.language == "python" and named:
            (folder / named[1]).write_text(block.text, encoding="utf-8")
        if block.language == "sh":
            done = subprocess.run(
                ["bash", "-e", "-c", block.text], cwd=folder, stdout=subprocess.PIPE, text=True,
                check=True, env={**os.environ, "COLUMNS": "80"},
            )  # fmt: skip
            lines = [line.rstrip() for line in done.stdout.splitlines()]
            said.append({"command": block.text.strip(), "output": "\n".join(lines)})
    return said


def main() -> None:
    """Read a page, run it, write the transcript."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "tutorials")
    given = parser.parse_args()
    threads = int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1))
    with tempfile.TemporaryDirectory() as fresh:
        said = transcript(given.page.read_text(encoding="utf-8"), given.folder or Path(fresh))
    write_json(
        given.out / f"{given.page.stem}.json",
        {
            "study": f"the tutorial {given.page.stem}",
            "command": f"python3 docs/tools/transcript.py docs/tutorials/{given.page.name}",
            "environment": environment(threads),
            "said": said,
        },
    )


if __name__ == "__main__":
    main()
