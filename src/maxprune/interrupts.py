"""Being asked to end: what is open is closed first, and processes started here stay quiet."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from multiprocessing import resource_tracker
from types import FrameType


@contextlib.contextmanager
def sigterm_interrupts() -> Iterator[list[int]]:
    """While this is open SIGTERM is an interrupt like Ctrl-C.

    So folders for the time being are removed and locks let go. A second SIGTERM kills. Where it is
    ignored, or something else is done about it, it stays so.

    Yields:
        The number of the signal, once it has come.
    """
    heard: list[int] = []

    def interrupt(number: int, _: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        heard.append(number)
        raise KeyboardInterrupt

    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield heard
        return
    signal.signal(signal.SIGTERM, interrupt)
    try:
        yield heard
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextlib.contextmanager
def shielded() -> Iterator[None]:
    """A process that is started here does not hear Ctrl-C: it is for the one that started it."""
    resource_tracker.ensure_running()  # else it is started with the first one, and lifts the shield
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
