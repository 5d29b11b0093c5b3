"""The command line called in this process."""

from __future__ import annotations

import sys

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
