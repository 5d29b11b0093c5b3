"""Pictures in tar shards, as webdataset has them: an index of where each of them lies.

A sample is `key.jpg` beside `key.cls`, its class as a whole number in text, in the same shard; or,
where no shard of the split has such a file, CLASS/name.jpg. One pass over the headers finds them
all; nothing is unpacked, and no name becomes a path. What was found is kept in the cache, for the
next start, as long as the shard's size and time of change stay the same.
"""

from __future__ import annotations

import contextlib
import hashlib
import tarfile
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import torch
from jaxtyping import Int64
from pydantic import ValidationError, model_validator
from torch import Tensor

from maxprune.data.download import cache
from maxprune.data.index import Index, Names, Shard
from maxprune.data.layout import SUFFIXES, VALIDATION, shown
from maxprune.errors import DataError, OutputError, StoreError, first_line
from maxprune.files import is_folder, read_json, write_json
from maxprune.results import Record

LARGEST = 2**28  # bytes of one picture's file
_DIGITS = 9  # of a class as text
_BLOCK = 512  # bytes of a tar's header
EXPECTED = (
    "expected ROOT/train-*.tar or ROOT/train/*.tar with key.jpg and key.cls, or CLASS/name.jpg"
)


class Content(Record):
    """What one shard has: a list each, picture by picture.

    `labels` are the numbers in the files *.cls; None where there are no such files.
    """

    size: int
    changed: int
    names: list[str]
    starts: list[int]
    counts: list[int]
    labels: list[int] | None

    @model_validator(mode="after")
    def _check(self) -> Content:
        labels = self.names if self.labels is None else self.labels
        columns = len(self.starts), len(self.counts), len(labels)
        if columns != (len(self.names),) * 3:
            raise ValueError("columns of different lengths")
        ends = (start + count for start, count in zip(self.starts, self.counts, strict=True))
        if min((*self.starts, *self.counts, 0)) < 0 or max(ends, default=0) > self.size:
            raise ValueError("a picture outside of the shard")
        if not all(0 <= label < 10**_DIGITS for label in self.labels or ()):
            raise ValueError("a class that is none")
        return self


def find_shards(root: Path) -> dict[str, list[Path]]:
    """The shards of train and, where they are there, of validation and test, sorted by name.

    None at all where train is a folder of classes, whatever lies beside it.

    Raises:
        DataError: other splits are no shards, two are for validation, or shards are packed.
    """
    train = _named(root, "train")
    if not train:
        return {}
    found = {"train": train}
    for part, names in (("validation", VALIDATION), ("test", ("test",))):
        named = {name: _named(root, name) for name in names}
        there = [name for name, shards in named.items() if shards]
        folders = [name for name in names if is_folder(root / name) and not named[name]]
        if len(there) > 1:
            raise DataError(f"{shown(root)} has shards called {' and '.join(there)}; keep one")
        if folders:
            raise DataError(
                f"{shown(root)} has shards to train on, but {folders[0]} is a folder without; have "
                "shards, or folders of classes, for both"
            )
        if there:
            found[part] = named[there[0]]
    return found


def _named(root: Path, name: str) -> list[Path]:
    """The shards of one split; none where it is a folder of others."""
    if is_folder(root / name):
        inside = sorted(p for p in (root / name).iterdir() if not p.name.startswith("."))
        return (
            [] if any(is_folder(p) for p in inside) else [p for p in inside if p.suffix == ".tar"]
        )
    shards = sorted([*root.glob(f"{name}.tar"), *root.glob(f"{name}-*.tar")])
    packed = sorted(p for end in ("tar.*", "tgz") for p in root.glob(f"{name}*.{end}"))
    if packed and not shards:
        raise DataError(
            f"{shown(packed[0])} is packed, but pictures are read from the middle of a shard; "
            "unpack it to a plain .tar (gunzip, unxz)"
        )
    return shards


