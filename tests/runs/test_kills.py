"""Runs that are killed at any moment, go on, and leave what they leave undisturbed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from killing import Command, Server, is_equal, killed, left_by, whole

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
from kills import COMMANDS

QUICK = Command(
    ("code", "kill_net.py:build", "--data", "digits", "--weights", "net.safetensors", "--epochs",
     "8", "--bits", "4"), "net.mxp", (),
)  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.close()


def test_a_few_kills(server: Server, tmp_path: Path) -> None:
    expected, seconds = whole(server, QUICK, tmp_path / "whole")
    assert set(expected) == {"net.mxp"}
    for seed in range(2):
        found = killed(server, QUICK, tmp_path / str(seed), expected, seconds, seed, most=1)
        assert is_equal(found), found


def test_what_differs_is_found(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    page = '<td data-field="seconds" data-value="1.5">1.5</td><pre data-field="command">a</pre>{}'
    left = []
    for seconds, more in ((1.0, "x"), (2.0, "x"), (1.0, "y")):
        (tmp_path / "out" / "page.html").write_text(page.format(more).replace("1.5", str(seconds)))
        (tmp_path / "out" / "a.json").write_text(f'{{"a": [{{"seconds": {seconds}, "b": 1}}]}}')
        (tmp_path / "out" / ".lock").touch()
        left.append(left_by(tmp_path))
    assert left[0] == left[1]
    assert sorted(left[0]) == ["out/a.json", "out/page.html"]
    assert left[0]["out/page.html"] != left[2]["out/page.html"]


@pytest.mark.slow
@pytest.mark.parametrize("name", list(COMMANDS))
def test_fifty_kills(name: str, server: Server, tmp_path: Path) -> None:
    expected, seconds = whole(server, COMMANDS[name], tmp_path / "whole")
    found = [
        killed(server, COMMANDS[name], tmp_path / str(seed), expected, seconds, seed)
        for seed in range(50)
    ]
    assert [one for one in found if not is_equal(one)] == []
