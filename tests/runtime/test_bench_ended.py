"""A comparison that somebody ends: no folder and no process is left."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from command_line import call

from maxprune.runtime.records import Machine, Rate

HERE = Path(__file__).parent / "bench_networks.py"
MACHINE = Machine(macs=1e10, reading=(Rate(size=10**6, rate=1e10),), starting={})


def test_sigterm_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def asked_to_end(*_: object) -> Machine:
        assert len(list(tmp_path.glob("maxprune-*"))) == 1
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)
        return MACHINE

    monkeypatch.setattr("maxprune.runtime.side_by_side.probe", asked_to_end)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    options = ("--input", 1024, "--engine", "torch")
    code, _, said = call(monkeypatch, capsys, "bench", f"{HERE}:plain", *options)
    assert code == 143
    assert said.splitlines()[-1] == "maxprune: stopped"
    assert not list(tmp_path.glob("maxprune-*"))
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def children(process: int) -> set[int]:
    """The processes that it started and that are there."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
            if int(parent) == process and state != "Z":
                found.add(int(stat.parent.name))
    return found


SIGINT_BLOCKED = re.compile(r"^SigBlk:\s+[0-9a-f]+[2367abef]$", re.MULTILINE)  # see man 5 proc


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc here")
def test_nobody_is_left_when_it_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "maxprune", "bench", f"{HERE}:plain", "--input", "1024"]
    process = subprocess.Popen(
        [*command, "--engine", "torch", "--seconds", "1000"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while len(known := children(process.pid)) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)  # one is multiprocessing's own
    deaf = [one for one in known if SIGINT_BLOCKED.search(Path(f"/proc/{one}/status").read_text())]
    process.kill()
    process.wait()
    assert known
    assert len(deaf) >= len(known) - 1  # multiprocessing's own
    while any(Path(f"/proc/{one}").exists() for one in known) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not [one for one in known if Path(f"/proc/{one}").exists()]
