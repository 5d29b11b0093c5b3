"""Folders and shards of pictures, read into memory where they fit, else as they are needed."""

from __future__ import annotations

import contextlib
import math
import os
from pathlib import Path
from typing import Literal

import torch

from maxprune.data import room
from maxprune.data.ahead import cores
from maxprune.data.bars import bar
from maxprune.data.folder import Folder, check_arguments, read_folder
from maxprune.data.images import Images
from maxprune.data.index import Index, folder_index
from maxprune.data.layout import check_classes, shown, splits
from maxprune.data.shards import find_shards, shard_index
from maxprune.data.streamed import Streamed
from maxprune.data.survey import Seen, Survey, Tick, unequal
from maxprune.errors import DataError, UsageError
from maxprune.pictures import Size, Unreadable, shape_of

LOOKED = 100  # pictures at most, for the size of one
FREE = 0.5  # of the free memory, which decoded pictures may take


def opened_folder(
    root: Path,
    size: Size | None = None,
    unreadable: Literal["stop", "skip"] = "stop",
    stream: Literal["auto", "yes", "no"] = "auto",
    workers: int = 0,
) -> tuple[Folder[Images] | Folder[Streamed], list[str]]:
    """The pictures of a folder, in memory or not, and what a reader of results has to know of that.

    Args:
        root: see `stream_folder`.
        size: that every picture is brought to.
        unreadable: whether a picture that cannot be read is an error or is left out.
        stream: whether they stay on disk; "auto" where they would take more than half of the
            memory that is free.
        workers: threads that read them then.

    Raises:
        UsageError: workers for pictures that were asked to be in memory, or a wrong value.
        DataError: see `read_folder` and `stream_folder`.
    """
    if stream == "no" and workers:
        raise UsageError("workers are for pictures that are streamed, not for those in memory")
    shards = bool(find_shards(root))
    if stream == "no" and not shards:
        return _read(root, size, unreadable), []
    found = indexed(root)
    check_arguments(size, unreadable)
    need, free = _decoded_bytes(found, size), room.free()
    fits = free is not None and need <= FREE * free
    if stream == "auto" and fits and not shards:
        return _read(root, size, unreadable), []
    with bar("looking at pictures") as tick:
        streamed = stream_folder(root, size, unreadable == "skip", workers, tick, found)
    if stream == "no" or (stream == "auto" and fits):
        return _held(streamed), []
    if stream == "yes":
        return streamed, []
    has = "nobody tells how much memory is free" if free is None else f"{_gib(free)} are free"
    return streamed, [
        f"Decoded the pictures would take {_gib(need)}, and {has}: they are read from disk as they "
        "are needed."
    ]


def _read(root: Path, size: Size | None, unreadable: Literal["stop", "skip"]) -> Folder[Images]:
    with bar("reading pictures") as tick:
        return read_folder(root, size, unreadable, tick)


def _gib(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"


def _decoded_bytes(found: dict[str, Index], size: Size | None) -> int:
    """What all pictures take in memory, if they are like the first that can be read."""
    for index in (found["train"],) if size is None else ():
        for place in range(min(len(index), LOOKED)):
            with contextlib.suppress(Unreadable):
                size = shape_of(index.file(place))
                break
    return sum(map(len, found.values())) * math.prod(size or (0,))


def _held(streamed: Folder[Streamed]) -> Folder[Images]:
    """The same in memory."""
    train, validation, test = (
        None if part is None else part.held()
        for part in (streamed.train, streamed.validation, streamed.test)
    )
    if train is None:
        raise DataError(f"{streamed.name} has no pictures")
    return Folder(streamed.name, streamed.classes, train, validation, test, streamed.skipped)


def indexed(root: Path) -> dict[str, Index]:
    """Where the pictures of train, validation and test lie; shards, or folders of classes.

    Raises:
        DataError: they are not laid out as they should be, a split lacks a class or has another
            one, or a shard is damaged.
    """
    shards = find_shards(root)
    if shards:
        train = shard_index(shards["train"])
        found = {
            part: train if part == "train" else shard_index(paths, train.classes)
            for part, paths in shards.items()
        }
    else:
        found = {part: folder_index(folder) for part, folder in splits(root).items()}
    for index in found.values():
        check_classes(index.root, index.counts(), found["train"].classes, found["train"].root)
    return found


def stream_folder(
    root: Path,
    size: Size | None = None,
    skip: bool = False,
    workers: int = 0,
    tick: Tick | None = None,
    found: dict[str, Index] | None = None,
) -> Folder[Streamed]:
    """The pictures of a folder or of shards, each read when it is asked for.

    Args:
        root: the folder that has the folder `train`, or shards called train-*.tar.
        size: (channels 1 or 3, height, width) that every picture is brought to; when None all must
            have one size, and are RGB unless all are grey: then every header is looked at here.
        skip: leave out and list those that cannot be read: then every picture is decoded here.
            Without it a picture that cannot be read is an error as soon as it is asked for.
        workers: threads; 0 for one a core.
        tick: told (pictures looked at, pictures of the split).
        found: what `indexed` gives.

    Raises:
        UsageError: the size is none, or there are fewer than no workers.
        DataError: as `indexed` says, a picture cannot be read, or sizes differ.
    """
    check_arguments(size, "skip" if skip else "stop")
    if workers < 0:
        raise UsageError(f"there are at least 0 workers (one a core), not {workers}")
    found = indexed(root) if found is None else found
    survey = Survey(size, skip, workers or cores(), tick)
    seen = {part: survey.of(index) for part, index in found.items()}
    shape = _shape(found, seen, size)
    parts = {part: _streamed(index, seen[part], shape, survey) for part, index in found.items()}
    skipped = tuple(
        f"{shown(Path(os.path.relpath(index.path(place), root)))}: {reason}"
        for part, index in found.items()
        for place, reason in seen[part].unreadable.items()
    )
    name = Path(os.path.abspath(root)).name or str(root)
    validation, test = parts.get("validation"), parts.get("test")
    classes = found["train"].classes
    return Folder(name, classes, parts["train"], validation, test, skipped)


def _streamed(index: Index, seen: Seen, shape: Size, survey: Survey) -> Streamed:
    """A split without what cannot be read; every class still has a picture."""
    kept = torch.ones(len(index), dtype=torch.bool)
    kept[list(seen.unreadable)] = False
    places = kept.nonzero().flatten()
    counts = torch.bincount(index.labels[places], minlength=len(index.classes)).tolist()
    for name, count in zip(index.classes, counts, strict=True):
        if not count:
            raise DataError(
                f"{shown(index.root)} has no pictures of class {name!r} that can be read"
            )
    return Streamed(index, places, survey.size, shape, survey.workers)


def _shape(found: dict[str, Index], seen: dict[str, Seen], size: Size | None) -> Size:
    """Of all splits: one height and width, and grey only where all are."""
    if size is not None:
        return size
    known = [
        (found[part], one.first, one.shape)
        for part, one in seen.items()
        if one.shape is not None and one.first is not None
    ]
    for other in known[1:]:
        if other[2][1:] != known[0][2][1:]:
            raise unequal(known[0], other)
    if not known:
        raise DataError(f"{shown(found['train'].root)} has no picture that can be read")
    channels = max(shape[0] for _, _, shape in known)
    return channels, *known[0][2][1:]
