"""What samples are, one after the other and read again and again: exact, a little of it held."""

from __future__ import annotations

import tempfile
import weakref

import torch
from jaxtyping import Float, Int
from torch import Tensor

from maxprune.errors import OutputError, UsageError, first_line

HELD = 2**20  # bytes in memory; more goes to disk


class Targets:
    """Classes, (samples,) int64, or real values, (samples, values), as they are appended.

    What needs more than `HELD` bytes lies in a file without a name that is gone with the process,
    so memory does not grow with the samples.

    Args:
        folder: where the file lies; None for the system's place for temporary files.
    """

    def __init__(self, folder: str | None = None) -> None:
        self.rows = 0
        self.largest = -1  # class
        self._file = tempfile.SpooledTemporaryFile(HELD, dir=folder)  # noqa: SIM115
        weakref.finalize(self, self._file.close)
        self._like: Tensor | None = None

    def __len__(self) -> int:
        return self.rows

    @property
    def real(self) -> bool:
        """Whether they are real values, not classes."""
        return self._like is not None and self._like.is_floating_point()

    def append(self, targets: Int[Tensor, " some"] | Float[Tensor, "some values"]) -> None:
        """Add those of more samples.

        Raises:
            UsageError: they are of another kind than the earlier ones.
            OutputError: there is no place on disk.
        """
        like = targets[:0].cpu().clone()
        if self._like is None:
            self._like = like
        if (like.shape, like.is_floating_point()) != (self._like.shape, self.real):
            raise UsageError("the targets of two batches are not of one kind")
        if len(targets) and not self.real:
            self.largest = max(self.largest, int(targets.max()))
        content = targets.cpu().to(self._like.dtype).contiguous().numpy().tobytes()
        try:
            self._file.seek(0, 2)
            self._file.write(content)
            self._file.flush()
        except OSError as error:
            raise OutputError(f"no place on disk for targets: {first_line(error)}") from error
        self.rows += len(targets)

    def of(self, start: int, count: int) -> Int[Tensor, " count"] | Float[Tensor, "count values"]:
        """Those of so many samples from one on; all of these have to be there."""
        if self._like is None or not 0 <= start <= start + count <= self.rows:
            raise UsageError(f"there are {self.rows} targets")
        like = self._like
        each = like.element_size() * like.shape[1:].numel()
        self._file.seek(start * each)
        content = bytearray(self._file.read(count * each))
        if not content:
            return like
        return torch.frombuffer(content, dtype=like.dtype).view(count, *like.shape[1:])
