"""How long trainings wait for their data: time in which the network has nothing to do."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

from maxprune.data.loaded import Loaded
from maxprune.data.samples import Splits

T = TypeVar("T")

MUCH = 0.1  # of the time
SOON = 30.0  # seconds of training, after which that can be said


@dataclass
class Waiting:
    """A clock that several trainings share.

    Attributes:
        advice: what to do about it; "" where nothing is known.
        waited: seconds until the next batch was there.
        passed: seconds from the beginning of each training to its last batch, with judging.
    """

    advice: str = ""
    waited: float = 0.0
    passed: float = 0.0

    @property
    def share(self) -> float | None:
        """Of the time, in [0, 1]; None before the first batch."""
        return self.waited / self.passed if self.passed else None

    @property
    def is_much(self) -> bool:
        """Whether so much of the time goes into it that something should be done."""
        return self.passed >= SOON and self.waited > MUCH * self.passed

    def through(self, stream: Iterator[T]) -> Iterator[T]:
        """The same batches, by the clock."""
        before = time.perf_counter()
        while True:
            asked = time.perf_counter()
            batch = next(stream, None)
            now = time.perf_counter()
            if batch is None:
                return
            self.waited += now - asked
            self.passed += now - before
            before = now
            yield batch


def advice_of(data: Splits) -> str:
    """What to do where a training waits for these data; "" for pictures in memory."""
    if data.streamed:
        return (
            "more threads may read (--workers, at best one a core), pictures be smaller on disk, "
            "or lie in tar shards where the disk is slow; --no-stream where they fit into memory"
        )
    return "give the loader more workers" if isinstance(data.train, Loaded) else ""
