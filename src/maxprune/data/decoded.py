"""What took long to decode, kept in the cache: whole and right, or made again.

A file is one line in ASCII, "maxprune bytes 1", the key (64 hexadecimal digits) and the SHA-256 of
what follows, and then the bytes of a uint8 array in C order.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL
from jaxtyping import UInt8

from maxprune.errors import DataError, OutputError
from maxprune.files import atomic, is_file


def archive_key(path: Path) -> str:
    """The key of what is decoded from an archive: its size and SHA-256, and Pillow's version.

    Another version of Pillow may decode a JPEG to other bytes.

    Returns:
        64 hexadecimal digits.

    Raises:
        DataError: the archive cannot be read.
    """
    try:
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
            size = file.tell()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    return hashlib.sha256(f"{size} {content} Pillow {PIL.__version__}".encode()).hexdigest()


def kept(
    path: Path,
    key: str,
    shape: tuple[int, ...],
    make: Callable[[], UInt8[np.ndarray, " ..."]],
) -> UInt8[np.ndarray, " ..."]:
    """The array that `path` keeps under `key`, or else made, and kept there if that can be.

    Args:
        path: the file in the cache; whatever else it is, damaged or foreign, is written over.
        key: what the array was made from, see `archive_key`.
        shape: its shape.
        make: makes it; uint8, of this shape, in C order.
    """
    found = _load(path, key, shape)
    if found is None:
        found = make()
        with contextlib.suppress(OutputError):
            _save(path, key, found)
    return found


def _line(key: str, content: UInt8[np.ndarray, " ..."]) -> bytes:
    """The first line of the file; its length is always the same."""
    return f"maxprune bytes 1 {key} {hashlib.sha256(content.data).hexdigest()}\n".encode()


def _load(path: Path, key: str, shape: tuple[int, ...]) -> UInt8[np.ndarray, " ..."] | None:
    """What is kept under this key; None where that is not wholly there."""
    expected = len(_line(key, np.empty(0, np.uint8)))
    try:
        if not is_file(path) or path.stat().st_size != expected + math.prod(shape):
            return None
        with path.open("rb") as file:
            line = file.readline(expected)
            content = np.fromfile(file, dtype=np.uint8)
    except OSError:
        return None
    whole = content.size == math.prod(shape) and line == _line(key, content)
    return content.reshape(shape) if whole else None


def _save(path: Path, key: str, content: UInt8[np.ndarray, " ..."]) -> None:
    """Write it whole or not at all."""
    with atomic(path) as temporary, temporary.open("wb") as file:
        file.write(_line(key, content))
        file.write(content.data)
