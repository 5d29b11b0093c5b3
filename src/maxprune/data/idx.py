"""The IDX format of MNIST: a reader that refuses rather than guesses.

An IDX file is two zero bytes, a type byte (8 is uint8), the number of dimensions, each dimension as
a big-endian uint32, and then the values in C order. It may be packed with gzip.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import struct
import zlib
from pathlib import Path
from typing import IO, cast

import numpy as np
from jaxtyping import UInt8

from maxprune.errors import DataError
from maxprune.files import is_file

LARGEST = 1 << 30  # bytes of values that are read at most; MNIST has 47,040,000
UINT8 = 8
DIMENSIONS = 4
_CHUNK = 1 << 20
_AGAIN = "delete it and get it again"


def read_idx(
    path: Path, shape: tuple[int, ...] | None = None, md5: str | None = None
) -> UInt8[np.ndarray, " ..."]:
    """Read an IDX file of bytes, plain or packed with gzip (told by its content, not its name).

    Nothing is read past the size that the header declares, so a small packed file cannot fill the
    memory, and nothing is set aside for a size that the file does not have.

    Args:
        path: the file.
        shape: the shape that it must have; any shape of 1 to 4 dimensions when None.
        md5: the MD5 that the unpacked bytes, header included, must have; 32 hexadecimal digits.

    Returns:
        The values, uint8, in the declared shape; the array can be written to.

    Raises:
        DataError: no such file, or it is not exactly what its header, `shape` and `md5` say.
    """
    try:
        if not is_file(path):
            raise DataError(f"{path} is not a file that exists; put the IDX file there")
        with path.open("rb") as file:
            if file.read(2) == b"\x1f\x8b":
                file.seek(0)
                with gzip.GzipFile(fileobj=file) as unpacked:
                    return _read(cast(IO[bytes], unpacked), path, shape, md5)
            file.seek(0)
            return _read(file, path, shape, md5)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is damaged: not a whole gzip file ({error}); {_AGAIN}") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error


def _read(
    file: IO[bytes], path: Path, shape: tuple[int, ...] | None, md5: str | None
) -> UInt8[np.ndarray, " ..."]:
    """The header and exactly as many values as it declares."""
    header, found = _read_header(file, path)
    if shape is not None and found != shape:
        raise DataError(
            f"{path} declares the shape {_times(found)}, expected {_times(shape)}; "
            "put the right file there"
        )
    size = math.prod(found)
    if size > LARGEST:
        raise DataError(
            f"{path} declares {_times(found)} = {size} bytes, more than the {LARGEST} that are "
            f"read at most; {_AGAIN}"
        )
    values = bytearray()
    while len(values) < size and (chunk := file.read(min(_CHUNK, size - len(values)))):
        values += chunk
    if len(values) < size:
        raise DataError(
            f"{path} is cut off: {len(values)} bytes of values, expected {_times(found)} = {size}; "
            f"{_AGAIN}"
        )
    if file.read(1):
        raise DataError(f"{path} goes on after the {size} bytes that it declares; {_AGAIN}")
    if md5 is not None:
        _check_md5(path, header, values, md5)
    return np.frombuffer(values, dtype=np.uint8).reshape(found)


def _read_header(file: IO[bytes], path: Path) -> tuple[bytes, tuple[int, ...]]:
    """The bytes of the header, and the shape that it declares."""
    magic = file.read(4)
    if len(magic) < 4:
        raise DataError(f"{path} is cut off: {len(magic)} bytes, too few for a header; {_AGAIN}")
    if magic[:2] != b"\0\0":
        raise DataError(
            f"{path} is not an IDX file: it starts with {magic.hex()}, expected 0000; {_AGAIN}"
        )
    if magic[2] != UINT8:
        raise DataError(
            f"{path} has values of type {magic[2]}, expected {UINT8} (uint8); "
            "put an IDX file of bytes there"
        )
    if not 1 <= magic[3] <= DIMENSIONS:
        raise DataError(f"{path} has {magic[3]} dimensions, expected 1 to {DIMENSIONS}; {_AGAIN}")
    sizes = file.read(4 * magic[3])
    if len(sizes) < 4 * magic[3]:
        raise DataError(f"{path} is cut off inside its header; {_AGAIN}")
    return magic + sizes, struct.unpack(f">{magic[3]}I", sizes)


def _check_md5(path: Path, header: bytes, values: bytearray, expected: str) -> None:
    """Compare the MD5 of the unpacked bytes."""
    digest = hashlib.md5(header, usedforsecurity=False)
    digest.update(values)
    if digest.hexdigest() != expected:
        raise DataError(
            f"{path} has the MD5 {digest.hexdigest()} (unpacked), expected {expected}; {_AGAIN}"
        )


def _times(shape: tuple[int, ...]) -> str:
    """A shape as people write it: 60000x28x28."""
    return "x".join(map(str, shape))
