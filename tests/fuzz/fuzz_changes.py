"""Changes to valid files: damage that gets further into a parser than random bytes do.

`changed` takes a valid input and a source of chance, and gives another one. Bytes are cut, doubled,
moved and replaced, by numbers that overflow above all; JSON and Protocol Buffers are changed as
trees, so that what comes out is still whole.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from fuzz_target import Form

LONGEST = 1 << 16  # bytes of an input

NUMBERS = (
    0, 1, 2, 3, 7, 8, 15, 16, 31, 32, 63, 64, 127, 128, 255, 256, 1000, 4096, 65535, 65536,
    2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**40, 2**62, 2**63 - 1, 2**63, 2**64 - 1,
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 3, 10**6, 10**9, 10**12, 2**31, 2**63, 2**64, -(2**63), 10**30,
    0.5, -0.5, 1e308, 1e-320, 10**400, "", "\0", "\x1b[31m", "a\nb", "\ud800", "é" * 300, "0", "..",
    "../../../etc/passwd", "__class__", "a.b.c", "\u202e", [], {}, [[]], [None], {"": None},
    [0] * 300,
)  # fmt: skip
"""What stands in for a part of JSON."""

DEEP = 3000  # times a part is put into a list of its own


def changed(content: bytes, form: Form, others: Sequence[bytes], chance: random.Random) -> bytes:
    """One to five changes, one after the other."""
    for _ in range(chance.choice((1, 1, 1, 2, 3, 5))):
        way = _BYTES if chance.randrange(4) == 0 else _OF[form]
        content = way(content, others, chance)[:LONGEST]
    return content


def _bytes(content: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    """One change to the bytes."""
    start = chance.randrange(len(content) + 1)
    length = chance.choice((1, 1, 2, 4, 8, chance.randrange(1, 512)))
    before, part, rest = content[:start], content[start:][:length], content[start + length :]
    match chance.randrange(9):
        case 0:  # one bit
            return (
                before + bytes(b ^ (1 << chance.randrange(8)) for b in part[:1]) + part[1:] + rest
            )
        case 1:  # a byte
            return before + bytes([chance.choice((0, 1, 127, 128, 255))]) + part[1:] + rest
        case 2 | 3:  # a number
            return content[:start] + _number(chance, content[start:])
        case 4:  # the end is missing
            return before
        case 5:  # something in the middle is missing
            return before + rest
        case 6:  # it is there twice, or many times
            return before + part * chance.choice((2, 2, 3, 100)) + rest
        case 7:  # a part of another file
            other = chance.choice(others) if others else content
            at = chance.randrange(len(other) + 1)
            return before + other[at : at + length] + chance.choice((rest, part + rest))
        case _:  # a part of the same file, elsewhere
            at = chance.randrange(len(content) + 1)
            return before + content[at : at + length] + rest


def _number(chance: random.Random, rest: bytes) -> bytes:
    """A number in place of the first bytes, in either order, or a little more or less of it."""
    width, order = chance.choice((1, 2, 4, 8)), chance.choice(("little", "big"))
    found = int.from_bytes(rest[:width], order)
    if chance.randrange(3):
        found = chance.choice(NUMBERS)
    found += chance.choice((-1, 0, 0, 1))
    return (found % (1 << 8 * width)).to_bytes(width, order) + rest[width:]


def _json(content: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    """One change to a tree of JSON."""
    try:
        tree = json.loads(content)
        other = json.loads(chance.choice(others)) if others else tree
    except (ValueError, RecursionError):
        return _bytes(content, others, chance)
    holder: list[Any] = [tree]
    parent, key = chance.choice(list(_places(holder)))
    found = parent[key]
    match chance.randrange(8):
        case 0:
            if parent is not holder:
                del parent[key]
        case 1:  # another name, or one more
            if isinstance(parent, dict):
                parent[chance.choice([str(value) for value in VALUES])] = found
            else:
                parent.append(copy.deepcopy(found))
        case 2:  # a part of another place
            there, name = chance.choice(list(_places([other])))
            parent[key] = copy.deepcopy(there[name])
        case 3 if isinstance(found, int | float) and not isinstance(found, bool):
            parent[key] = chance.choice((found + 1, found - 1, -found, found * 1000))
        case 4 if chance.randrange(4) == 0:
            return (
                json.dumps(holder[0])
                .encode()
                .replace(json.dumps(found).encode(), b"[" * DEEP + b"]" * DEEP, 1)
            )
        case _:
            parent[key] = copy.deepcopy(chance.choice(VALUES))
    return json.dumps(holder[0], separators=(",", ":")).encode()


def _places(holder: list[Any]) -> Iterator[tuple[Any, Any]]:
    """Every part of a tree, as what holds it and the key or the index there."""
    left: list[Any] = [holder]
    while left:
        parent = left.pop()
        for key in [*parent] if isinstance(parent, dict) else range(len(parent)):
            yield parent, key
            if isinstance(parent[key], list | dict):
                left.append(parent[key])


def _protobuf(content: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    """One change to a message, or to a message in it; the lengths around it are made to fit."""
    fields = list(_fields(content))
    if not fields:
        return _bytes(content, others, chance)
    at = chance.randrange(len(fields))
    head, value, tail = fields[at]
    if tail is None and isinstance(value, bytes) and value and chance.randrange(5):
        inner = _protobuf if chance.randrange(3) else _bytes
        fields[at] = head, inner(value, others, chance), None
    else:
        match chance.randrange(5):
            case 0:
                del fields[at]
            case 1:
                fields[at:at] = [fields[at]] * chance.choice((1, 2, 30))
            case 2:
                fields.append(fields.pop(at))
            case 3 if isinstance(value, int):
                fields[at] = head, chance.choice(NUMBERS), tail
            case _:
                fields[at] = chance.choice(NUMBERS) % (1 << 20) << 3 | head & 7, value, tail
    return b"".join(_written(*field) for field in fields)


def _fields(content: bytes) -> Iterator[tuple[int, int | bytes, bool | None]]:
    """The key and the value of each field, and whether its length is fixed; up to damage."""
    at = 0
    while at < len(content):
        key, at = _varint(content, at)
        if key & 7 == 0:
            value, at = _varint(content, at)
            yield key, value, True
        elif key & 7 in (1, 2, 5):
            size, at = _varint(content, at) if key & 7 == 2 else (8 if key & 7 == 1 else 4, at)
            yield key, content[at : at + size], None if key & 7 == 2 else True
            at += size
        else:
            return


def _written(key: int, value: int | bytes, fixed: bool | None) -> bytes:
    if isinstance(value, int):
        return _as_varint(key & ~7) + _as_varint(value)
    return _as_varint(key) + (b"" if fixed else _as_varint(len(value))) + value


def _varint(content: bytes, at: int) -> tuple[int, int]:
    found = 0
    for i, byte in enumerate(content[at : at + 10]):
        found |= (byte & 127) << 7 * i
        if byte < 128:
            return found, at + i + 1
    return found, len(content)


def _as_varint(number: int) -> bytes:
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])


Way = Callable[[bytes, Sequence[bytes], random.Random], bytes]
_BYTES: Way = _bytes
_OF: dict[Form, Way] = {"bytes": _bytes, "json": _json, "protobuf": _protobuf}