def shard_index(paths: list[Path], classes: tuple[str, ...] | None = None) -> Index:
    """The index of one split.

    Args:
        paths: of its shards, in their order.
        classes: those of the training pictures; None for the training pictures themselves.

    Raises:
        DataError: a shard is damaged, cut off, or has something else than files and folders, a
            picture has no class or one that is none, or there are no pictures.
    """
    root, found = paths[0].parent, _Found()
    names = Names(found.names(paths))
    if not len(names):
        raise DataError(f"{shown(paths[0])} and its like have no pictures; {EXPECTED}")
    if len(found.kinds) == 2:
        raise DataError(
            f"{shown(found.kinds[False])} has no files *.cls, but other shards have; {EXPECTED}"
        )
    labels = torch.tensor(found.labels, dtype=torch.int64)
    if True in found.kinds:
        own = _numbers(int(labels.max()), max(len(labels), len(classes or ())), root)
    else:
        own = tuple(found.folders)
    classes = tuple(sorted(own) if False in found.kinds else own) if classes is None else classes
    known = {name: place for place, name in enumerate(classes)}
    others = [name for name in own if name not in known]
    if others:
        raise DataError(
            f"{shown(root)} has the class {others[-1]!r}, which the training pictures do not have"
        )
    places = torch.tensor([known[name] for name in own])
    return Index(
        root, names, places[labels], classes, found.digest.hexdigest(), tuple(found.shards),
        torch.cat(found.spans),
    )  # fmt: skip


@dataclass
class _Found:
    """What one shard after the other has, so that no more than one is held as it was read.

    `kinds` has a shard with files *.cls and one without, `folders` a number for each class by
    name, `labels` the numbers of the one or the other kind.
    """

    shards: list[Shard] = field(default_factory=list)
    spans: list[Int64[Tensor, "n 3"]] = field(default_factory=list)
    labels: array[int] = field(default_factory=lambda: array("q"))
    kinds: dict[bool, Path] = field(default_factory=dict)
    folders: dict[str, int] = field(default_factory=dict)
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)

    def names(self, paths: list[Path]) -> Iterator[str]:
        """The names of all pictures; what else there is to know of them is gathered by the way."""
        for number, path in enumerate(paths):
            content = _content(path)
            self.shards.append(Shard(path, content.size, content.changed))
            self.digest.update(f"{path.name!r} {content.size} {content.changed}\n".encode())
            columns = [number] * len(content.names), content.starts, content.counts
            self.spans.append(torch.tensor(columns, dtype=torch.int64).T)
            if content.names:
                self.kinds.setdefault(content.labels is not None, path)
            self.labels.extend(self._labels(path, content))
            yield from content.names

    def _labels(self, path: Path, content: Content) -> Iterable[int]:
        if content.labels is not None:
            return content.labels
        folders = (_folder(name, path) for name in content.names)
        return (self.folders.setdefault(name, len(self.folders)) for name in folders)


def _numbers(largest: int, count: int, root: Path) -> tuple[str, ...]:
    """The classes of files *.cls, which have no other names."""
    if largest >= count:
        raise DataError(
            f"{shown(root)} has the class {largest} but only {count} pictures; classes are "
            "numbered from 0 on, without gaps"
        )
    return tuple(str(number) for number in range(largest + 1))


def _folder(name: str, path: Path) -> str:
    """The class of CLASS/name.jpg."""
    parts = PurePosixPath(name).parts
    if len(parts) < 2:
        raise DataError(f"{shown(path)} has {name!r} without a class; {EXPECTED}")
    return parts[0]


def _content(path: Path) -> Content:
    """What a shard has, from the cache or from its headers."""
    shard = Shard.at(path)
    key = hashlib.sha256(str(path.resolve()).encode(errors="surrogateescape")).hexdigest()
    place = cache() / "shards" / f"{key}.json"
    before = kept(place)
    if before is not None and (before.size, before.changed) == (shard.size, shard.changed):
        return before
    found = _scanned(shard)
    with contextlib.suppress(OutputError):
        write_json(place, found.model_dump(mode="json"))
    return found


