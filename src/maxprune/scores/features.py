"""Rows of numbers that are read again and again: in memory, or in half precision on disk."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterator
from typing import IO

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from maxprune.errors import OutputError, UsageError, first_line

HALF = torch.finfo(torch.float16)
MEMORY = 2**30  # bytes


class Features:
    """A matrix that is filled some rows at a time; in single precision as long as it fits.

    As soon as it needs more than `memory` it moves to a file without a name that is gone with the
    process, in half precision: every column less the mean of the rows so far, in units of their
    standard deviation (of one that is constant there, in units of 1), and cut off at 65,504 of
    these. What comes back is rounded by about 1/2,000 of the distance from that mean.

    Args:
        columns: numbers of one row.
        memory: bytes; one batch has to fit.
        folder: where the file lies; None for the system's place for temporary files.
    """

    def __init__(self, columns: int, memory: int = MEMORY, folder: str | None = None) -> None:
        self.columns, self.memory, self.folder = columns, memory, folder
        self.rows = 0
        self._held: list[Tensor] = []
        self._file: IO[bytes] | None = None
        self._shift = self._scale = torch.zeros(0)

    def append(self, rows: Float[Tensor, "rows columns"]) -> None:
        """Add rows.

        Raises:
            UsageError: they need more memory than there may be.
            OutputError: there is no place on disk.
        """
        if 4 * rows.numel() > self.memory:
            raise UsageError(
                f"{self.memory:,} bytes of memory do not hold one batch of features, "
                f"{len(rows):,} x {self.columns:,} numbers; allow more, or give smaller batches"
            )
        self.rows += len(rows)
        self._held.append(rows.float().cpu())
        if self._file is not None or 4 * self.rows * self.columns > self.memory:
            try:
                self._spill()
            except OSError as error:
                raise OutputError(f"no place on disk for features: {first_line(error)}") from error

    def blocks(self) -> Iterator[Float[Tensor, "rows columns"]]:
        """All rows in their order, some at a time."""
        yield from self._held
        if self._file is not None:
            each = max(1, self.memory // (16 * self.columns))  # an eighth of the memory
            for start in range(0, self.rows, each):
                yield self._read(start, min(each, self.rows - start))

    def take(self, index: Int[Tensor, " taken"]) -> Float[Tensor, "taken columns"]:
        """The rows at these places."""
        if self._file is not None:
            return torch.cat([self._read(int(i), 1) for i in index])
        if len(self._held) > 1:
            self._held = [torch.cat(self._held)]
        return self._held[0][index]

    def _spill(self) -> None:
        """Move what is held to the end of the file."""
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self.folder, buffering=0)  # noqa: SIM115
            weakref.finalize(self, self._file.close)
            so_far = torch.cat(self._held) if len(self._held) > 1 else self._held[0]
            self._shift, self._scale = so_far.mean(0), so_far.std(0, correction=0)
            self._scale[self._scale == 0] = 1.0
        self._file.seek(0, 2)
        while self._held:
            scaled = (self._held.pop(0) - self._shift) / self._scale
            half = scaled.clamp_(HALF.min, HALF.max).half()
            left = memoryview(half.contiguous().numpy().tobytes())
            while len(left):
                left = left[self._file.write(left) :]

    def _read(self, start: int, rows: int) -> Float[Tensor, "rows columns"]:
        if self._file is None:
            raise UsageError("there are no features on disk")
        self._file.seek(2 * start * self.columns)
        content = np.fromfile(self._file, np.float16, rows * self.columns)
        half = torch.from_numpy(content).view(rows, self.columns)
        return half.float().mul_(self._scale).add_(self._shift)
