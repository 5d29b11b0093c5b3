"""Pieces of work side by side: which is begun when."""

from __future__ import annotations

import errno
import os
import queue
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from maxprune.errors import MaxpruneError
from maxprune.naming import as_options
from maxprune.runs.parallel import run_all, work


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def no_memory() -> None:
    raise MemoryError


def vanished() -> None:
    torch.from_file("/gone", size=4)


def defect() -> None:
    raise ValueError("a defect\nof two lines")


FAULTS = {"killed": killed, "no memory": no_memory, "vanished": vanished, "defect": defect}


@dataclass(frozen=True)
class Noted:
    """A piece that leaves a file, and fails where the one before it has left none."""

    name: str
    after: str = ""
    fault: str = ""

    def length(self) -> int:
        return 1

    def is_done(self, folder: Path) -> bool:
        return (folder / "done").exists()

    def do(self, folder: Path, report: Callable[[int], None]) -> None:
        if self.after and not (folder.with_name(self.after) / "done").exists():
            raise MaxpruneError(f"{self.after} is not done")
        report(1)
        if self.fault:
            FAULTS[self.fault]()
        folder.mkdir()
        (folder / "done").touch()


def test_a_piece_waits_for_the_one_it_comes_after(tmp_path: Path) -> None:
    (tmp_path / "earlier").mkdir()
    (tmp_path / "earlier" / "done").touch()  # by an earlier run
    pieces = [
        Noted("earlier"), Noted("first", "earlier"), Noted("second", "first"), Noted("other")
    ]  # fmt: skip
    heard: list[str] = []
    run_all(pieces, tmp_path, 2, lambda piece, done: heard.append(piece.name))
    assert all(piece.is_done(tmp_path / piece.name) for piece in pieces)
    assert set(heard) == {piece.name for piece in pieces}
    assert heard.index("first") < heard.index("second")


def test_a_process_that_is_killed_is_one_line_and_what_is_finished_stays(tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "done").touch()
    pieces = [Noted("first"), Noted("second", "first", "killed"), Noted("third", "second")]
    says = r"^the process of second died \(signal SIGKILL\); go on with --resume, perhaps"
    with pytest.raises(MaxpruneError, match=says) as caught:
        run_all(pieces, tmp_path, 2, lambda *_: None)
    assert "\n" not in str(caught.value)
    assert [piece.is_done(tmp_path / piece.name) for piece in pieces] == [True, False, False]


def said(piece: Noted, folder: Path) -> str:
    """What a process would tell of its end, in this process."""
    messages: queue.Queue[tuple[str, str, str]] = queue.Queue()
    with as_options():
        work(piece, folder / piece.name, messages)
    told = [messages.get_nowait() for _ in range(messages.qsize())]
    assert [kind for _, kind, _ in told] == ["iterations", "error"]
    assert "\n" not in told[-1][2]
    return told[-1][2]


def test_what_ends_a_piece_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert said(Noted("a", fault="no memory"), tmp_path).startswith("out of memory: lower --batch")
    assert not list(tmp_path.iterdir())
    log = tmp_path / "b.error.log"
    assert "/gone" in said(Noted("b", fault="vanished"), tmp_path)
    assert said(Noted("b", fault="defect"), tmp_path) == (
        f"ValueError: a defect of two lines (all of it in {log})"
    )
    assert log.read_text().startswith("Traceback")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    log.unlink()
    monkeypatch.setattr("os.fsync", full)
    assert said(Noted("b", fault="defect"), tmp_path) == (
        f"ValueError: a defect of two lines (cannot write {log}: No space left on device)"
    )
