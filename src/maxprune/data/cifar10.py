"""CIFAR-10, from a folder of the user, from the cache, or from its public address.

Two forms are understood. The published one has a record of 3,073 bytes a picture: its label, then
1,024 bytes each of red, green and blue. The other is a copy as JPEG files, which is lossy: its
pictures are not quite CIFAR-10's, and the dataset's name says so beside every figure.
"""

from __future__ import annotations

import io
import re
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8

from maxprune.data.archive import AGAIN, members
from maxprune.data.decoded import archive_key, kept
from maxprune.data.download import Remote, cache, checksum, fetch, given
from maxprune.data.images import Dataset, Images
from maxprune.errors import DataError
from maxprune.files import is_file
from maxprune.naming import giving
from maxprune.pictures import Unreadable, pillow, read_picture

MIRRORS = ("https://www.cs.toronto.edu/~kriz/",)
CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
"""The names of the classes; label i is CLASSES[i]."""

_PUBLISHED, _COPY = "cifar-10-binary.tar.gz", "cifar10-jpg.tar.xz"
_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"  # of the published archive
_LIMIT = 180_000_000  # bytes of it at most; it has 170,052,171
_TRAIN, _TEST = 50_000, 10_000  # pictures
_BATCHES = 5  # files of training pictures in the published form, each as long as the test's
_BESIDE = ("batches.meta.txt", "readme.html")  # what else is in it
_SIDE = 32  # pixels
_RECORD = 1 + 3 * _SIDE * _SIDE  # bytes
_JPEG = 1 << 16  # bytes of one picture at most; the largest has 1,124
_UNPACKED = 1 << 28  # bytes of an unpacked archive at most; the published one has 184,400,000


def cifar10(
    root: Path | None = None, download: bool = True, mirrors: tuple[str, ...] = MIRRORS
) -> Dataset:
    """CIFAR-10: 50,000 pictures to train, 10,000 to test, 3x32x32 bytes, 10 classes.

    Looks in `root`/cifar10; without a root in `$MAXPRUNE_DATA`/cifar10, then in the cache, and
    downloads there what is missing. Such a folder has the published `cifar-10-binary.tar.gz`, which
    must have the published MD5, or else `cifar10-jpg.tar.xz`, a lossy copy as JPEG with the files
    train/CLASS/0000.jpg to 4999.jpg and test/CLASS/0000.jpg to 0999.jpg. The copy is kept decoded
    in the cache (184 MB), where that can be written.

    Args:
        root: the folder that has a folder `cifar10`; nothing else is looked at when it is given.
        download: whether the network may be used.
        mirrors: addresses of folders that have the published archive, ending in a slash.

    Returns:
        The dataset "cifar10", its pictures in the published order, or "cifar10 (JPEG copy)", its
        pictures by class and number.

    Raises:
        DataError: the archive is missing, cannot be downloaded, or is not CIFAR-10's.
        OutputError: the cache cannot be written for a download.
    """
    archive = _archive(root, download, mirrors)
    if archive.name == _PUBLISHED:
        return _dataset("cifar10", _published(archive))
    shape = (_TRAIN + _TEST, _RECORD)
    where = cache() / "cifar10" / "cifar10-jpg.decoded"
    records = kept(where, archive_key(archive), shape, partial(_copy, archive))
    return _dataset("cifar10 (JPEG copy)", records)


def _archive(root: Path | None, download: bool, mirrors: tuple[str, ...]) -> Path:
    """The archive that serves, downloaded if need be."""
    folder = given(root, "cifar10", f"{_PUBLISHED} or {_COPY}")
    where = cache() / "cifar10" if folder is None else folder
    for path in (where / _PUBLISHED, where / _COPY):
        if is_file(path):
            return path
    if folder is not None:
        raise DataError(f"{folder} has neither {_PUBLISHED} nor {_COPY}; put one of them there")
    if not download:
        raise DataError(
            f"{where / _PUBLISHED} does not exist and downloading is switched off; allow it, or "
            f"name a folder that has a folder cifar10 with {giving('root', 'DIR')} or "
            "MAXPRUNE_DATA"
        )
    urls = tuple(f"{mirror}{_PUBLISHED}" for mirror in mirrors)
    return fetch(Remote(_PUBLISHED, urls, checksum(_MD5), _LIMIT), where)


