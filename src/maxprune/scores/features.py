"""Rows of numbers that are read again and again: in memory, or in half precision on disk."""

from __future__ import annotations

import tempfile
import weakref
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from maxprune.errors import OutputError, UsageError, first_line

MEMORY = 2**30  # bytes


PARTS = 8  # of the memory that one block on disk would need


@dataclass(frozen=True)
class _Block:
    """Rows on disk: the first one, how many, and where they begin."""

    start: int
    rows: int
    offset: int


class Features:
    """A matrix that is filled some rows at a time; in single precision as long as it fits.

    As soon as it needs more than `memory` it moves to a file without a name that is gone with the
    process, block by block in half precision: every column less its mean in that block, in units
    of its largest distance from it. What comes back is rounded by at most 1/2,000 of the distance
    from that mean.

    Args:
        columns: numbers of one row.
        memory: bytes; one row has to fit.
        folder: where the file lies; None for the system's place for temporary files.
    """

    def __init__(self, columns: int, memory: int = MEMORY, folder: str | None = None) -> None:
        self.columns, self.memory, self.folder = columns, memory, folder
        self.rows = 0
        self._held: list[Tensor] = []  # the last rows, which are not on disk
        self._blocks: list[_Block] = []
        self._file: IO[bytes] | None = None
        self._cached: tuple[int, Tensor, Tensor] | None = None

    def append(self, rows: Float[Tensor, "rows columns"]) -> None:
        """Add rows.

        Raises:
            UsageError: a row needs more memory than there may be.
            OutputError: there is no place on disk.
        """
        if 4 * self.columns > self.memory:
            raise UsageError(too_small(self.columns, self.memory))
        for part in rows.float().cpu().split(self._each):
            self._held.append(part)
            self.rows += len(part)
        if 4 * self._waiting > self.memory // (PARTS if self._blocks else 1):
            try:
                self._spill()
            except OSError as error:
                raise OutputError(f"no place on disk for features: {first_line(error)}") from error

    def blocks(self) -> Iterator[Float[Tensor, "rows columns"]]:
        """All rows in their order, some at a time."""
        for index, block in enumerate(self._blocks):
            yield self._read(index, 0, block.rows)
        yield from self._held

    def take(self, index: Int[Tensor, " taken"]) -> Float[Tensor, "taken columns"]:
        """The rows at these places."""
        return torch.cat([self._row(int(i)) for i in index])

    @property
    def _each(self) -> int:
        """Rows of a block."""
        return max(1, self.memory // (4 * PARTS * self.columns))

    @property
    def _waiting(self) -> int:
        """Numbers that are not on disk."""
        return self.columns * (self.rows - self._on_disk)

    @property
    def _on_disk(self) -> int:
        return self._blocks[-1].start + self._blocks[-1].rows if self._blocks else 0

    def _row(self, place: int) -> Float[Tensor, "1 columns"]:
        """One row."""
        if place < self._on_disk:
            index = bisect_right(self._blocks, place, key=lambda block: block.start) - 1
            return self._read(index, place - self._blocks[index].start, 1)
        place -= self._on_disk
        for part in self._held:
            if place < len(part):
                return part[place : place + 1]
            place -= len(part)
        raise UsageError(f"there are {self.rows} rows")

    def _spill(self) -> None:
        """Move what is held to the end of the file."""
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self.folder, buffering=0)  # noqa: SIM115
            weakref.finalize(self, self._file.close)
        while self._held:
            parts = [self._held.pop(0)]
            while self._held and sum(map(len, parts)) + len(self._held[0]) <= self._each:
                parts.append(self._held.pop(0))
            rows = torch.cat(parts)
            shift = rows.mean(0)
            rows -= shift  # torch.cat made it ours
            scale = rows.abs().amax(0)
            scale[scale == 0] = 1.0
            rows /= scale
            block = _Block(self._on_disk, len(rows), self._file.seek(0, 2))
            for numbers in (shift, scale, rows.half()):
                left = memoryview(numbers.contiguous().numpy().tobytes())
                while len(left):
                    left = left[self._file.write(left) :]
            self._blocks.append(block)

    def _read(self, index: int, start: int, rows: int) -> Float[Tensor, "rows columns"]:
        """Rows of a block."""
        if self._file is None:
            raise UsageError("there are no features on disk")
        offset, columns = self._blocks[index].offset, self.columns
        if self._cached is None or self._cached[0] != index:
            self._file.seek(offset)
            both = torch.from_numpy(np.fromfile(self._file, np.float32, 2 * columns))
            self._cached = index, *both.split(columns)
        self._file.seek(offset + 8 * columns + 2 * start * columns)
        content = np.fromfile(self._file, np.float16, rows * columns)
        _, shift, scale = self._cached
        return torch.from_numpy(content).view(rows, columns).float().mul_(scale).add_(shift)


def too_small(columns: int, memory: int) -> str:
    """What is said of a memory that does not hold one row."""
    return (
        f"{memory:,} bytes of memory do not hold the features of one sample, {columns:,} numbers; "
        "allow more"
    )
