"""Where every picture of a split lies: in files of their own, or inside of tar shards.

An index instead of a walk: any picture is read by its number, so the batches of a training are a
function of seed and iteration, and a run goes on in the middle. It takes some 60 bytes a picture.
"""

from __future__ import annotations

import hashlib
import io
import os
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from maxprune.data.layout import listed, shown
from maxprune.errors import DataError
from maxprune.pictures import Size, Unreadable, read_picture

AGAIN = "it has to stay as it is while a run goes on; start the run again"


class Names:
    """Many names, a byte for each of their letters."""

    def __init__(self, names: Iterable[str]) -> None:
        self._ends, text = array("q", [0]), bytearray()
        for name in names:
            text += os.fsencode(name)
            self._ends.append(len(text))
        self._text = bytes(text)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, place: int) -> str:
        return os.fsdecode(self._text[self._ends[place] : self._ends[place + 1]])


@dataclass(frozen=True)
class Shard:
    """A tar file, as it was when it was indexed: its bytes, and nanoseconds of its last change."""

    path: Path
    size: int
    changed: int

    @staticmethod
    def at(path: Path) -> Shard:
        """The file there.

        Raises:
            DataError: it cannot be looked at.
        """
        try:
            found = path.stat()
        except OSError as error:
            raise DataError(f"cannot read {shown(path)}: {error.strerror or error}") from error
        return Shard(path, found.st_size, found.st_mtime_ns)

    def read(self, start: int, count: int) -> bytes:
        """So many of its bytes.

        Raises:
            DataError: it is gone, has changed, or cannot be read.
        """
        try:
            with self.path.open("rb", buffering=0) as file:
                found = os.fstat(file.fileno())
                if (found.st_size, found.st_mtime_ns) != (self.size, self.changed):
                    raise DataError(f"{shown(self.path)} was changed since it was indexed; {AGAIN}")
                file.seek(start)
                content = _whole(file, count)
        except FileNotFoundError as error:
            raise DataError(f"{shown(self.path)} is gone; {AGAIN}") from error
        except OSError as error:
            raise DataError(f"cannot read {shown(self.path)}: {error.strerror or error}") from error
        if len(content) < count:
            raise DataError(f"{shown(self.path)} is damaged or cut off; get it again")
        return content


@dataclass(frozen=True, eq=False)
class Index:
    """The pictures of one split, in their order.

    Attributes:
        root: the folder of the split.
        names: of the pictures; paths below the root, or names inside of shards.
        labels: int64, shape (n,).
        classes: their names.
        checksum: of all that tells these pictures from others: names, sizes, times of change.
        shards: the files that the pictures are in; () where each is a file of its own.
        spans: int64, shape (n, 3): the shard, the first byte and the bytes of each picture.
    """

    root: Path
    names: Names
    labels: Int64[Tensor, " n"]
    classes: tuple[str, ...]
    checksum: str
    shards: tuple[Shard, ...] = ()
    spans: Int64[Tensor, "n 3"] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def path(self, place: int) -> Path:
        """The file of a picture, or what a message calls its place in a shard."""
        if self.spans is None:
            return self.root / self.names[place]
        return self.shards[int(self.spans[place, 0])].path / self.names[place]

    def counts(self) -> dict[str, int]:
        """The pictures of each class."""
        counts = torch.bincount(self.labels, minlength=len(self.classes)).tolist()
        return dict(zip(self.classes, counts, strict=True))

    def file(self, place: int) -> Path | io.BytesIO:
        """What a picture is read from.

        Raises:
            DataError: its shard is gone, has changed, or cannot be read.
        """
        if self.spans is None:
            return self.path(place)
        shard, start, count = self.spans[place].tolist()
        return io.BytesIO(self.shards[shard].read(start, count))

    def read(self, place: int, size: Size | None) -> UInt8[np.ndarray, "c h w"]:
        """A picture, see `read_picture`.

        Raises:
            Unreadable: it is none that can be read.
            DataError: its file is gone, or a shard has changed.
        """
        file = self.file(place)
        try:
            return read_picture(file, size)
        except Unreadable as error:
            if isinstance(file, Path) and not os.path.lexists(file):
                raise DataError(f"{shown(file)} is gone; {AGAIN}") from error
            raise


def folder_index(split: Path) -> Index:
    """The index of SPLIT/CLASS/*: what `layout.listing` finds, in that order.

    Raises:
        DataError: as `layout.listing` says.
    """
    digest, labels, classes = hashlib.sha256(), array("q"), []

    def names() -> Iterable[str]:
        for label, (name, paths) in enumerate(listed(split)):
            classes.append(name)
            for path in paths:
                inside = path.relative_to(split).as_posix()
                labels.append(label)
                digest.update(f"{inside!r} {_stamp(path)} {label}\n".encode())
                yield inside

    kept = Names(names())
    found = torch.tensor(labels, dtype=torch.int64)
    return Index(split, kept, found, tuple(classes), digest.hexdigest())


def _stamp(path: Path) -> tuple[int, int]:
    """Bytes and time of change of a file; of one that is not there none."""
    try:
        found = path.stat()
    except OSError:
        return -1, -1
    return found.st_size, found.st_mtime_ns


def _whole(file: io.RawIOBase | io.FileIO, count: int) -> bytes:
    """So many bytes from here, or as many as there are."""
    parts = []
    while count > 0:
        part = file.read(count)
        if not part:
            break
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