def _published(path: Path) -> UInt8[np.ndarray, "n record"]:
    """The records of the published archive: data_batch_1 to 5, then test_batch."""
    try:
        checksum(_MD5)(path)
    except DataError as error:
        raise DataError(f"{error}; {AGAIN}") from error
    batch = _TRAIN // _BATCHES
    places = {
        f"data_batch_{number + 1}.bin": slice(number * batch, (number + 1) * batch)
        for number in range(_BATCHES)
    }
    places["test_batch.bin"] = slice(_TRAIN, _TRAIN + _TEST)
    records = np.empty((_TRAIN + _TEST, _RECORD), dtype=np.uint8)
    seen: set[str] = set()
    for name, content in members(path, _TEST * _RECORD, _UNPACKED):
        folder, _, last = name.rpartition("/")
        if folder != "cifar-10-batches-bin" or last not in (*places, *_BESIDE) or last in seen:
            raise DataError(f"{path} has {name!r}, which CIFAR-10 has not, or not twice; {AGAIN}")
        seen.add(last)
        if last in places:
            place = places[last]
            records[place] = _records(content, place.stop - place.start, f"{path}: {last}")
    missing = [name for name in places if name not in seen]
    if missing:
        raise DataError(f"{path} lacks {', '.join(missing)}; {AGAIN}")
    return records


def _records(content: bytes, count: int, what: str) -> UInt8[np.ndarray, "count record"]:
    """The records of one file, once its size and its labels are right."""
    if len(content) != count * _RECORD:
        raise DataError(f"{what} has {len(content)} bytes, expected {count * _RECORD}; {AGAIN}")
    records = np.frombuffer(content, dtype=np.uint8).reshape(count, _RECORD)
    wrong = np.flatnonzero(records[:, 0] >= len(CLASSES))
    if len(wrong):
        label = records[wrong[0], 0]
        raise DataError(
            f"{what}: record {wrong[0]} has the label {label}, expected 0 to 9; {AGAIN}"
        )
    return records


def _copy(path: Path) -> UInt8[np.ndarray, "n record"]:
    """The JPEG copy as records, the training pictures first, by class and number."""
    records = np.empty((_TRAIN + _TEST, _RECORD), dtype=np.uint8)
    seen = np.zeros(len(records), dtype=bool)
    with pillow():
        for name, content in members(path, _JPEG, _UNPACKED):
            row, label = _place(path, name)
            if seen[row]:
                raise DataError(f"{path} has {name!r} twice; {AGAIN}")
            records[row, 0], records[row, 1:] = label, _pixels(path, name, content)
            seen[row] = True
    if not seen.all():
        raise DataError(f"{path} has {int(seen.sum())} pictures, expected {len(records)}; {AGAIN}")
    return records


def _place(path: Path, name: str) -> tuple[int, int]:
    """The record in which a picture belongs, and its label."""
    match = re.fullmatch(rf"(train|test)/({'|'.join(CLASSES)})/([0-9]{{4}})\.jpg", name)
    if match is not None:
        label, number = CLASSES.index(match[2]), int(match[3])
        start, each = (0, _TRAIN // 10) if match[1] == "train" else (_TRAIN, _TEST // 10)
        if number < each:
            return start + label * each + number, label
    raise DataError(
        f"{path} has {name!r}, expected only train/CLASS/0000.jpg to {_TRAIN // 10 - 1:04}.jpg and "
        f"test/CLASS/0000.jpg to {_TEST // 10 - 1:04}.jpg; {AGAIN}"
    )


def _pixels(path: Path, name: str, content: bytes) -> UInt8[np.ndarray, " values"]:
    """The bytes of one JPEG: 1,024 each of red, green and blue."""
    try:
        picture = read_picture(io.BytesIO(content), formats=("JPEG",))
    except Unreadable as error:
        raise DataError(f"{path}: {name} cannot be read: {error}; {AGAIN}") from error
    if picture.shape != (3, _SIDE, _SIDE):
        size = "x".join(map(str, picture.shape))
        raise DataError(f"{path}: {name} is {size}, expected 3x{_SIDE}x{_SIDE}; {AGAIN}")
    return picture.reshape(-1)


def _dataset(name: str, records: UInt8[np.ndarray, "n record"]) -> Dataset:
    """Training and test set from their records, in this order."""
    return Dataset(name, _images(records[:_TRAIN]), _images(records[_TRAIN:]))


def _images(records: UInt8[np.ndarray, "n record"]) -> Images:
    """Pictures of three channels, and their labels as int64."""
    pixels = np.ascontiguousarray(records[:, 1:]).reshape(-1, 3, _SIDE, _SIDE)
    labels = records[:, 0].astype(np.int64)
    return Images(torch.from_numpy(pixels), torch.from_numpy(labels), classes=len(CLASSES))
