"""A part of a batch, or of a pass, for one of several processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


@dataclass(frozen=True)
class Part:
    """One of `of` equal parts.

    Of a training batch it is a stretch of its samples; of a pass every `of`-th batch, whole, so
    that each is computed as in one process.
    """

    index: int = 0
    of: int = 1

    def rows(self, count: int) -> slice:
        """Which of so many samples are this part's; all where there are fewer samples than parts.

        Example:
            >>> [Part(i, 3).rows(8) for i in range(3)]
            [slice(0, 2, None), slice(2, 5, None), slice(5, 8, None)]
        """
        if count < self.of:
            return slice(0, count)
        return slice(self.index * count // self.of, (self.index + 1) * count // self.of)

    def every(self, batches: Iterable[T]) -> Iterator[T]:
        """This part of the batches of a pass."""
        return islice(batches, self.index, None, self.of)


WHOLE = Part()


@dataclass(frozen=True)
class Chance:
    """Draws for a whole batch what happens to each picture, and gives what concerns a part of it.

    Args:
        generator: by which is drawn.
        count: pictures of the whole batch.
        rows: those that are here.
    """

    generator: torch.Generator
    count: int
    rows: slice

    @staticmethod
    def of(generator: torch.Generator | Chance, x: Tensor) -> Chance:
        """For a batch that is here as a whole, where it is not said otherwise."""
        if isinstance(generator, Chance):
            return generator
        return Chance(generator, len(x), slice(None))

    def draw(
        self, kind: Callable[..., Tensor], before: tuple[int, ...] = (), after: tuple[int, ...] = ()
    ) -> Tensor:
        """Numbers of the shape (*before, pictures here, *after).

        Args:
            kind: `torch.rand` or the like: takes a shape and a generator.
            before: sides in front of that of the pictures.
            after: sides behind it.
        """
        found = kind((*before, self.count, *after), generator=self.generator)
        return found[(*[slice(None)] * len(before), self.rows)]
