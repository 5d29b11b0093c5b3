"""The user's own pictures in folders: ROOT/train/CLASS/*, and the same for validation and test."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Literal

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from maxprune.data.ahead import in_order
from maxprune.data.images import Images, S
from maxprune.data.layout import Listing, check_classes, listing, shown, splits
from maxprune.errors import DataError, UsageError
from maxprune.pictures import Size, Unreadable, pillow, read_picture
from maxprune.plural import plural

Tick = Callable[[int, int], object]
"""Told (pictures done, pictures in all) as they are read."""

_THREADS = 8  # at most; more of them only wait for the disk


@dataclass(frozen=True, eq=False)
class Folder(Generic[S]):
    """The pictures of a folder, in memory (`Images`) or left on disk (`Streamed`).

    Attributes:
        name: the last part of the root's path.
        classes: the names of the classes, sorted; label i is classes[i].
        train: the training pictures, by class and path.
        validation: the validation pictures, where there is such a folder.
        test: the test pictures, where there is such a folder.
        skipped: the pictures that could not be read and were left out, each as "path: reason",
            the path relative to the root.
    """

    name: str
    classes: tuple[str, ...]
    train: S
    validation: S | None
    test: S | None
    skipped: tuple[str, ...]


def read_folder(
    root: Path,
    size: Size | None = None,
    unreadable: Literal["stop", "skip"] = "stop",
    tick: Tick | None = None,
) -> Folder[Images]:
    """Read ROOT/train/CLASS/*, and ROOT/val/CLASS/* and ROOT/test/CLASS/* where they are there.

    The folder of validation pictures may also be called `validation` or `valid`. A picture is a
    file whose name ends in one of `layout.SUFFIXES`, in a class's folder or below; hidden files and
    folders and other names are passed over. The order is that of the names, the same everywhere.

    Args:
        root: the folder that has the folder `train`.
        size: (channels 1 or 3, height, width), to which every picture is cut and resized, see
            `read_picture`; when None all must have one size, and are RGB unless all are grey.
        unreadable: whether a picture that cannot be read is an error or is left out and listed.
        tick: called in this thread after every picture with (pictures done, pictures in all).

    Raises:
        DataError: the folders are not laid out like this, a split lacks a class or has another
            one, a picture cannot be read, or sizes differ and no `size` is given.
        UsageError: `size` or `unreadable` is none of the values above.
    """
    check_arguments(size, unreadable)
    folders = splits(root)
    listed = {part: listing(folder) for part, folder in folders.items()}
    classes = tuple(listed["train"])
    for part, folder in folders.items():
        check_classes(folder, listed[part], classes, folders["train"])
    total = sum(len(paths) for found in listed.values() for paths in found.values())
    reader = _Reader(root, size, unreadable == "skip", tick, total)
    with pillow():
        read = {part: reader.read(folder, listed[part]) for part, folder in folders.items()}
    images = _of_one_kind(read, len(classes))
    name = Path(os.path.abspath(root)).name or str(root)
    validation, test = images.get("validation"), images.get("test")
    return Folder(name, classes, images["train"], validation, test, tuple(reader.skipped))


@dataclass
class _Reader:
    """Reads one split after the other, and knows what their pictures have in common.

    Attributes:
        root: what skipped paths are relative to.
        size: the size asked for.
        skip: whether unreadable pictures are left out.
        tick: who is told.
        total: pictures in all splits.
        done: those that were looked at.
        first: the first picture that was read, with its (height, width).
        skipped: what was left out.
    """

    root: Path
    size: Size | None
    skip: bool
    tick: Tick | None
    total: int
    done: int = 0
    first: tuple[Path, tuple[int, ...]] | None = None
    skipped: list[str] = field(default_factory=list)

    def read(
        self, split: Path, listed: Listing
    ) -> tuple[UInt8[Tensor, "n c h w"], Int64[Tensor, " n"]]:
        """The pixels and labels of one split; their memory is set aside once, for all of them."""
        wanted = [(label, path) for label, paths in enumerate(listed.values()) for path in paths]
        labels = torch.empty(len(wanted), dtype=torch.int64)
        pixels = None if self.size is None else _memory(len(wanted), self.size)
        kept = 0
        threads = min(_THREADS, os.cpu_count() or 1)
        found = in_order(self._one, (path for _, path in wanted), threads, 4 * threads)
        with contextlib.closing(found):
            for (label, path), picture in zip(wanted, found, strict=True):
                self.done += 1
                if isinstance(picture, Unreadable):
                    self._refused(path, picture)
                else:
                    self._check_size(path, picture.shape[1:])
                    if pixels is None:
                        pixels = _memory(len(wanted), picture.shape)
                    pixels = _widened(pixels, picture.shape[0])
                    pixels[kept], labels[kept] = torch.from_numpy(picture), label
                    kept += 1
                if self.tick is not None:
                    self.tick(self.done, self.total)
        _check_kept(split, listed, labels[:kept])
        return (_memory(0, (1, 1, 1)) if pixels is None else pixels[:kept]), labels[:kept]

    def _one(self, path: Path) -> UInt8[np.ndarray, "c h w"] | Unreadable:
        """A picture, or why it cannot be read."""
        try:
            return read_picture(path, self.size)
        except Unreadable as error:
            return error

    def _refused(self, path: Path, error: Unreadable) -> None:
        """Stop, or go on and remember it."""
        if not self.skip:
            raise DataError(
                f"cannot read {shown(path)}: {error}; repair or remove it, or leave out all such "
                "pictures with --unreadable skip"
            )
        self.skipped.append(f"{shown(path.relative_to(self.root))}: {error}")

    def _check_size(self, path: Path, size: tuple[int, ...]) -> None:
        """Every picture has the (height, width) of the first."""
        self.first = self.first or (path, size)
        other, expected = self.first
        if size != expected:
            raise DataError(
                f"{shown(other)} is {expected[1]}x{expected[0]}, {shown(path)} is "
                f"{size[1]}x{size[0]} pixels, but all must have one size; give --input 3,H,W and "
                "each is cut and resized to that height and width"
            )


def _memory(count: int, shape: tuple[int, ...]) -> UInt8[Tensor, "n c h w"]:
    """Memory for all pictures of a split."""
    try:
        return torch.empty((count, *shape), dtype=torch.uint8)
    except RuntimeError as error:  # torch's word for a lack of memory
        raise DataError(
            f"{plural(count, 'picture')} of {'x'.join(map(str, shape))} bytes are more than the "
            "memory holds; give a smaller --input"
        ) from error


def _check_kept(split: Path, listed: Listing, labels: Int64[Tensor, " n"]) -> None:
    """Every class still has a picture once the unreadable ones are left out."""
    counts = torch.bincount(labels, minlength=len(listed)).tolist()
    for name, count in zip(listed, counts, strict=True):
        if not count:
            raise DataError(f"{shown(split)} has no pictures of class {name!r} that can be read")


def _widened(pixels: UInt8[Tensor, "n c h w"], channels: int) -> UInt8[Tensor, "n d h w"]:
    """Grey pictures as RGB where `channels` is 3; other pictures as they are."""
    if channels <= pixels.shape[1]:
        return pixels
    return pixels.expand(-1, channels, -1, -1).contiguous()


def _of_one_kind(
    read: dict[str, tuple[UInt8[Tensor, "n c h w"], Int64[Tensor, " n"]]], classes: int
) -> dict[str, Images]:
    """The splits, all grey or all RGB."""
    channels = max(pixels.shape[1] for pixels, _ in read.values())
    return {
        part: Images(_widened(pixels, channels), labels, classes)
        for part, (pixels, labels) in read.items()
    }


def check_arguments(size: Size | None, unreadable: str) -> None:
    """Refuse a size that no picture has, and a word that means nothing."""
    if size is not None and not (len(size) == 3 and size[0] in (1, 3) and min(size) >= 1):
        raise UsageError(
            f"the picture size is {','.join(map(str, size))}, but must be channels (1 or 3), "
            "height, width, such as 3,64,64"
        )
    if unreadable not in ("stop", "skip"):
        raise UsageError(f"unreadable is {unreadable!r}, but must be 'stop' or 'skip'")