def kept(path: Path) -> Content | None:
    """What the cache keeps of a shard; None where it keeps nothing, or something else."""
    with contextlib.suppress(StoreError, ValidationError):
        return Content.model_validate(read_json(path))
    return None


def _scanned(shard: Shard) -> Content:
    """One pass over the headers of a shard."""
    names: list[str] = []
    spans: list[tuple[int, int]] = []
    numbers: dict[str, int] = {}
    for name, start, count in _files(shard):
        if name.endswith(".cls"):
            numbers[_key(name)] = _number(shard, name, start, count)
        elif PurePosixPath(name).suffix.lower() in SUFFIXES:
            names.append(name)
            spans.append((start, count))
    labels = _labels(shard, names, numbers) if numbers else None
    return Content(
        size=shard.size, changed=shard.changed, names=names, starts=[a for a, _ in spans],
        counts=[b for _, b in spans], labels=labels,
    )  # fmt: skip


def _labels(shard: Shard, names: list[str], numbers: dict[str, int]) -> list[int]:
    """The class of each picture, by its key."""
    keys = [_key(name) for name in names]
    for name, key in zip(names, keys, strict=True):
        if key not in numbers:
            raise DataError(f"{shown(shard.path)} has {name!r}, but no {key + '.cls'!r}")
    twice = [key for key, count in Counter(keys).items() if count > 1]
    alone = sorted(numbers.keys() - {*keys})
    if twice:
        raise DataError(f"{shown(shard.path)} has several pictures called {twice[0]!r}")
    if alone:
        raise DataError(f"{shown(shard.path)} has {alone[0] + '.cls'!r}, but no such picture")
    return [numbers[key] for key in keys]


def _number(shard: Shard, name: str, start: int, count: int) -> int:
    """What a file *.cls says."""
    text = shard.read(start, min(count, 20)).decode("ascii", "replace").strip()
    if count > 20 or len(text) > _DIGITS or not text.isdecimal():
        raise DataError(
            f"{shown(shard.path)}: {name!r} says {text!r}, but a class is a whole number from 0 on"
        )
    return int(text)


def _key(name: str) -> str:
    """What the files of one sample have in common: all before the first dot of the last part."""
    folder, slash, last = name.rpartition("/")
    return folder + slash + last.partition(".")[0]


def _files(shard: Shard) -> Iterator[tuple[str, int, int]]:
    """Name, first byte and bytes of every visible file of a shard, which is whole."""
    path = shard.path
    try:
        with path.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as archive:
            for member in archive:
                archive.members = []  # type: ignore[attr-defined]  # it would keep all
                name = "/".join(p for p in PurePosixPath(member.name).parts if p not in (".", "/"))
                _check_member(path, member)
                if member.isreg() and not name.rpartition("/")[2].startswith("."):
                    yield name, member.offset_data, member.size
            file.seek(archive.offset)
            if file.read(_BLOCK) != bytes(_BLOCK):
                raise DataError(
                    f"{shown(path)} is damaged or cut off at byte {archive.offset:,}; get it again"
                )
    except (tarfile.TarError, ValueError, OverflowError) as error:
        raise DataError(
            f"{shown(path)} is damaged or cut off ({first_line(error)}); get it again"
        ) from error
    except OSError as error:
        raise DataError(f"cannot read {shown(path)}: {error.strerror or error}") from error


def _check_member(path: Path, member: tarfile.TarInfo) -> None:
    """Refuse what is neither a folder nor a whole file of a bounded size."""
    plain = member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not member.issparse()
    if not plain and not member.isdir():
        raise DataError(
            f"{shown(path)} has {member.name!r}, which is no file but a link, a device or the "
            "like; pack files alone"
        )
    if member.size > LARGEST and PurePosixPath(member.name).suffix.lower() in SUFFIXES:
        raise DataError(
            f"{shown(path)} has {member.name!r} of {member.size:,} bytes; a picture has at most "
            f"{LARGEST:,}"
        )
