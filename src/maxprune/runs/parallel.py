"""Pieces of work side by side, each in a process of its own with one thread.

Two single-threaded processes do more work than one process with two threads, and one thread a
process makes results independent of how many run side by side.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import traceback
from collections.abc import Callable, Container, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch

from maxprune.distributed.world import world
from maxprune.errors import MaxpruneError, OutputError
from maxprune.faults import explained
from maxprune.files import write_text
from maxprune.interrupts import shielded
from maxprune.naming import as_options, options

LOG = ".error.log"


class Piece(Protocol):
    """A piece of work that a process of its own can do; it is pickled to get there."""

    @property
    def name(self) -> str:
        """Of its folder, and in messages."""

    @property
    def after(self) -> str:
        """The name of the piece that has to be done before this one is begun; "" for none."""

    def length(self) -> int:
        """The training iterations of the whole piece."""

    def is_done(self, folder: Path) -> bool:
        """Whether an earlier run did all of it."""

    def do(self, folder: Path, report: Callable[[int], None]) -> None:
        """Do it, going on where an earlier run was.

        Args:
            folder: its own.
            report: told the training iterations that are done.

        Raises:
            MaxpruneError: it cannot be done.
        """


P = TypeVar("P", bound=Piece)


def run_all(pieces: Sequence[P], folder: Path, jobs: int, heard: Callable[[P, int], None]) -> None:
    """Do all pieces, `jobs` at a time; those done before are left as they are.

    Args:
        pieces: in the order in which they are begun, but that one waits for the piece it comes
            after, which stands before it.
        folder: each piece has its own folder in it.
        jobs: processes side by side; those that torchrun has started work together on one piece.
        heard: called with a piece and the training iterations it has done so far.

    Raises:
        MaxpruneError: a piece failed or its process died; the others are stopped, and what they
            have finished is kept.
    """
    if world().size > 1:
        _together(pieces, folder, heard)
    else:
        _side_by_side(pieces, folder, jobs, heard)


def _side_by_side(
    pieces: Sequence[P], folder: Path, jobs: int, heard: Callable[[P, int], None]
) -> None:
    """Do each in a process of its own, so many at a time."""
    context = multiprocessing.get_context("spawn")
    messages = context.Queue()
    waiting = []
    for piece in pieces:
        if piece.is_done(folder / piece.name):
            heard(piece, piece.length())
        else:
            waiting.append(piece)
    running: dict[str, tuple[P, Any]] = {}
    try:
        while waiting or running:
            while len(running) < jobs and (free := _next(waiting, running)) is not None:
                waiting.remove(free)
                work = (free, folder / free.name, messages, options())
                process = context.Process(target=_process, args=work, name=free.name)
                with shielded():
                    process.start()
                    running[free.name] = free, process
            _listen(messages, running, heard)
    finally:
        for _, process in running.values():
            process.terminate()
            process.join()


def _together(pieces: Sequence[P], folder: Path, heard: Callable[[P, int], None]) -> None:
    """Do one piece after the other, each by all processes that torchrun has started."""
    for piece in pieces:
        place = folder / piece.name
        world().mirror(place)  # what an earlier run has left decides what is to be done
        if not piece.is_done(place):
            piece.do(place, partial(heard, piece))
        heard(piece, piece.length())


def _next(waiting: Sequence[P], running: Container[str]) -> P | None:
    """The first piece that waits for no other."""
    undone = {piece.name for piece in waiting}
    free = (p for p in waiting if p.after not in undone and p.after not in running)
    return next(free, None)


def _listen(
    messages: Any, running: dict[str, tuple[P, Any]], heard: Callable[[P, int], None]
) -> None:
    """Hear one message, or notice that a process ended."""
    ended = {name for name, (_, process) in running.items() if process.exitcode is not None}
    try:
        name, kind, content = messages.get(timeout=0.5)
    except queue.Empty:
        for name in ended:  # and half a second later there is still no word of it
            code = running[name][1].exitcode
            raise MaxpruneError(
                f"the process of {name} died ({_cause(code)}); "
                "go on with --resume, perhaps with fewer --jobs"
            ) from None
        return
    if kind == "iterations":
        heard(running[name][0], content)
    elif kind == "error":
        raise MaxpruneError(f"{name}: {content}")
    else:
        piece, process = running.pop(name)
        process.join()
        heard(piece, piece.length())


def usual_jobs() -> int:
    """How many processes side by side by default: one a core; on CUDA one, which has it all."""
    return 1 if torch.cuda.is_available() else os.cpu_count() or 1


def _cause(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _logged(error: BaseException, log: Path) -> str:
    """An error in one line, all of it in a file."""
    where = f"(all of it in {log})"
    try:
        write_text(log, "".join(traceback.format_exception(error)))
    except OutputError as full:
        where = f"({full})"
    line = " ".join(str(error).split()) or "no message"
    return f"{type(error).__name__}: {line} {where}"


def _process(
    piece: Piece, folder: Path, messages: Any, called: Mapping[str, str] | None = None
) -> None:
    """One piece, in its own process, where settings are called as in the one that started it."""
    torch.set_num_threads(1)
    with nullcontext() if called is None else as_options(**called):
        work(piece, folder, messages)


def work(piece: Piece, folder: Path, messages: Any) -> None:
    """Do a piece, and send how far it is and how it ends."""
    parent = multiprocessing.parent_process()

    def report(iterations: int) -> None:
        if parent is not None and not parent.is_alive():
            os._exit(1)  # killed without a chance to stop us; a resumed run takes over
        messages.put((piece.name, "iterations", iterations))

    try:
        piece.do(folder, report)
        folder.with_name(f"{piece.name}{LOG}").unlink(missing_ok=True)
    except MaxpruneError as error:
        messages.put((piece.name, "error", str(error)))
    except (Exception, SystemExit) as error:  # no memory, or a defect: one line
        known = explained(error)
        says = _logged(error, folder.with_name(f"{piece.name}{LOG}")) if known is None else known
        messages.put((piece.name, "error", str(says)))
    else:
        messages.put((piece.name, "done", None))
