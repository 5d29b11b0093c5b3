"""Commands that are killed at any moment and go on, and what they leave, timings aside."""

from __future__ import annotations

import json
import os
import random
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

ASIDE = {
    ".json": "the fields seconds, waiting, command, and the checksum of a model.json with them",
    ".html": "the seconds of the table, and the command",
    ".lock": "empty, and left by whoever was killed",
}
"""What is not compared, by the end of a file's name; all else is, byte for byte."""

FIELDS = ("seconds", "waiting", "command", "checksum")
TIMED = re.compile(rb'(data-field="seconds" data-value=")[^"]*(">)[^<]*(<)')
COMMAND = re.compile(rb'(<pre data-field="command">)[^<]*(<)')

NETWORK = '''"""A network that trains in a moment."""

from torch import nn

import maxprune


@maxprune.factory
def build() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 5, 2), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(8 * 36, 48), nn.ReLU(), nn.Dropout(0.3), nn.Linear(48, 10),
    )
'''


@dataclass(frozen=True)
class Command:
    """A command whose last argument is where it writes to.

    Args:
        arguments: without --out.
        out: what stands behind --out, a folder or a file.
        on: what more it takes to go on.
    """

    arguments: tuple[str, ...]
    out: str = "out"
    on: tuple[str, ...] = ("--resume",)


@dataclass(frozen=True)
class Killed:
    """A run that was killed, once or more often, and went on.

    Args:
        seconds: after which each of its processes was killed.
        states: what each of them had become by then.
        differs: the files that are not those of the run that was left alone.
    """

    seconds: list[float]
    states: list[str]
    differs: list[str]


class Server:
    """The process that starts the commands."""

    def __init__(self) -> None:
        script = Path(__file__).with_name("kill_server.py")
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        self.process = subprocess.Popen(
            [sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env=environment,
        )  # fmt: skip
        assert self._line() == "ready"

    def run(
        self, folder: Path, arguments: Sequence[str], kill_after: float | None = None,
        number: signal.Signals = signal.SIGKILL,
    ) -> tuple[int, float]:  # fmt: skip
        """The exit code of a command, negative for a signal, and its seconds.

        Args:
            folder: where it runs; what it says is added to log.txt there.
            arguments: of the command.
            kill_after: so many seconds all its processes get a signal; None for never.
            number: of the signal.
        """
        order = {"arguments": arguments, "folder": str(folder), "log": str(folder / "log.txt")}
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        self.process.stdin.flush()
        group, started = int(self._line()), time.perf_counter()
        if (
            kill_after is not None
            and not select.select([self.process.stdout], [], [], kill_after)[0]
        ):
            with suppress(ProcessLookupError):
                os.killpg(group, number)
        status = int(self._line())
        return os.waitstatus_to_exitcode(status), time.perf_counter() - started

    def _line(self) -> str:
        assert self.process.stdout is not None
        found = b""
        while not found.endswith(b"\n"):
            part = os.read(self.process.stdout.fileno(), 1)
            assert part, "the server has ended"
            found += part
        return found.decode().strip()

    def close(self) -> None:
        """End it."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def whole(server: Server, command: Command, folder: Path) -> tuple[dict[str, bytes], float]:
    """What a run leaves that nobody kills, and its seconds."""
    _furnish(folder)
    code, seconds = server.run(folder, [*command.arguments, "--out", command.out])
    assert code == 0, (folder / "log.txt").read_text()
    return left_by(folder), seconds


def killed(
    server: Server, command: Command, folder: Path, expected: dict[str, bytes], seconds: float,
    seed: int, most: int = 2,
) -> Killed:  # fmt: skip
    """Kill a run at random moments, let it go on, and compare what it leaves in the end.

    Args:
        server: starts it.
        command: what runs.
        folder: a new one for it.
        expected: what the run left that nobody killed.
        seconds: it took; a moment is any within.
        seed: of the moments and their number.
        most: kills, at least one.
    """
    draw = random.Random(seed)
    first = [*command.arguments, "--out", command.out]
    moments, states = [0.0], ["ended"]
    while states == ["ended"]:  # before its moment, as the machine was less busy: another one
        shutil.rmtree(folder, ignore_errors=True)
        _furnish(folder)
        moments = [draw.uniform(0, seconds)]
        code, length = server.run(folder, first, moments[0])
        states, seconds = [_said(code)], min(seconds, length) if code == 0 else seconds
    arguments = [*first, *command.on]
    for _ in range(draw.randint(1, most) - 1):
        moments.append(draw.uniform(0, seconds))
        states.append(_said(server.run(folder, arguments, moments[-1])[0]))
    code, _ = server.run(folder, arguments)
    states.append(_said(code))
    found = left_by(folder)
    differs = sorted(n for n in {*found, *expected} if found.get(n) != expected.get(n))
    return Killed([round(moment, 3) for moment in moments], states, differs)


def _said(code: int) -> str:
    return {0: "ended", -signal.SIGKILL: "killed"}.get(code, f"exit code {code}")


def _furnish(folder: Path) -> None:
    """A folder for a run, with a network and its weights."""
    folder.mkdir(parents=True)
    (folder / "kill_net.py").write_text(NETWORK)
    made: dict[str, Any] = {"__name__": "kill_net"}
    exec(NETWORK, made)  # noqa: S102
    torch.manual_seed(0)
    save_file(made["build"]().state_dict(), folder / "net.safetensors")


def is_equal(found: Killed) -> bool:
    """Whether a run was killed, ended at last, and left the same."""
    return (
        {*found.states} == {"killed", "ended"}
        and not found.differs
        and (found.states[-1] == "ended")
    )


def left_by(folder: Path) -> dict[str, bytes]:
    """What a run has left, by the name of the file: its bytes without what may differ."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): _bare(path)
        for path in files
        if path.name not in ("log.txt", "kill_net.py", "net.safetensors")
        and path.suffix != ".lock"
        and path.name != ".lock"
    }


def _bare(path: Path) -> bytes:
    content = path.read_bytes()
    if path.suffix == ".json":
        return json.dumps(_without(json.loads(content)), indent=1).encode()
    if path.suffix == ".html":
        return COMMAND.sub(rb"\1\2", TIMED.sub(rb"\1\2\3", content))
    return content


def _without(content: Any) -> Any:
    if isinstance(content, dict):
        return {name: _without(value) for name, value in content.items() if name not in FIELDS}
    return [_without(value) for value in content] if isinstance(content, list) else content


def as_record(found: Killed) -> dict[str, Any]:
    """For a results file."""
    return {**asdict(found), "equal": is_equal(found)}
