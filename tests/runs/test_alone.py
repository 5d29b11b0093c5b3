"""One process at a time in a folder."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from maxprune.errors import OutputError
from maxprune.files import read_json, write_json
from maxprune.runs.alone import LOCK, WHO, alone, alone_with, is_empty

HOLD = """
import sys, time, filelock
with filelock.FileLock(sys.argv[1]):
    print("in", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def holder(folder: Path, seconds: float = 600) -> subprocess.Popen[str]:
    """Another process that holds the lock of a folder."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-c", HOLD, str(folder / LOCK), str(seconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "in\n"
    return process


@pytest.fixture
def held(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    process = holder(tmp_path / "run")
    yield process
    process.kill()
    process.communicate()


def test_another_process_is_refused_until_it_is_killed(
    tmp_path: Path, held: subprocess.Popen[str]
) -> None:
    folder = tmp_path / "run"
    with pytest.raises(OutputError, match="is in use by another process; wait"), alone(folder):
        pass
    write_json(folder / WHO, {"process": held.pid, "since": "2026-01-02 03:04:05"})
    says = f"is in use by process {held.pid} since 2026-01-02 03:04:05; wait until that has ended"
    with pytest.raises(OutputError, match=says), alone(folder):
        pass
    held.send_signal(signal.SIGKILL)
    held.wait()
    with alone(folder):
        who = read_json(folder / WHO)
        assert who["process"] == os.getpid()
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", who["since"])


def test_it_may_be_waited_for(tmp_path: Path) -> None:
    process = holder(tmp_path / "run", seconds=1)
    with alone(tmp_path / "run", wait=True):
        assert process.wait() == 0
    process.communicate()


def test_this_process_may_enter_again_and_leaves_the_folder_free(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt), alone(folder), alone(folder):
        raise KeyboardInterrupt
    assert is_empty(folder)
    assert not (folder / WHO).exists()
    holder(folder, seconds=0).communicate()


def test_a_folder_that_cannot_be_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file is a file, where a folder is wanted; name anot"):
        alone(tmp_path / "file").__enter__()
    with pytest.raises(OutputError, match=r"cannot write .*Not a directory; name another"):
        alone(tmp_path / "file" / "run").__enter__()
    assert not is_empty(tmp_path)
    assert not is_empty(tmp_path / "file")
    assert is_empty(tmp_path / "nothing")


def test_what_a_killed_process_had_begun_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    whose = folder / "another"
    for place in (folder / "steps", whose):
        place.mkdir(parents=True)
    (whose / LOCK).touch()
    begun = [
        folder / ".results.json.a1b2c3_4.part", folder / "steps" / ".1.abcdefgh.part" / "model.json"
    ]  # fmt: skip
    others = [
        whose / ".rows.json.abcdefgh.part", folder / "steps" / "1.part", folder / ".mine.markdown",
        folder / "steps" / "1.part.before",
    ]  # fmt: skip
    for path in (*begun, *others):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    with alone(folder):
        assert not any(path.exists() for path in (*begun, begun[1].parent))
        assert all(path.exists() for path in others)
        begun[0].touch()
        with alone(folder):
            assert begun[0].exists()  # it may be our own


def test_one_process_at_a_time_makes_a_file(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.mxp"
    with alone_with(path):
        pass
    assert not list(path.parent.iterdir())
    (path.parent / ".a.mxp.abcdefgh.part").touch()
    (path.parent / ".b.mxp.abcdefgh.part").touch()
    command = [sys.executable, "-c", HOLD, str(path.parent / ".a.mxp.lock"), "600"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "in\n"
        says = "another process is making .*a.mxp; wait until that has ended, or name another --out"
        with pytest.raises(OutputError, match=says), alone_with(path):
            pass
        process.kill()
    with alone_with(path):
        assert [p.name for p in path.parent.glob("*.part")] == [".b.mxp.abcdefgh.part"]
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write"), alone_with(tmp_path / "file" / "a.mxp"):
        pass
