"""A process of its own for each network in each engine.

So its memory is its own, and no engine's threads are in another's way. All are kept until the end
and take turns: what disturbs the machine for a while disturbs all of them alike.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from types import ModuleType
from typing import Any

import torch

from maxprune.errors import MaxpruneError, first_line
from maxprune.inputs import fitting
from maxprune.interrupts import shielded
from maxprune.measure.latency import times
from maxprune.runtime import memory
from maxprune.runtime.engines import (
    Call,
    Kind,
    Opened,
    Source,
    open_engine,
    warmed_up,
    without_gradients,
)
from maxprune.runtime.records import Engine


@dataclass(frozen=True)
class Job:
    """One network in one engine.

    Args:
        source: the network.
        engine: that runs it.
        shape: of one input.
        kind: of its numbers.
        device: "cpu" or "cuda".
        threads: of the engine.
    """

    source: Source
    engine: Engine
    shape: tuple[int, ...]
    kind: Kind
    device: str
    threads: int


class Gone(MaxpruneError):  # noqa: N818  (what happened, not what to call it)
    """A process could not do its work; the message says why."""


class Refused(MaxpruneError):  # noqa: N818
    """A process could not do what it was asked, and waits for the next; the message says why."""


@contextlib.contextmanager
def apart() -> Iterator[None]:
    """Processes that are started here do not run the user's script again, guarded or not.

    Nor do they hear Ctrl-C.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        with shielded():
            yield
    finally:
        sys.modules["__main__"] = main


class Worker(contextlib.AbstractContextManager["Worker"]):
    """A process that runs one network when it is asked to.

    Args:
        job: what it runs.

    Raises:
        Gone: it could not be opened.
    """

    def __init__(self, job: Job) -> None:
        context = multiprocessing.get_context("spawn")
        self.job = job
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=_serve, args=(job, other), daemon=True)
        with apart():
            self.process.start()
        other.close()
        self.loading: int | None = self._heard()

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        self.process.terminate()
        self.process.join()
        self.pipe.close()

    def prepared(self, batch: int) -> tuple[int, float]:
        """Run a batch for the first time: bytes of memory above the engine alone, and seconds.

        Raises:
            Refused: it cannot run this one.
            Gone: it died of it.
        """
        found: tuple[int, float] = self._asked("prepare", batch)
        return found

    def timed(self, batch: int, seconds: float) -> list[float]:
        """Milliseconds of each pass over a batch, for so many seconds."""
        found: list[float] = self._asked("time", batch, seconds)
        return found

    def _asked(self, *what: object) -> Any:
        with contextlib.suppress(OSError):
            self.pipe.send(what)
        return self._heard()

    def _heard(self) -> Any:
        """What the process says; its end is said, too."""
        wait([self.pipe, self.process.sentinel])
        try:
            if self.pipe.poll():
                kind, content = self.pipe.recv()
                if kind == "done":
                    return content
                if kind == "refused":
                    raise Refused(content)
                self.close()
                raise Gone(content)
        except (EOFError, OSError):
            pass
        self.process.join()
        code = self.process.exitcode or 0
        cause = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        raise Gone(f"its process died ({cause}){': no memory?' if code == -9 else ''}")


def _serve(job: Job, pipe: Connection) -> None:
    """The process: open the network, and do as asked until nobody asks any more."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(job.threads)
    try:
        warmed_up(job.engine, job.device, job.threads)
        memory.give_back()
        before, apart = memory.resident(), memory.reset()
        opened = open_engine(
            job.engine, job.source, job.shape, job.kind, job.device, job.threads
        )  # fmt: skip
        pipe.send(("done", max(memory.peak() - before, 0) if apart else None))
        _answer(job, opened, before, pipe)
    except (EOFError, BrokenPipeError, KeyboardInterrupt):
        return
    except Exception as error:
        pipe.send(("error", _said(error)))


def _said(error: Exception) -> str:
    """One line; what is an engine's or the network's own begins with its kind."""
    line, kind = first_line(error), type(error).__name__
    return line if isinstance(error, MaxpruneError) or line == kind else f"{kind}: {line}"


def _answer(job: Job, opened: Opened, before: int, pipe: Connection) -> None:
    calls: dict[int, Call] = {}
    while True:
        what, batch, *rest = pipe.recv()
        with without_gradients(job.engine):
            if what == "prepare":
                try:
                    calls[batch], found = _prepared(job, opened, batch, before)
                    answer: tuple[str, Any] = "done", found
                except Exception as error:
                    answer = "refused", _said(error)
                pipe.send(answer)
            else:
                pipe.send(("done", times(calls[batch], rest[0], job.device)))


def _prepared(job: Job, opened: Opened, batch: int, before: int) -> tuple[Call, tuple[int, float]]:
    """One forward pass, ready; the memory of the second one, the seconds of the first."""
    started = time.perf_counter()
    with fitting(f"a batch of {batch:,}"):
        x = opened.inputs(batch)
    call = opened.prepare(x)
    call()
    seconds = time.perf_counter() - started
    memory.give_back()
    if job.device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        call()
        torch.cuda.synchronize()
        return call, (torch.cuda.max_memory_allocated(), seconds)
    memory.reset()
    call()
    return call, (max(memory.peak() - before, 0), seconds)
