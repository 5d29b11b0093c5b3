"""Labeled Faces in the Wild (Huang et al. 2007), from a folder of the user or from the cache.

The pictures are the deep-funneled ones (Huang et al., NIPS 2012): turned and moved so that the face
is upright in the middle of 250x250 pixels. They have no public mirror that could be named here, so
nothing is downloaded.
"""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image

from maxprune.data.archive import AGAIN
from maxprune.data.decoded import archive_key, kept
from maxprune.data.download import cache, given
from maxprune.data.faces import Faces
from maxprune.data.layout import shown
from maxprune.data.lfw_files import FOLDERS, PICTURES, Picture, folder_key, in_archive, in_folder
from maxprune.errors import DataError, UsageError
from maxprune.files import is_file, is_folder
from maxprune.naming import giving
from maxprune.pictures import Unreadable, pillow, read_picture

SIDE = 250
"""Height and width of every picture in pixels."""

_ARCHIVE = "lfw-deepfunneled.tgz"
_LABEL = 256  # bytes before each picture: its name in UTF-8, a tab, its number, zeros


def lfw(root: Path | None = None, size: int = 64, crop: int = 128, channels: int = 1) -> Faces:
    """The faces of LFW: 13,233 pictures of 5,749 people.

    Looks in `lfw_folder(root)` for `lfw-deepfunneled.tgz`, else for a folder `lfw-deepfunneled` or
    `lfw` with the files NAME/NAME_0001.jpg. The archive must be whole; a folder may have a part of
    LFW, or other people. What is decoded is kept in the cache (58 MB with these defaults), where
    that can be written.

    Of the 250 pixels, 128 hold a face from its hairline to its chin. In 112 many chins are cut
    off; from 140 on there are collars, hats and neighbours, which say who it is without the face.
    And 128 is twice 64.

    Args:
        root: the folder that has a folder `lfw`; nothing else is looked at when it is given.
        size: height and width that each picture gets, in pixels, 1 to 250, by Pillow's antialiased
            Lanczos filter.
        crop: height and width of the middle that is used of each picture, in pixels, 1 to 250.
        channels: 1 for grey, 3 for RGB.

    Raises:
        DataError: LFW is missing, or a file is damaged or is none of its pictures.
        UsageError: `size`, `crop` or `channels` is out of its range.
    """
    cut = _Cut(size, crop, channels)
    source = _source(lfw_folder(root))
    if is_file(source):
        return _faces(source, cut, archive_key(source), PICTURES, in_archive(source))
    listed = in_folder(source)
    pictures = (one.picture for one in listed)
    return _faces(source, cut, folder_key(listed), len(listed), pictures)


def lfw_folder(root: Path | None = None) -> Path:
    """The folder of LFW: `root`/lfw; without a root `$MAXPRUNE_DATA`/lfw, else the cache's.

    Raises:
        DataError: there is none.
    """
    folder = None if root is None else root / "lfw"
    if folder is None:
        folder = given(None, "lfw", _ARCHIVE) or cache() / "lfw"
    if not is_folder(folder):
        raise DataError(f"{shown(folder)} is not a folder that exists; {_wanted()}")
    return folder


def _wanted() -> str:
    """What to do where LFW is not there."""
    return (
        f"get Labeled Faces in the Wild, put {_ARCHIVE}, or its unpacked folder, and pairs.txt "
        f"into a folder DIR/lfw, and say {giving('root', 'DIR')} or set MAXPRUNE_DATA=DIR"
    )


def _source(folder: Path) -> Path:
    """The archive, or else the folder of people, that serves."""
    if is_file(folder / _ARCHIVE):
        return folder / _ARCHIVE
    for name in FOLDERS:
        if is_folder(folder / name):
            return folder / name
    raise DataError(
        f"{shown(folder)} has neither {_ARCHIVE} nor a folder {FOLDERS[0]}; {_wanted()}"
    )


