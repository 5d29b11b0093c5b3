"""Streams of symbols by ranged asymmetric numeral systems (docs/format.md, "A stream").

Duda 2013, *Asymmetric numeral systems: entropy coding combining speed of Huffman coding with
compression rate of arithmetic coding*. Many lanes with a state of their own take turns, so numpy
decodes one symbol of each lane at once (Giesen 2014, *Interleaved entropy coders*); numpy is all
that is needed. Where there are few symbols there is one lane, since each costs 4 bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from maxprune.coding.bits import Reader, pack, varint
from maxprune.errors import StoreError

if TYPE_CHECKING:
    from jaxtyping import Int64

    Symbols: TypeAlias = Int64[np.ndarray, " n"]
    Frequencies: TypeAlias = Int64[np.ndarray, " symbols"]

PRECISION = 14
TOTAL = 1 << PRECISION  # of all frequencies
LOW = 1 << 16  # states lie from here up to 2^32; words of 16 bits come and go
CODES = 64  # for a weight, six bits
MOST_SYMBOLS = 4096
A_LANE = 2048  # symbols are worth one
MOST_LANES = 4096

WEIGHTS = np.array([0, *((4 + c % 4) << (c // 4) for c in range(CODES - 1))], dtype=np.int64)


def encode(symbols: Symbols) -> bytes:
    """A stream: its table, states and words.

    Args:
        symbols: at least one, each from 0 to 4,095.
    """
    codes = _codes(np.bincount(symbols))
    frequencies = _frequencies(codes)
    lanes = min(max(len(symbols) // A_LANE, 1), MOST_LANES)
    states, words = _encoded(symbols, frequencies, lanes)
    table = varint(len(codes)) + pack(codes, np.full(len(codes), 6)).tobytes()
    sizes = varint(lanes) + varint(len(words))
    return table + sizes + states.astype("<u4").tobytes() + words.astype("<u2").tobytes()


def decode(reader: Reader, count: int) -> Symbols:
    """The next `count` symbols.

    Args:
        reader: stands at a stream.
        count: at least one.

    Raises:
        StoreError: this is no stream of so many symbols.
    """
    size = reader.number()
    if not 1 <= size <= MOST_SYMBOLS:
        raise StoreError(f"a table of {size} symbols; 1 to {MOST_SYMBOLS} are possible")
    frequencies = _frequencies(reader.packed(np.full(size, 6)))
    lanes, length = reader.number(), reader.number()
    if not 1 <= lanes <= MOST_LANES:
        raise StoreError(f"{lanes} lanes; 1 to {MOST_LANES} are possible")
    states = reader.array("<u4", lanes).astype(np.uint64)
    return _decoded(count, frequencies, states, reader.array("<u2", length))


def _codes(counts: Int64[np.ndarray, " symbols"]) -> Int64[np.ndarray, " symbols"]:
    """The code of the weight that is nearest to each count, in proportion."""
    scaled = counts * (WEIGHTS[-1] / counts.max())
    middles = (WEIGHTS[1:-1] + WEIGHTS[2:]) / 2
    return np.where(counts > 0, 1 + np.searchsorted(middles, scaled), 0)


def _frequencies(codes: Int64[np.ndarray, " symbols"]) -> Frequencies:
    """The frequencies, of the sum 2^14, that codes stand for."""
    weights = WEIGHTS[codes]
    total = int(weights.sum())
    if not total:
        raise StoreError("a table in which no symbol occurs")
    frequencies = np.where(weights > 0, np.maximum(1, (weights << PRECISION) // total), 0)
    frequencies[frequencies.argmax()] += TOTAL - int(frequencies.sum())
    if int(frequencies.min()) < 0 or int(frequencies.max()) < 1:
        raise StoreError("a table with too many rare symbols")
    return frequencies


def _encoded(
    symbols: Symbols, frequencies: Frequencies, lanes: int
) -> tuple[np.ndarray, np.ndarray]:
    """The states that a decoder begins with, and the words that it takes."""
    before = np.cumsum(frequencies) - frequencies
    states = np.full(lanes, LOW, dtype=np.uint64)
    found: list[np.ndarray] = []
    for start in range((len(symbols) - 1) // lanes * lanes, -1, -lanes):
        part = symbols[start : start + lanes]
        frequency = frequencies[part].astype(np.uint64)
        x = states[: len(part)]
        full = x >= frequency << np.uint64(32 - PRECISION)
        found.append(x[full] & np.uint64(0xFFFF))
        x = np.where(full, x >> np.uint64(16), x)
        slot = x % frequency + before[part].astype(np.uint64)
        states[: len(part)] = ((x // frequency) << np.uint64(PRECISION)) + slot
    return states, np.concatenate(found[::-1])


def _decoded(
    count: int, frequencies: Frequencies, states: np.ndarray, words: np.ndarray
) -> Symbols:
    """The symbols of all lanes, one step after the other."""
    lanes, used = len(states), 0
    which = np.repeat(np.arange(len(frequencies)), frequencies)
    before = np.cumsum(frequencies) - frequencies
    frequency = frequencies[which].astype(np.uint64)  # of the symbol in each slot
    offset = (np.arange(TOTAL) - before[which]).astype(np.uint64)
    symbols = np.empty(count, dtype=np.int64)
    for start in range(0, count, lanes):
        x = states[: count - start]
        slot = (x & np.uint64(TOTAL - 1)).astype(np.int64)
        symbols[start : start + lanes] = which[slot]
        x = frequency[slot] * (x >> np.uint64(PRECISION)) + offset[slot]
        low = np.flatnonzero(x < LOW)
        if used + len(low) > len(words):
            raise StoreError("a stream ends early")
        x[low] = (x[low] << np.uint64(16)) | words[used : used + len(low)]
        used += len(low)
        states[: len(x)] = x
    if used != len(words) or bool((states != LOW).any()):
        raise StoreError("a stream does not end where it should")
    return symbols
