"""The pictures of LFW as they lie in its archive or in a folder, and what they are called."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import PIL

from maxprune.data.archive import AGAIN, members
from maxprune.data.layout import shown
from maxprune.errors import DataError
from maxprune.files import is_folder

FOLDERS = ("lfw-deepfunneled", "lfw")
"""What the folder of all people is called."""

PICTURES, PEOPLE = 13_233, 5_749
"""In the archive."""

_JPEG = 1 << 20  # bytes of one picture at most; the largest has 15,884
_UNPACKED = 1 << 28  # bytes of the unpacked archive at most; it has 129,710,080
_LONGEST = 200  # bytes of a name in UTF-8 at most; the longest of LFW has 35
_PATH = re.compile(r"([^\W_][\w.'-]*)/\1_(?!0000)([0-9]{4})\.jpg")


class Picture(NamedTuple):
    """One JPEG: number `number` of the person `name`; messages call it `shown`."""

    name: str
    number: int
    file: Path | io.BytesIO
    shown: str


class Listed(NamedTuple):
    """A picture in a folder, with its size in bytes and the time of its last change in ns."""

    picture: Picture
    size: int
    time: int


def in_archive(path: Path) -> Iterator[Picture]:
    """The pictures of the archive, in its order, straight from its stream.

    Raises:
        DataError: damaged, another kind of member, or, at its end, not all pictures of LFW.
    """
    people: set[str] = set()
    count = 0
    for member, content in members(path, _JPEG, _UNPACKED):
        top, _, rest = member.partition("/")
        name, number = _named(rest if top in FOLDERS else member, f"{shown(path)} has {member!r}")
        yield Picture(name, number, io.BytesIO(content), f"{shown(path)}: {member}")
        people.add(name)
        count += 1
    if (count, len(people)) != (PICTURES, PEOPLE):
        raise DataError(
            f"{shown(path)} has {count} pictures of {len(people)} people, expected {PICTURES} of "
            f"{PEOPLE}; {AGAIN}, or unpack a part of LFW into a folder {FOLDERS[0]} in its place"
        )


def in_folder(folder: Path) -> list[Listed]:
    """The pictures of a folder, by name and number; hidden files are passed over.

    Raises:
        DataError: it cannot be read, has no pictures, or a file that is none.
    """
    try:
        found = [
            _listed(path, folder)
            for person in _visible(folder)
            for path in (_visible(person) if is_folder(person) else [person])
        ]
    except OSError as error:
        raise DataError(
            f"cannot read {shown(Path(error.filename or folder))}: {error.strerror or error}"
        ) from error
    if not found:
        raise DataError(f"{shown(folder)} has no pictures NAME/NAME_0001.jpg")
    return sorted(found, key=lambda one: (one.picture.name, one.picture.number))


def folder_key(listed: list[Listed]) -> str:
    """As `archive_key`, from names, sizes and times alone: no picture is read.

    Returns:
        64 hexadecimal digits.
    """
    words = [f"{one.name} {one.number} {size} {time}" for one, size, time in listed]
    return hashlib.sha256("\n".join([f"Pillow {PIL.__version__}", *words]).encode()).hexdigest()


def _visible(folder: Path) -> list[Path]:
    """What is in a folder and not hidden."""
    return [path for path in folder.iterdir() if not path.name.startswith(".")]


def _listed(path: Path, folder: Path) -> Listed:
    """A file of the folder, once it is called like a picture and is not too large to be one."""
    name, number = _named(path.relative_to(folder).as_posix(), f"there is {shown(path)}")
    state = path.stat()
    if state.st_size > _JPEG:
        raise DataError(f"{shown(path)} has {state.st_size} bytes, expected at most {_JPEG}")
    return Listed(Picture(name, number, path, shown(path)), state.st_size, state.st_mtime_ns)


def _named(path: str, what: str) -> tuple[str, int]:
    """Name and number of NAME/NAME_0001.jpg; no such path leads out of its folder."""
    match = _PATH.fullmatch(path)
    if match is None or len(match[1].encode()) > _LONGEST:
        raise DataError(f"{what}, expected only NAME/NAME_0001.jpg to NAME_9999.jpg")
    return match[1], int(match[2])
