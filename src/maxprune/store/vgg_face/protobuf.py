"""The binary form of Protocol Buffers, read as its encoding guide says, without copying arrays.

Google's package copies every array twice, and takes memory for as many messages as a file says.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from maxprune.errors import StoreError
from maxprune.store.vgg_face.layers import MANY

NUMBER, BYTES = 0, 2  # how a field is written
SIZES = {1: 8, 5: 4}  # bytes of the other ways


class Message:
    """The fields of a message; one that is not there is empty.

    Args:
        content: the whole of it.

    Raises:
        StoreError: it is no whole message, or has more fields than a network of this kind needs;
            the methods, that a field is of another kind.
    """

    def __init__(self, content: memoryview) -> None:
        self._fields: dict[int, list[int | memoryview]] = {}
        for i, (field, value) in enumerate(_fields(content)):
            if i == MANY:
                raise StoreError(f"it has more than {MANY} fields in a message, or unpacked arrays")
            self._fields.setdefault(field, []).append(value)

    def __contains__(self, field: int) -> bool:
        return field in self._fields

    def parts(self, field: int) -> list[memoryview]:
        """Bytes: texts, arrays and messages."""
        found = [value for value in self._fields.get(field, []) if isinstance(value, memoryview)]
        if len(found) < len(self._fields.get(field, [])):
            raise _damaged()
        return found

    def text(self, field: int) -> str:
        """The last text."""
        return str(b"".join(self.parts(field)[-1:]), errors="replace")

    def numbers(self, field: int) -> list[int]:
        """Whole numbers, packed or not; the first few where there are very many."""
        found: list[int] = []
        for value in self._fields.get(field, []):
            found.extend([value] if isinstance(value, int) else islice(_numbers(value), MANY))
        return found


def _fields(content: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """The number and the value of each field."""
    at = 0
    while at < len(content):
        key, at = _number(content, at)
        field, kind = key >> 3, key & 7
        if kind == NUMBER:
            value, at = _number(content, at)
            yield field, value
        elif kind == BYTES or kind in SIZES:
            size, at = _number(content, at) if kind == BYTES else (SIZES[kind], at)
            if size > len(content) - at:
                raise _damaged()
            yield field, content[at : at + size]
            at += size
        else:
            raise _damaged()


def _numbers(content: memoryview) -> Iterator[int]:
    """Whole numbers one behind the other."""
    at = 0
    while at < len(content):
        number, at = _number(content, at)
        yield number


def _number(content: memoryview, at: int) -> tuple[int, int]:
    """A whole number, seven bits a byte, the lowest first; and where it ends."""
    number = 0
    for i, byte in enumerate(content[at : at + 10]):
        number |= (byte & 127) << 7 * i
        if byte < 128:
            return number, at + i + 1
    raise _damaged()


def _damaged() -> StoreError:
    return StoreError("it is no whole model of Caffe, nor of MatConvNet, torch or safetensors")
