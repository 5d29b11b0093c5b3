"""Tensors of few values and zeros (docs/format.md, "Few values and zeros").

Han, Mao, Dally 2015, *Deep Compression*, section 3: which of the shared values each weight has, and
the gaps between those that are not zero. Their Huffman codes are streams of `coding.streams` here;
a small tensor is coded entry by entry (`coding.context`) where that is shorter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from maxprune.coding import context, numbers, streams
from maxprune.coding.arithmetic import BitReader
from maxprune.coding.bits import Reader, pack, varint
from maxprune.coding.context import InContexts
from maxprune.errors import StoreError

if TYPE_CHECKING:
    from jaxtyping import Float32, Int64

    Tensor: TypeAlias = Float32[np.ndarray, "..."]
    Gaps: TypeAlias = Int64[np.ndarray, " n"]

TYPES = ("s4", "s2", "s1")
"""Types of such tensors, with how many bytes each of their values takes."""

IN_CONTEXTS = ("c4", "c2", "c1")
"""Of those whose entries are in the stream of bits at the end of the file."""

MOST_VALUES = streams.MOST_SYMBOLS
OWN = 16  # gaps below this are symbols of their own
OWN_BITS = 4


def few_values(tensor: Tensor) -> bool:
    """Whether a tensor has at most 4,096 values that are not zero, or none, and more entries."""
    return len(_values(tensor)) <= min(MOST_VALUES, tensor.size - 1)


def encode(tensor: Tensor) -> tuple[str, bytes]:
    """The shorter one of both orders, and the type of its values."""
    size = numbers.size_of(_values(tensor))
    found = [bytes([n]) + _ordered(x.ravel(), size) for n, x in enumerate(_orders(tensor))]
    return f"s{size}", min(found, key=len)


def _orders(tensor: Tensor) -> list[Tensor]:
    """Row after row, and with the first two dimensions exchanged."""
    return [tensor] if tensor.ndim < 2 else [tensor, tensor.swapaxes(0, 1)]


def _values(tensor: Tensor) -> Float32[np.ndarray, " m"]:
    """The values but zero, ascending."""
    found: Float32[np.ndarray, " m"] = np.setdiff1d(tensor, np.zeros(1, tensor.dtype))
    return found


def _ordered(entries: Float32[np.ndarray, " n"], size: str) -> bytes:
    places = np.flatnonzero(entries)
    if not len(places):
        return varint(0)
    values = _values(entries)
    head = varint(len(places)) + varint(len(values)) + numbers.write(values, size)
    gaps = np.diff(places, prepend=-1) - 1
    told = _gaps(gaps) if len(places) < len(entries) else b""
    return head + told + streams.encode(np.searchsorted(values, entries[places]))


def _gaps(gaps: Gaps) -> bytes:
    far = gaps[gaps >= OWN]
    exponent = _exponent(far)
    symbols = gaps.copy()
    symbols[gaps >= OWN] = OWN + 4 * (exponent - OWN_BITS) + ((far >> (exponent - 2)) & 3)
    widths = exponent - 2
    return streams.encode(symbols) + pack(far & ((1 << widths) - 1), widths).tobytes()


def _exponent(numbers: Gaps) -> Gaps:
    """Floor of the logarithm to the base 2; exact below 2^53."""
    return np.frexp(numbers.astype(np.float64))[1].astype(np.int64) - 1


def decode(reader: Reader, shape: tuple[int, ...], kind: str) -> Tensor:
    """A tensor of this shape.

    Raises:
        StoreError: what the reader has is none.
    """
    order = _read_order(reader, shape)
    entries = np.zeros(math.prod(shape), dtype=np.float32)
    count = reader.number()
    if count > len(entries):
        raise StoreError(f"{count} entries of {len(entries)} are not zero")
    if count:
        _fill(entries, count, reader, kind)
    return _in_shape(entries, shape, order)


def _read_order(reader: Reader, shape: tuple[int, ...]) -> int:
    (order,) = reader.take(1)
    if order > 1 or (order and len(shape) < 2):
        raise StoreError(f"{order} is no order of a tensor of shape {list(shape)}")
    return order


def _in_shape(entries: Float32[np.ndarray, " n"], shape: tuple[int, ...], order: int) -> Tensor:
    """The tensor whose entries these are, in one of the orders."""
    if not order:
        return entries.reshape(shape)
    found = entries.reshape(shape[1], shape[0], *shape[2:])
    return np.ascontiguousarray(found.swapaxes(0, 1))


def _read_values(reader: Reader, kind: str, most: int = MOST_VALUES) -> Float32[np.ndarray, " m"]:
    size = reader.number()
    if not 1 <= size <= most:
        raise StoreError(f"{size} values; 1 to {most:,} are possible")
    return numbers.read(reader, kind[1:], size)


def _fill(entries: Float32[np.ndarray, " n"], count: int, reader: Reader, kind: str) -> None:
    """Put `count` values into their places."""
    values = _read_values(reader, kind)
    places = np.arange(count)
    if count < len(entries):
        places += np.cumsum(_read_gaps(reader, count))
        if int(places[-1]) >= len(entries):
            raise StoreError("an entry behind the last one is not zero")
    which = streams.decode(reader, count)
    if int(which.max()) >= len(values):
        raise StoreError(f"value {int(which.max())} of {len(values)}")
    entries[places] = values[which]


def _read_gaps(reader: Reader, count: int) -> Gaps:
    symbols = streams.decode(reader, count)
    far = symbols >= OWN
    exponent, quarter = (symbols[far] - OWN) // 4 + OWN_BITS, (symbols[far] - OWN) % 4
    if int(exponent.max(initial=0)) > 40:
        raise StoreError("a gap is too wide")
    rest = reader.packed(exponent - 2)
    symbols[far] = ((4 + quarter) << (exponent - 2)) | rest
    return symbols


def encode_in_contexts(tensor: Tensor) -> tuple[str, bytes, InContexts] | None:
    """The type, the head, and what goes into the stream of bits.

    None for a tensor that is too large for it, has too many values or none but zero, or one that
    is not finite.
    """
    values = _values(tensor)
    if not 0 < tensor.size <= context.MOST or not 0 < len(values) <= context.MOST_VALUES:
        return None
    if not np.isfinite(values).all():
        return None
    size = numbers.size_of(values)
    widths = {tensor.shape[-1], tensor.size // len(tensor)} if tensor.ndim else set()
    found = [context.in_contexts(x.ravel(), values, widths) for x in _orders(tensor)]
    order = min(range(len(found)), key=lambda i: found[i].size())
    head = bytes([order]) + varint(found[order].width) + varint(len(values))
    return f"c{size}", head + numbers.write(values, size), found[order]


@dataclass(frozen=True)
class Head:
    """What is known of a tensor before its entries are read from the stream of bits.

    Args:
        shape: of the tensor.
        order: 0, or 1 with the first two dimensions exchanged.
        width: the distance of an entry's second neighbour.
        values: those that are not zero, ascending.
    """

    shape: tuple[int, ...]
    order: int
    width: int
    values: Float32[np.ndarray, " m"]

    def fill(self, reader: BitReader) -> Tensor:
        """The tensor.

        Raises:
            StoreError: the stream ends early.
        """
        count = math.prod(self.shape)
        entries = context.read_entries(reader, count, self.values, self.width)
        return _in_shape(entries, self.shape, self.order)


def decode_head(reader: Reader, shape: tuple[int, ...], kind: str) -> Head:
    """What comes before the stream of bits.

    Raises:
        StoreError: what the reader has is none.
    """
    order, width, count = _read_order(reader, shape), reader.number(), math.prod(shape)
    if not 1 <= width <= count <= context.MOST:
        raise StoreError(f"{count} entries in contexts, {width} a row")
    values = _read_values(reader, kind, context.MOST_VALUES)
    if not (np.isfinite(values).all() and values.all() and (np.diff(values) > 0).all()):
        raise StoreError("its values are not ascending")
    return Head(shape, order, width, values)
