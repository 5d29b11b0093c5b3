"""Whole numbers in bytes: varints, and numbers of a few bits each (docs/format.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from maxprune.errors import StoreError

if TYPE_CHECKING:
    from jaxtyping import Int64, UInt8

LONGEST = 9  # bytes of a varint


def varint(number: int) -> bytes:
    """A number of at least 0, seven bits a byte, the lowest first.

    Example:
        >>> varint(300).hex()
        'ac02'
    """
    found = bytearray()
    while True:
        number, low = number >> 7, number & 127
        found.append(low | (128 if number else 0))
        if not number:
            return bytes(found)


def pack(
    numbers: Int64[np.ndarray, " n"], widths: Int64[np.ndarray, " n"]
) -> UInt8[np.ndarray, " bytes"]:
    """Numbers one behind the other, each in so many bits, the highest first; zeros at the end.

    Example:
        >>> pack(np.array([1, 2]), np.array([3, 2])).tolist()
        [48]
    """
    ends = np.cumsum(widths)
    number = np.repeat(np.arange(len(widths)), widths)
    shift = ends[number] - 1 - np.arange(len(number))
    return np.packbits(((numbers[number] >> shift) & 1).astype(np.uint8))


def unpack(
    content: UInt8[np.ndarray, " bytes"], widths: Int64[np.ndarray, " n"]
) -> Int64[np.ndarray, " n"]:
    """The numbers that `pack` wrote; `content` must have as many bits as they take."""
    total = int(widths.sum())
    bits = np.unpackbits(content, count=total)
    found = np.zeros(len(widths), dtype=np.int64)
    starts = np.cumsum(widths) - widths
    for place in range(int(widths.max(initial=0))):
        has = widths > place
        found[has] = (found[has] << 1) | bits[starts[has] + place]
    return found


class Reader:
    """Reads bytes from the front, and never past their end.

    Args:
        content: the bytes.
    """

    def __init__(self, content: bytes) -> None:
        self.content = memoryview(content)
        self.at = 0

    def left(self) -> int:
        """How many bytes have not been read."""
        return len(self.content) - self.at

    def take(self, count: int) -> memoryview:
        """The next bytes.

        Raises:
            StoreError: there are fewer.
        """
        if count > self.left():
            raise StoreError(f"it ends early: {count} bytes should follow, {self.left()} do")
        self.at += count
        return self.content[self.at - count : self.at]

    def number(self) -> int:
        """The next varint.

        Raises:
            StoreError: it is too long, or the bytes end.
        """
        found = 0
        for i in range(LONGEST):
            (byte,) = self.take(1)
            found |= (byte & 127) << (7 * i)
            if byte < 128:
                return found
        raise StoreError(f"a number is longer than {LONGEST} bytes")

    def array(self, kind: str, count: int) -> np.ndarray:
        """The next numbers of a numpy type such as "<u2", as they lie there.

        Raises:
            StoreError: there are fewer.
        """
        return np.frombuffer(self.take(count * np.dtype(kind).itemsize), dtype=kind)

    def packed(self, widths: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        """The next numbers of so many bits each.

        Raises:
            StoreError: there are fewer.
        """
        return unpack(self.array("u1", -(-int(widths.sum()) // 8)), widths)
