"""The command line called in this process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from maxprune.cli import main


def call(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object
) -> tuple[int, str, str]:
    """Exit code, what it printed, and what it said on the error stream."""
    monkeypatch.setattr(sys, "argv", ["maxprune", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        main()
    said = capsys.readouterr()
    return int(end.value.code or 0), said.out, said.err


def run(out: Path, *arguments: object) -> Path:
    """The command in a process of its own, with `--out`; what it printed is in said.txt there."""
    command = [sys.executable, "-m", "maxprune", *map(str, arguments), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (out / "said.txt").write_text(done.stdout)
    return out
