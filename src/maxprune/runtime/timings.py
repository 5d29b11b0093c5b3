"""From the milliseconds of every pass to medians, spread and ratios."""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from maxprune.runtime.records import ENGINES, Engine, Timing
from maxprune.runtime.worker import Worker

Key: TypeAlias = tuple[int, Engine]
"""Which of the networks, in which engine."""

Round: TypeAlias = Mapping[tuple[Key, int], Sequence[float]]
"""Milliseconds of each pass, by who ran and the batch."""


@dataclass(frozen=True)
class Ready:
    """A network that is opened in an engine.

    Args:
        worker: the process that it is in.
        first: bytes of memory, and seconds of the first pass, by the batch; of those that it can
            run.
        file: bytes of the file that was opened.
    """

    worker: Worker
    first: Mapping[int, tuple[int, float]]
    file: int


def timings(
    names: Sequence[str], runs: Mapping[Key, Ready], rounds: Sequence[Round]
) -> list[Timing]:
    """Medians, spread, and the ratios to the first network.

    Args:
        names: of the networks.
        runs: who took part.
        rounds: what they took; a ratio is that of a round, where both were measured one right
            after the other.
    """
    found = []
    for key, run in runs.items():
        for batch, (memory, compiling) in run.first.items():
            beside = compared_with(key, [other for other in runs if batch in runs[other].first])
            every = sorted(t for turn in rounds for t in turn[key, batch])
            ratios = [
                statistics.median(turn[beside, batch]) / statistics.median(turn[key, batch])
                for turn in rounds
                if beside is not None
            ]
            middle = statistics.median(every)
            found.append(
                Timing(
                    network=names[key[0]], engine=key[1], batch=batch, passes=len(every),
                    milliseconds=middle, low=every[len(every) // 10],
                    high=every[-1 - len(every) // 10], throughput=1000 * batch / middle,
                    memory=memory, loading=run.worker.loading, file=run.file, compiling=compiling,
                    beside=None if beside is None else (names[beside[0]], beside[1]),
                    faster=_middle(ratios) if ratios else None,
                    faster_low=min(ratios, default=None), faster_high=max(ratios, default=None),
                )
            )  # fmt: skip
    return found


def compared_with(key: Key, runs: Collection[Key]) -> Key | None:
    """The first network in the same engine; in torch, if it is not there; None for itself."""
    same, plain = (0, key[1]), (0, ENGINES[0])
    other = same if same in runs else plain
    return other if other in runs and other != key else None


def _middle(ratios: Sequence[float]) -> float:
    """The median; of the two in the middle the geometric mean, as 2 and 1/2 are as far from 1."""
    return math.sqrt(statistics.median_low(ratios) * statistics.median_high(ratios))
