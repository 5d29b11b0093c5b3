"""MNIST, from a folder of the user, from the cache, or from its public mirrors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8

from maxprune.data.download import Remote, cache, fetch, given
from maxprune.data.idx import read_idx
from maxprune.data.images import Dataset, Images
from maxprune.errors import DataError
from maxprune.files import is_file
from maxprune.naming import giving

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
_SLACK = 1 << 16  # bytes that a packed file may have beyond its unpacked size


@dataclass(frozen=True)
class _File:
    """One of the four files; the MD5 is of the unpacked bytes, for the packings differ."""

    name: str
    shape: tuple[int, ...]
    md5: str


_FILES = (
    _File("train-images-idx3-ubyte", (60000, 28, 28), "6bbc9ace898e44ae57da46a324031adb"),
    _File("train-labels-idx1-ubyte", (60000,), "a25bea736e30d166cdddb491f175f624"),
    _File("t10k-images-idx3-ubyte", (10000, 28, 28), "2646ac647ad5339dbf082846283269ea"),
    _File("t10k-labels-idx1-ubyte", (10000,), "27ae3e4e09519cfbb04c329615203637"),
)


def mnist(
    root: Path | None = None, download: bool = True, mirrors: tuple[str, ...] = MIRRORS
) -> Dataset:
    """MNIST: 60,000 handwritten digits to train, 10,000 to test, 28x28 bytes, 10 classes.

    Looks in `root`/mnist; without a root in `$MAXPRUNE_DATA`/mnist, then in the cache, and
    downloads there what is missing. The files may be packed with gzip or not; what is inside must
    have the published MD5, wherever it came from.

    Args:
        root: the folder that has a folder `mnist`; nothing else is looked at when it is given.
        download: whether the network may be used.
        mirrors: addresses of folders that have the four files, ending in a slash.

    Raises:
        DataError: a file is missing, cannot be downloaded, or is not MNIST's.
        OutputError: the cache cannot be written.
    """
    folder = given(root, "mnist", "the four files of MNIST")
    files = [
        _cached(file, download, mirrors) if folder is None else _find(file, folder)
        for file in _FILES
    ]
    arrays = [
        read_idx(path, file.shape, file.md5) for path, file in zip(files, _FILES, strict=True)
    ]
    return Dataset("mnist", _images(arrays[0], arrays[1]), _images(arrays[2], arrays[3]))


def _find(file: _File, folder: Path) -> Path:
    """The file in a folder of the user, packed or not."""
    for path in (folder / f"{file.name}.gz", folder / file.name):
        if is_file(path):
            return path
    raise DataError(f"{folder} has neither {file.name}.gz nor {file.name}; put one of them there")


def _cached(file: _File, download: bool, mirrors: tuple[str, ...]) -> Path:
    """The file in the cache, downloaded if need be."""
    folder = cache() / "mnist"
    name = f"{file.name}.gz"
    if not download:
        if not is_file(folder / name):
            raise DataError(
                f"{folder / name} does not exist and downloading is switched off; allow it, or "
                f"name a folder that has a folder mnist with {giving('root', 'DIR')} or "
                "MAXPRUNE_DATA"
            )
        return folder / name
    check = partial(read_idx, shape=file.shape, md5=file.md5)
    urls = tuple(f"{mirror}{name}" for mirror in mirrors)
    return fetch(Remote(name, urls, check, limit=math.prod(file.shape) + _SLACK), folder)


def _images(pixels: UInt8[np.ndarray, "n 28 28"], labels: UInt8[np.ndarray, " n"]) -> Images:
    """Pictures with one channel, and their labels as int64."""
    return Images(
        torch.from_numpy(pixels)[:, None], torch.from_numpy(labels.astype(np.int64)), classes=10
    )
