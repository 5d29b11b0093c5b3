"""Coded files: a small network in one file (docs/format.md, "Coded files")."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np

from maxprune.coding import numbers, shared
from maxprune.coding.arithmetic import BitReader, BitWriter
from maxprune.coding.bits import Reader, varint
from maxprune.coding.context import MOST_IN_ALL
from maxprune.coding.shared import Head
from maxprune.coding.words import DICTIONARIES
from maxprune.errors import StoreError, UsageError
from maxprune.files import parse_json, read_bytes

MAGIC = b"MXPC"
FORMAT = 2
DIGEST = 8
HEAD = len(MAGIC) + 1
A_BYTE = 1000  # numbers of the tensors that a byte of the file may stand for,
FREE = 1 << 20  # beyond so many; a file that claims more is refused before memory is taken
LONGEST = 1 << 24  # bytes of a description

FLOATS = ("f4", "f2", "f1")
PLAIN = {"h2": "<f2", "i8": "<i8", "i4": "<i4", "u1": "<u1", "b1": "|b1"}
"""Types whose numbers lie there as they are; before them those that are float32 when read."""

TYPES = (*FLOATS, *PLAIN, *shared.TYPES, *shared.IN_CONTEXTS)


@dataclass(frozen=True)
class Coded:
    """What a coded file holds.

    Attributes:
        factory: "package.module:function" that builds the network.
        arguments: its keyword arguments.
        plans: what is applied to it then, with `[left, parts]` in the place of indices.
        tensors: the weights and buffers by name; what is one array under several names is there
            once in the file.
        about: what the writer wanted to keep beside it.
    """

    factory: str
    arguments: dict[str, Any]
    plans: list[dict[str, Any]]
    tensors: Mapping[str, np.ndarray]
    about: dict[str, Any] = field(default_factory=dict)


def encode(content: Coded) -> bytes:
    """The bytes of a coded file.

    Tensors of float32 with at most 4,096 values beside zero are coded; others are kept as they are,
    in 16 or 8 bits where they fit in there exactly.

    Raises:
        UsageError: a tensor is of a type that the format does not have, or there are more than
            1,000 numbers to a byte.
    """
    tensors = dict(content.tensors)
    kinds, bodies = [], []
    bits, room = BitWriter(), MOST_IN_ALL
    first: dict[int, str] = {}
    shared_names: dict[str, str] = {}
    for name, tensor in tensors.items():
        kept = first.setdefault(id(tensor), name)
        if kept != name:
            shared_names[name] = kept
            continue
        kind, body = _coded(name, tensor, bits, room)
        room -= tensor.size if kind in shared.IN_CONTEXTS else 0
        kinds.append((name, list(tensor.shape), kind))
        bodies.append(body)
    about = {"f": content.factory, "a": content.arguments, "p": content.plans, "t": kinds}
    if shared_names:
        about["s"] = shared_names
    if content.about:
        about["o"] = content.about
    text = json.dumps(about, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zdict=DICTIONARIES[FORMAT])
    description = packer.compress(text.encode()) + packer.flush()
    rest = varint(len(description)) + description + b"".join(bodies) + bits.close()
    head = MAGIC + bytes([FORMAT])
    found = head + _digest(head, rest) + rest
    count = sum(tensor.size for tensor in tensors.values())
    if count > _most(len(found)):
        raise UsageError(
            f"{count:,} numbers in {len(found):,} bytes: nearly all of them are zero, and a "
            "reader would refuse the file; remove the dead neurons first"
        )
    return found


def _digest(head: bytes, rest: bytes | memoryview) -> bytes:
    found = hashlib.blake2b(head, digest_size=DIGEST)
    found.update(rest)
    return found.digest()


def _most(length: int) -> int:
    """How many numbers a file of so many bytes may hold."""
    return FREE + A_BYTE * length


def _coded(name: str, tensor: np.ndarray, bits: BitWriter, room: int) -> tuple[str, bytes]:
    """The type and the bytes of a tensor; its entries go into the stream of bits, if into any."""
    if tensor.dtype == np.float32:
        size = numbers.size_of(tensor)
        as_it_is = numbers.write(tensor, size)
        if shared.few_values(tensor):
            kind, body = shared.encode(tensor)
            other = shared.encode_in_contexts(tensor) if tensor.size <= room else None
            if other is not None and len(other[1]) + other[2].size() < min(
                len(body), len(as_it_is)
            ):
                other[2].write(bits)
                return other[:2]
            if len(body) < len(as_it_is):
                return kind, body
        return f"f{size}", as_it_is
    for kind, plain in PLAIN.items():
        if tensor.dtype == np.dtype(plain):
            return kind, tensor.astype(plain).tobytes()
    raise UsageError(f"{name} is {tensor.dtype}, which a coded file does not have")


def is_coded_file(path: str | Path) -> bool:
    """Whether a file is there and begins like a coded one."""
    try:
        with Path(path).open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def decode(source: str | Path | bytes) -> Coded:
    """Read a coded file; numpy is all that is needed.

    Args:
        source: the file, or its bytes.

    Raises:
        StoreError: it does not exist, is damaged, of another format, or claims more numbers than
            1,000 to a byte.
    """
    content = source if isinstance(source, bytes) else read_bytes(Path(source))
    name = "the coded file" if isinstance(source, bytes) else str(source)
    try:
        return _decoded(content)
    except StoreError as error:
        raise StoreError(f"{name} cannot be opened: {error}") from error


def _decoded(content: bytes) -> Coded:
    if content[: len(MAGIC)] != MAGIC:
        raise StoreError(f"it is no coded file: it does not begin with {MAGIC.decode()}")
    reader = Reader(content)
    reader.take(len(MAGIC))
    (version,) = reader.take(1)
    if version > FORMAT:
        raise StoreError(
            f"it has format {version}, newer than this maxprune reads ({FORMAT}); update it"
        )
    digest, start = reader.take(DIGEST), reader.at
    if (
        bytes(digest) != _digest(content[:HEAD], reader.content[start:])
        or version not in DICTIONARIES
    ):
        raise StoreError("it is damaged: its checksum does not fit")
    about = _described(reader.take(reader.number()), DICTIONARIES[version])
    count = sum(math.prod(shape) for _, shape, _ in about["t"])
    if count > _most(len(content)):
        raise StoreError(f"it claims {count:,} numbers in {len(content):,} bytes")
    tensors = _tensors(reader, about["t"])
    for name, kept in about.get("s", {}).items():
        if name in tensors or not isinstance(kept, str) or kept not in tensors:
            raise StoreError(f"its description is damaged: {name!r:.50} is {kept!r:.50}")
        tensors[name] = tensors[kept]
    return Coded(about["f"], about["a"], about["p"], tensors, about.get("o", {}))


FIELDS = {"f": str, "a": dict, "p": list, "t": list, "s": dict, "o": dict}
"""Of the description, and what each of them is; all but the last two have to be there."""


def _described(packed: memoryview, dictionary: bytes) -> dict[str, Any]:
    """The description, checked by hand, so that this needs no more than numpy."""
    opener = zlib.decompressobj(-15, zdict=dictionary)
    try:
        text = opener.decompress(packed, LONGEST)
    except zlib.error as error:
        raise StoreError(f"its description is damaged: {error}") from error
    if not opener.eof or opener.unused_data:
        raise StoreError("its description is damaged: it has no end, or is too long")
    found = parse_json(text, Path("its description"))
    if not isinstance(found, dict) or not {*FIELDS} - {"s", "o"} <= found.keys() <= {*FIELDS}:
        raise StoreError("its description is damaged: a field is missing, or one too many")
    for name, content in found.items():
        if not isinstance(content, FIELDS[name]):
            raise StoreError(f"its description is damaged: {name!r} is {content!r:.50}")
    for plan in found["p"]:
        if not isinstance(plan, dict):
            raise StoreError(f"its description is damaged: {plan!r:.50} is no plan")
    for entry in found["t"]:
        if not _is_entry(entry):
            raise StoreError(f"its description is damaged: {entry!r:.50} is no tensor")
    return cast(dict[str, Any], found)


def _is_entry(entry: object) -> bool:
    """Whether this is [name, shape, type]."""
    if not isinstance(entry, list) or len(entry) != 3:
        return False
    name, shape, kind = entry
    if not isinstance(name, str) or not isinstance(shape, list):
        return False
    sizes = all(type(size) is int and 0 <= size < 2**40 for size in shape)
    return sizes and len(shape) <= 8 and kind in TYPES


def _tensors(reader: Reader, entries: list[tuple[str, list[int], str]]) -> dict[str, np.ndarray]:
    """All tensors by name: their own bytes first, and then the stream of bits."""
    found: dict[str, np.ndarray | Head] = {}
    for name, shape, kind in entries:
        with _naming(name):
            found[name] = _tensor(reader, tuple(shape), kind)
    if len(found) < len(entries):
        raise StoreError("it is damaged: something is left over")
    heads = [one for one in found.values() if isinstance(one, Head)]
    if sum(math.prod(head.shape) for head in heads) > MOST_IN_ALL:
        raise StoreError(f"more than {MOST_IN_ALL:,} entries are in contexts")
    bits = BitReader(reader.take(reader.left() if heads else 0))
    tensors = {}
    for name, one in found.items():
        with _naming(name):
            tensors[name] = one.fill(bits) if isinstance(one, Head) else one
    if bits.left() or reader.left():
        raise StoreError("it is damaged: something is left over")
    return tensors


@contextlib.contextmanager
def _naming(name: str) -> Iterator[None]:
    try:
        yield
    except StoreError as error:
        raise StoreError(f"{name} is damaged: {error}") from error


def _tensor(reader: Reader, shape: tuple[int, ...], kind: str) -> np.ndarray | Head:
    if kind in shared.TYPES:
        return shared.decode(reader, shape, kind)
    if kind in shared.IN_CONTEXTS:
        return shared.decode_head(reader, shape, kind)
    if kind in FLOATS:
        return numbers.read(reader, kind[1:], math.prod(shape)).reshape(shape)
    found = reader.array(PLAIN[kind], math.prod(shape)).reshape(shape)
    return found.astype(found.dtype.newbyteorder("="))
