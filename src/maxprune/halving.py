"""Passes that only read: a batch that does not fit in memory is taken in halves.

What they give is of single samples, or adds up, so it is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import torch
from torch import Tensor

from maxprune.errors import OutOfMemory
from maxprune.faults import is_out_of_memory
from maxprune.plural import plural

R = TypeVar("R")
Item = TypeVar("Item", bound=tuple[Tensor, ...])


def in_halves(batches: Iterable[Item], look: Callable[[Item], R]) -> Iterator[R]:
    """What is seen of every batch, or of every part of it where the whole does not fit in memory.

    Args:
        batches: each a tuple of tensors whose first side is that of the samples.
        look: looks at a batch, or a part of one; it must leave nothing behind where it fails.

    Raises:
        OutOfMemory: a single sample does not fit.
    """
    for parts in by_batch(batches, look):
        yield from parts


def by_batch(batches: Iterable[Item], look: Callable[[Item], R]) -> Iterator[list[R]]:
    """What is seen of every batch, as `in_halves` sees it: of each part, one behind the other."""
    most: int | None = None
    for batch in batches:
        waiting, seen = _split(batch, most), list[R]()
        while waiting:
            try:
                seen.append(look(waiting[0]))
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                most = _half(len(waiting[0][0]), error)
            else:
                del waiting[0]
                continue
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            waiting = [part for whole in waiting for part in _split(whole, most)]
        yield seen


def _split(batch: Item, most: int | None) -> list[Item]:
    """The parts of a batch, of so many samples at most."""
    if most is None or len(batch[0]) <= most:
        return [batch]
    return list(zip(*(tensor.split(most) for tensor in batch), strict=True))  # type: ignore[arg-type]


def _half(samples: int, error: BaseException) -> int:
    if samples < 2:
        raise OutOfMemory(
            f"out of memory with {plural(samples, 'sample')} at a time: take smaller inputs, or do "
            "less at the same time; what is finished is kept"
        ) from error
    return -(-samples // 2)
