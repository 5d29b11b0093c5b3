"""How much memory is free, by what the system writes about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from maxprune.data import room


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(room, "_SYSTEM", tmp_path / "meminfo")
    monkeypatch.setattr(room, "_GROUP", tmp_path)
    return tmp_path


def test_what_is_available_and_what_the_container_may_have(system: Path) -> None:
    (system / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable:    3000 kB\nBuffers: 1 kB\n")
    assert room.free() == 3000 * 1024
    (system / "memory.current").write_text("1000\n")
    for most, free in (("max\n", 3000 * 1024), ("5000\n", 4000), ("900\n", 0)):
        (system / "memory.max").write_text(most)
        assert room.free() == free


def test_where_nobody_writes_about_it(system: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room.os, "sysconf", lambda name: {"SC_PAGE_SIZE": 4096}.get(name, 10))
    assert room.free() == 40_960

    def none(name: str) -> int:
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr(room.os, "sysconf", none)
    assert room.free() is None
