"""Labelled pictures that stay on disk: read and decoded by several threads as they are needed."""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Int, Int64, UInt8
from torch import Tensor

from maxprune.data.ahead import in_order
from maxprune.data.images import Batch, Images, checked_index, floats
from maxprune.data.index import AGAIN, Index
from maxprune.data.layout import shown
from maxprune.data.order import batches
from maxprune.data.part import WHOLE, Part
from maxprune.data.survey import unread
from maxprune.errors import DataError, UsageError
from maxprune.pictures import Size, Unreadable, quiet

PIECE = 16  # pictures that one thread decodes in one go
AHEAD = 2  # batches that are decoded before they are asked for
HELD = 2**28  # bytes of pictures that wait at most

Piece: TypeAlias = tuple[Int64[Tensor, " b"], bool]
Decoded: TypeAlias = tuple[UInt8[np.ndarray, "b c h w"], Int64[Tensor, " b"], bool]


@dataclass(frozen=True, eq=False)
class Streamed:
    """What `Images` are, without being in memory: the same batches, to the bit.

    Attributes:
        index: where the pictures of a split lie.
        places: which of them these are, int64, shape (n,), and in which order.
        size: that each is cut and resized to; None where all have the size of `shape`.
        shape: (channels, height, width) of every picture.
        workers: threads that read and decode.
    """

    index: Index
    places: Int64[Tensor, " n"]
    size: Size | None
    shape: Size
    workers: int

    @property
    def labels(self) -> Int64[Tensor, " n"]:
        """The class of each picture."""
        return self.index.labels[self.places]

    @property
    def classes(self) -> int:
        """How many classes there are, also those without a picture here."""
        return len(self.index.classes)

    def __len__(self) -> int:
        return len(self.places)

    def batch(self, index: Int[Tensor, " b"], device: torch.device | str = "cpu") -> Batch:
        """The pictures at `index`, as floats; see `Images.batch`."""
        chosen = checked_index(index, len(self))
        return next(self._batches([chosen], max(1, len(chosen)), device))

    def batches(
        self, size: int, device: torch.device | str = "cpu", part: Part = WHOLE
    ) -> Iterator[Batch]:
        """All pictures in their order, `size` at a time; see `Images.batches`.

        Raises:
            UsageError: `size` is below 1.
            DataError: a picture cannot be read, or its file is gone or has changed.
        """
        if size < 1:
            raise UsageError(f"the batch size is {size}, but must be at least 1")
        starts = part.every(range(0, len(self), size))
        wanted = (torch.arange(start, min(start + size, len(self))) for start in starts)
        return self._batches(wanted, size, device)

    def stream(
        self,
        size: int,
        seed: int,
        start: int = 0,
        device: torch.device | str = "cpu",
        part: Part = WHOLE,
    ) -> Iterator[Batch]:
        """Shuffled batches from iteration `start` on, without end; see `data.order.batches`.

        Args:
            size: pictures of a batch.
            seed: of the order.
            start: the first iteration.
            device: where a batch is to lie.
            part: of every batch; only that is read and decoded.
        """
        order = batches(len(self), size, seed, start)
        wanted = (index[part.rows(len(index))] for index in order)
        return self._batches(wanted, -(-size // part.of), device)

    def iterations(self, size: int) -> int:
        """Batches of this size in one pass of training; what does not fill one is left out."""
        return max(1, len(self) // min(size, max(1, len(self))))

    def whole(self, size: int) -> int:
        """Pictures of every batch of training."""
        return min(size, len(self))

    def about(self) -> list[int]:
        """The shape of all pictures."""
        return [len(self), *self.shape]

    def checksum(self) -> str:
        """What tells these pictures from others, without reading one."""
        digest = hashlib.sha256(f"{self.index.checksum} {self.size} {self.shape}".encode())
        digest.update(self.places.numpy().tobytes())
        return digest.hexdigest()

    def subset(self, index: Int[Tensor, " b"]) -> Streamed:
        """The pictures at `index`, in that order; see `Images.subset`."""
        return replace(self, places=self.places[checked_index(index, len(self))])

    def to(self, device: torch.device | str) -> Streamed:
        """These pictures themselves: batches move as they come."""
        return self

    def held(self) -> Images:
        """All of them in memory."""
        pixels = torch.empty((len(self), *self.shape), dtype=torch.uint8)
        place = 0
        for values, _, _ in self._pieces([torch.arange(len(self))], len(self)):
            pixels[place : place + len(values)] = torch.from_numpy(values)
            place += len(values)
        return Images(pixels, self.labels, self.classes)

    def _batches(
        self, wanted: Iterable[Int64[Tensor, " b"]], size: int, device: torch.device | str
    ) -> Iterator[Batch]:
        """Pieces put together to batches."""
        pixels: list[Tensor] = []
        labels: list[Tensor] = []
        with contextlib.closing(self._pieces(wanted, size)) as pieces:
            for values, places, last in pieces:
                pixels.append(torch.from_numpy(values))
                labels.append(self.index.labels[places])
                if last:
                    yield floats(torch.cat(pixels), torch.cat(labels), device)
                    pixels.clear()
                    labels.clear()

    def _pieces(self, wanted: Iterable[Int64[Tensor, " b"]], size: int) -> Generator[Decoded]:
        """What the threads have decoded of batches of about `size`: pixels, places, the last?"""
        quiet()
        each = PIECE * math.prod(self.shape)
        ahead = min(AHEAD * -(-size // PIECE), max(HELD // each, 1)) + self.workers
        return in_order(self._decoded, self._cut(wanted), self.workers, ahead)

    def _cut(self, wanted: Iterable[Int64[Tensor, " b"]]) -> Iterator[Piece]:
        """Batches in pieces, and whether each is the last of its batch."""
        for index in wanted:
            parts = self.places[index].split(PIECE)
            for number, part in enumerate(parts, 1):
                yield part, number == len(parts)

    def _decoded(self, piece: Piece) -> Decoded:
        """In a thread: the pictures of a piece."""
        places, last = piece
        pixels = np.empty((len(places), *self.shape), np.uint8)
        for row, place in enumerate(places.tolist()):
            try:
                picture = self.index.read(place, self.size)
            except Unreadable as error:
                raise unread(self.index, place, error) from error
            if picture.shape[1:] != self.shape[1:] or picture.shape[0] not in (1, self.shape[0]):
                path = shown(self.index.path(place))
                raise DataError(f"{path} was changed since it was looked at; {AGAIN}")
            pixels[row] = picture
        return pixels, places, last
