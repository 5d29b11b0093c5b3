"""Work for several threads, a little ahead of whoever wants what comes of it, and in its order.

Threads, since Pillow lets Python's lock go while it decodes: on two cores they are as fast as the
processes of a DataLoader (results/benchmarks/streaming.json), start at once and copy nothing.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_order(do: Callable[[T], R], wanted: Iterable[T], threads: int, ahead: int) -> Generator[R]:
    """What `do` gives for each that is wanted, in their order; an error comes in its place.

    Args:
        do: called in one of the threads.
        wanted: may have no end; taken from it are at most `ahead` more than were given.
        threads: how many.
        ahead: results and pieces of work that may wait.
    """
    pool = ThreadPoolExecutor(threads)
    waiting: deque[Future[R]] = deque()
    try:
        for one in wanted:
            waiting.append(pool.submit(do, one))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
