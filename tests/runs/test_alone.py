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
from maxprune.runs.alone import LOCK, WHO, alone, is_empty

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
