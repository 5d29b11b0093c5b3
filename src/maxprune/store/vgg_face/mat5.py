"""Variables of MATLAB 5 to 7, read as "MAT-File Format" (The MathWorks, Level 5) says.

SciPy reads these files too, but there one flipped byte can end the whole process (seen with SciPy
1.17: the flag that makes an array complex). Here every length is checked against the bytes that
are there, only what is asked for is read, and arrays are not copied.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from maxprune.files import read_bytes
from maxprune.store.vgg_face.layers import LIMIT, MANY, check_size
from maxprune.store.vgg_face.matlab import require

HEADER = 128  # bytes before the first variable; the last two tell the order of bytes
MATRIX, PACKED = 14, 15  # types of elements: a variable, and one packed by zlib
NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8",
           13: "u8"}  # fmt: skip
LETTERS = {1: "utf-8", 2: "utf-8", 4: "utf-16", 16: "utf-8", 17: "utf-16"}
CELL, STRUCT, CHARACTERS = 1, 2, 4  # classes of variables; numbers have 6 to 15
ARRAY = range(6, 16)
COMPLEX = 0x800  # the flag beside the class
PIECE = 1 << 16  # packed bytes that are unpacked at a time


@dataclass(frozen=True, eq=False)
class Matrix:
    """A variable, or a part of one.

    Attributes:
        flags: its class, and whether it is complex.
        shape: its axes, of which MATLAB has at least two.
        content: the elements behind its name, not read yet.
    """

    flags: int
    shape: tuple[int, ...]
    content: memoryview


class Mat5:
    """The variables of a file; the methods are those of `matlab.Variables`.

    Args:
        path: the file.

    Raises:
        StoreError, ValueError, struct.error, zlib.error: it is damaged; the methods raise the
            first three.
    """

    def __init__(self, path: Path) -> None:
        content = memoryview(read_bytes(path))
        self.order = "<" if bytes(content[HEADER - 2 : HEADER]) == b"IM" else ">"
        self.top: Any = {}
        unpacked = 0
        for kind, data in self._some(content[HEADER:]):
            if kind == PACKED:
                whole = _unpacked(data)
                unpacked += len(whole)
                check_size("the file", unpacked // 4)
                ((kind, data),) = self._some(whole)
            if kind == MATRIX:
                name, variable = self._matrix(data)
                self.top[name] = variable

    def field(self, node: Any, name: str) -> Any:
        """A field of a struct."""
        if isinstance(node, dict):
            return node.get(name)
        if node is None or _class(node) != STRUCT or math.prod(node.shape) != 1:
            return None
        (_, size), (_, names), *fields = self._some(node.content)
        (length,) = struct.unpack(f"{self.order}i", size)
        require(length >= 0 and len(names) == length * len(fields))
        for i, (kind, data) in enumerate(fields):
            if bytes(names[i * length : (i + 1) * length]).partition(b"\0")[0] == name.encode():
                require(kind == MATRIX)
                return self._matrix(data)[1]
        return None

    def cells(self, node: Any) -> list[Any]:
        """The elements of a cell array."""
        if node is None or (isinstance(node, Matrix) and not math.prod(node.shape)):
            return []
        require(_class(node) == CELL)
        parts = self._some(node.content)
        require(len(parts) == math.prod(node.shape) and all(kind == MATRIX for kind, _ in parts))
        return [self._matrix(data)[1] for _, data in parts]

    def text(self, node: Any) -> str:
        """A row of characters."""
        if node is None or not math.prod(node.shape):
            return ""
        require(_class(node) == CHARACTERS)
        ((kind, data),) = self._some(node.content)
        require(kind in LETTERS and len(data) <= MANY)
        coding = LETTERS[kind]
        if coding == "utf-16":
            coding += "-le" if self.order == "<" else "-be"
        return str(data, coding)

    def array(self, node: Any) -> np.ndarray:
        """Numbers."""
        require(_class(node) in ARRAY and not node.flags & COMPLEX)
        if not math.prod(node.shape):
            return np.empty(node.shape)
        ((kind, data),) = self._some(node.content)
        require(kind in NUMBERS)
        values = np.frombuffer(data, self.order + NUMBERS[kind])
        require(values.size == math.prod(node.shape))
        return values.reshape(node.shape, order="F")

    def _matrix(self, data: memoryview) -> tuple[str, Matrix]:
        """A variable and its name; one of no bytes is an empty array."""
        if not data:
            return "", Matrix(ARRAY[0], (0, 0), data)
        behind = 0
        parts = []
        for kind, part, end in islice(self._elements(data), 3):
            parts.append((kind, part))
            behind = end
        (_, flags), (_, axes), (_, name) = parts
        shape = tuple(map(int, np.frombuffer(axes, f"{self.order}i4")))
        require(len(shape) >= 2 and min(shape) >= 0)
        (word, _) = struct.unpack(f"{self.order}II", flags)
        return str(name, "latin-1"), Matrix(word, shape, data[behind:])

    def _some(self, data: memoryview) -> list[tuple[int, memoryview]]:
        """The type and content of each element, of which there may not be very many."""
        found = [(kind, part) for kind, part, _ in islice(self._elements(data), MANY + 1)]
        require(len(found) <= MANY)
        return found

    def _elements(self, data: memoryview) -> Iterator[tuple[int, memoryview, int]]:
        """The type, content and end of each; all but packed ones fill up eight bytes."""
        at = 0
        while at < len(data):
            require(len(data) - at >= 8)
            kind, size = struct.unpack_from(f"{self.order}II", data, at)
            start, end = at + 8, at + 8 + size
            if kind >> 16:  # a small one has its size beside the type, and four bytes behind
                kind, size, start, end = kind & 0xFFFF, kind >> 16, at + 4, at + 8
                require(size <= 4)
            elif kind != PACKED:
                end += -size % 8
            require(start + size <= len(data))
            yield kind, data[start : start + size], end
            at = end


def _class(node: Any) -> int:
    require(isinstance(node, Matrix))
    return int(node.flags & 0xFF)


def _unpacked(data: memoryview) -> memoryview:
    """What zlib packed, up to the limit and held once; its own checksum is compared."""
    stream, whole = zlib.decompressobj(), bytearray()
    for start in range(0, len(data), PIECE):
        whole += stream.decompress(data[start : start + PIECE], LIMIT + 1 - len(whole))
        require(len(whole) <= LIMIT)
    require(stream.eof)
    return memoryview(whole).toreadonly()
