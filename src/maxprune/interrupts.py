"""Being asked to end: what is open is closed first, and processes started here stay quiet."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from multiprocessing import resource_tracker
from types import FrameType
from typing import Any

PLAIN: dict[signal.Signals, Callable[..., Any] | signal.Handlers] = {
    signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL,
}  # fmt: skip
"""What Python does about the signals that ask a program to end."""


@contextlib.contextmanager
def asked_to_end() -> Iterator[list[int]]:
    """While this is open SIGTERM is an interrupt like Ctrl-C, and it is known that one has come.

    So folders for the time being are removed and locks let go, and it is not taken for a failure
    where others caught the interrupt. A second SIGTERM kills. Where a signal is ignored, or
    something else is done about it, it stays so.

    Yields:
        The numbers of the signals that have come.
    """
    heard: list[int] = []

    def interrupt(number: int, _: FrameType | None) -> None:
        signal.signal(number, PLAIN[signal.Signals(number)])
        heard.append(number)
        raise KeyboardInterrupt

    ours = threading.current_thread() is threading.main_thread()
    known = [number for number in PLAIN if ours and signal.getsignal(number) is PLAIN[number]]
    for number in known:
        signal.signal(number, interrupt)
    try:
        yield heard
    finally:
        for number in known:
            signal.signal(number, PLAIN[number])


@contextlib.contextmanager
def shielded() -> Iterator[None]:
    """A process that is started here does not hear Ctrl-C: it is for the one that started it."""
    resource_tracker.ensure_running()  # else it is started with the first one, and lifts the shield
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
