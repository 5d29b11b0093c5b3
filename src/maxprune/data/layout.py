"""Which files of the user's folders are pictures of which class: ROOT/train/CLASS/* and so on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NoReturn

from maxprune.errors import DataError
from maxprune.files import is_folder

SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
)
"""How the name of a picture ends, in small letters; files with other names are not looked at."""

VALIDATION = ("val", "validation", "valid")
_LAYOUT = "expected ROOT/train/CLASS/*.jpg and, as you like, ROOT/val/CLASS/* and ROOT/test/CLASS/*"

Listing = dict[str, list[Path]]
"""The pictures of each class of one split; classes and pictures sorted."""


def splits(root: Path) -> dict[str, Path]:
    """The folders of train and, where they are there, of validation and test, by those names.

    Raises:
        DataError: there is no such root, no train in it, or two folders for validation.
    """
    if not is_folder(root / "train"):
        what = "has no folder train" if is_folder(root) else "is not a folder that exists"
        raise DataError(f"{shown(root)} {what}; {_LAYOUT}")
    folders = {"train": root / "train"}
    named = [root / name for name in VALIDATION if is_folder(root / name)]
    if len(named) > 1:
        both = " and ".join(path.name for path in named)
        raise DataError(f"{shown(root)} has the folders {both}; keep one of them for validation")
    if named:
        folders["validation"] = named[0]
    if is_folder(root / "test"):
        folders["test"] = root / "test"
    return folders


def listing(split: Path) -> Listing:
    """The pictures of each class of one split; see `listed`."""
    return dict(listed(split))


def listed(split: Path) -> Iterator[tuple[str, list[Path]]]:
    """The classes of one split, one after the other: every visible folder in it is a class.

    Raises:
        DataError: a folder cannot be read, a picture lies outside the classes, or a class has a
            link to another folder.
    """
    try:
        entries = sorted(name for name in os.listdir(split) if not name.startswith("."))
    except OSError as error:
        _unlisted(error)
    for name in entries:
        if not is_folder(split / name) and Path(name).suffix.lower() in SUFFIXES:
            raise DataError(f"{shown(split / name)} lies in no folder of a class; {_LAYOUT}")
    for name in entries:
        if is_folder(split / name):
            yield name, _pictures(split / name)


def _pictures(folder: Path) -> list[Path]:
    """The pictures in a folder and those below it, sorted by the parts of their paths."""
    found = []
    for parent, inner, names in os.walk(folder, onerror=_unlisted):
        inner[:] = [name for name in inner if not name.startswith(".")]
        for name in inner:
            if Path(parent, name).is_symlink():
                raise DataError(
                    f"{shown(Path(parent, name))} is a link to a folder, which is not followed "
                    "below a class; put the folder itself there"
                )
        seen = (Path(parent, name) for name in names if not name.startswith("."))
        found += [path for path in seen if path.suffix.lower() in SUFFIXES]
    return sorted(found, key=lambda path: path.parts)


def _unlisted(error: OSError) -> NoReturn:
    """A folder that cannot be looked into."""
    raise DataError(
        f"cannot read the folder {shown(Path(error.filename))}: {error.strerror}"
    ) from error


def check_classes(
    split: Path, found: Mapping[str, object], classes: tuple[str, ...], train: Path
) -> None:
    """Refuse a split that lacks pictures of a class, or has a class that `train` does not have.

    Args:
        split: for messages.
        found: the pictures of each of its classes, or how many there are.
        classes: those of the training pictures.
        train: for messages.

    Raises:
        DataError: one of the two, or there are no classes at all.
    """
    if not classes:
        raise DataError(f"{shown(train)} has no folders of classes; {_LAYOUT}")
    for name in classes:
        if not found.get(name):
            raise DataError(f"{shown(split)} has no pictures of class {name!r}")
    for name in found:
        if name not in classes:
            raise DataError(
                f"{shown(split)} has the class {name!r}, which {shown(train)} does not have"
            )


def shown(path: Path) -> str:
    """A path as a message of one line shows it, with slashes."""
    text = path.as_posix()
    return text if text.isprintable() else ascii(text)[1:-1]
