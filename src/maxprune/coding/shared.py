"""Tensors of few values and zeros (docs/format.md, "Few values and zeros").

Han, Mao, Dally 2015, *Deep Compression*, section 3: which of the shared values each weight has, and
the gaps between those that are not zero. Their Huffman codes are streams of `coding.streams` here.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from maxprune.coding import streams
from maxprune.coding.bits import Reader, pack, varint
from maxprune.errors import StoreError

if TYPE_CHECKING:
    from jaxtyping import Float32, Int64

    Tensor: TypeAlias = Float32[np.ndarray, "..."]
    Gaps: TypeAlias = Int64[np.ndarray, " n"]

TYPES = {"s4": "<f4", "s2": "<f2"}
"""Types of such tensors, and that of their values."""

MOST_VALUES = streams.MOST_SYMBOLS
OWN = 16  # gaps below this are symbols of their own
OWN_BITS = 4


def few_values(tensor: Tensor) -> bool:
    """Whether a tensor has at most 4,096 values that are not zero, or none, and more entries."""
    return len(_values(tensor)) <= min(MOST_VALUES, tensor.size - 1)


def fits_halves(tensor: Tensor) -> bool:
    """Whether every number of a tensor is one of 16 bits."""
    with np.errstate(over="ignore"):
        return np.array_equal(tensor, tensor.astype(np.float16))


def encode(tensor: Tensor) -> tuple[str, bytes]:
    """The shorter one of both orders, and the type of its values."""
    kind: str = "s2" if fits_halves(tensor) else "s4"
    orders = [tensor] if tensor.ndim < 2 else [tensor, tensor.swapaxes(0, 1)]
    found = [bytes([order]) + _ordered(x.ravel(), kind) for order, x in enumerate(orders)]
    return kind, min(found, key=len)


def _values(tensor: Tensor) -> Float32[np.ndarray, " m"]:
    """The values but zero, ascending."""
    found: Float32[np.ndarray, " m"] = np.setdiff1d(tensor, np.zeros(1, tensor.dtype))
    return found


def _ordered(entries: Float32[np.ndarray, " n"], kind: str) -> bytes:
    places = np.flatnonzero(entries)
    if not len(places):
        return varint(0)
    values = _values(entries)
    head = varint(len(places)) + varint(len(values)) + values.astype(TYPES[kind]).tobytes()
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
    (order,) = reader.take(1)
    if order > 1 or (order and len(shape) < 2):
        raise StoreError(f"{order} is no order of a tensor of shape {list(shape)}")
    stored = (shape[1], shape[0], *shape[2:]) if order else shape
    entries = np.zeros(math.prod(shape), dtype=np.float32)
    count = reader.number()
    if count > len(entries):
        raise StoreError(f"{count} entries of {len(entries)} are not zero")
    if count:
        _fill(entries, count, reader, kind)
    found = entries.reshape(stored)
    return np.ascontiguousarray(found.swapaxes(0, 1)) if order else found


def _fill(entries: Float32[np.ndarray, " n"], count: int, reader: Reader, kind: str) -> None:
    """Put `count` values into their places."""
    size = reader.number()
    if not 1 <= size <= MOST_VALUES:
        raise StoreError(f"{size} values; 1 to {MOST_VALUES} are possible")
    values = reader.array(TYPES[kind], size).astype(np.float32)
    places = np.arange(count)
    if count < len(entries):
        places += np.cumsum(_read_gaps(reader, count))
        if int(places[-1]) >= len(entries):
            raise StoreError("an entry behind the last one is not zero")
    which = streams.decode(reader, count)
    if int(which.max()) >= size:
        raise StoreError(f"value {int(which.max())} of {size}")
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