@dataclass(frozen=True)
class _Cut:
    """Which part of a picture is used, and what becomes of it; see `lfw`."""

    size: int
    crop: int
    channels: int

    def __post_init__(self) -> None:
        for name, pixels in (("size", self.size), ("crop", self.crop)):
            if not 1 <= pixels <= SIDE:
                raise UsageError(
                    f"the {name} of a face is {pixels} pixels, but must be 1 to {SIDE}"
                )
        if self.channels not in (1, 3):
            raise UsageError(f"a face has {self.channels} channels, but must have 1 or 3")

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of what becomes of a picture."""
        return self.channels, self.size, self.size

    def pixels(self, file: Path | io.BytesIO) -> UInt8[np.ndarray, "c s s"]:
        """The middle of one JPEG, at its new size."""
        picture = read_picture(file, formats=("JPEG",))
        height, width = picture.shape[1:]
        if (height, width) != (SIDE, SIDE):
            raise Unreadable(f"it is {width}x{height} pixels, expected {SIDE}x{SIDE}")
        image = Image.fromarray(picture[0] if len(picture) == 1 else picture.transpose(1, 2, 0))
        image = image.convert("L" if self.channels == 1 else "RGB")
        edge = (SIDE - self.crop) / 2
        box = (edge, edge, SIDE - edge, SIDE - edge)
        values = np.asarray(image.resize((self.size,) * 2, Image.Resampling.LANCZOS, box=box))
        return values.reshape(self.size, self.size, self.channels).transpose(2, 0, 1)


def _faces(source: Path, cut: _Cut, key: str, count: int, pictures: Iterable[Picture]) -> Faces:
    """The faces as the cache has them, or else decoded, and kept there.

    What is kept is `count` labels of 256 bytes, and then the pixels.
    """
    name = f"{source.name}-{cut.crop}-{'x'.join(map(str, cut.shape))}.decoded"
    key = hashlib.sha256(f"{key} LFW 1 {cut}".encode()).hexdigest()
    length = count * (_LABEL + math.prod(cut.shape))
    make = partial(_decoded, source, cut, count, pictures)
    labels, pixels = _parts(kept(cache() / "lfw" / name, key, (length,), make), cut, count)
    texts = [bytes(label).rstrip(b"\0").decode().split("\t") for label in labels]
    people = sorted({name for name, _ in texts})
    index = {name: i for i, name in enumerate(people)}
    person = torch.tensor([index[name] for name, _ in texts])
    numbers = torch.tensor([int(number) for _, number in texts])
    return Faces(torch.from_numpy(pixels), tuple(people), person, numbers)


def _parts(
    content: UInt8[np.ndarray, " bytes"], cut: _Cut, count: int
) -> tuple[UInt8[np.ndarray, "n label"], UInt8[np.ndarray, "n c s s"]]:
    """Labels and pixels, both in the memory of `content`."""
    labels, pixels = np.split(content, [count * _LABEL])
    return labels.reshape(count, _LABEL), pixels.reshape(count, *cut.shape)


def _decoded(
    source: Path, cut: _Cut, count: int, pictures: Iterable[Picture]
) -> UInt8[np.ndarray, " bytes"]:
    """Labels and pixels of all pictures, by name and number."""
    content = np.zeros(count * (_LABEL + math.prod(cut.shape)), dtype=np.uint8)
    labels, pixels = _parts(content, cut, count)
    rows: dict[tuple[str, int], int] = {}
    with pillow():
        for name, number, file, what in pictures:
            if (name, number) in rows:
                raise DataError(f"{what} is there twice; {AGAIN}")
            if len(rows) == count:
                raise DataError(f"{shown(source)} has more than {count} pictures; {AGAIN}")
            row = rows[name, number] = len(rows)
            label = f"{name}\t{number}".encode()
            labels[row, : len(label)] = np.frombuffer(label, dtype=np.uint8)
            try:
                pixels[row] = cut.pixels(file)
            except Unreadable as error:
                raise DataError(f"{what} cannot be read: {error}; {AGAIN}") from error
    order = [rows[one] for one in sorted(rows)]
    if order != list(range(count)):
        labels[:], pixels[:] = labels[order], pixels[order]
    return content
