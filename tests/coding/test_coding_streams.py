"""Numbers in bits, and streams of symbols: exact, close to the entropy, and safe on any bytes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maxprune.coding import streams
from maxprune.coding.bits import Reader, pack, unpack, varint
from maxprune.errors import StoreError


@settings(deadline=None, derandomize=True)
@given(st.integers(0, 2**63 - 1))
def test_varints_come_back(number: int) -> None:
    reader = Reader(varint(number))
    assert reader.number() == number
    assert reader.left() == 0


def test_a_varint_without_an_end_is_refused() -> None:
    with pytest.raises(StoreError, match="longer than 9 bytes"):
        Reader(b"\xff" * 20).number()
    with pytest.raises(StoreError, match="ends early"):
        Reader(b"\xff").number()


@settings(deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 2**40 - 1)), max_size=40))
def test_packed_numbers_come_back(found: list[tuple[int, int]]) -> None:
    widths = np.array([width for width, _ in found], dtype=np.int64)
    numbers = np.array([number & ((1 << width) - 1) for width, number in found], dtype=np.int64)
    content = pack(numbers, widths)
    assert len(content) == -(-int(widths.sum()) // 8)
    assert unpack(content, widths).tolist() == numbers.tolist()


@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    count=st.integers(1, 30_000), size=st.sampled_from([1, 2, 3, 17, 256, 4096]),
    skew=st.floats(0, 6), seed=st.integers(0, 99),
)  # fmt: skip
def test_a_stream_comes_back(count: int, size: int, skew: float, seed: int) -> None:
    symbols = drawn(count, size, skew, seed)
    content = streams.encode(symbols)
    reader = Reader(content + b"more")
    assert streams.decode(reader, count).tolist() == symbols.tolist()
    assert reader.left() == 4


def drawn(count: int, size: int, skew: float, seed: int) -> np.ndarray:
    """Symbols of which the first are more frequent; the last one occurs."""
    generator = np.random.default_rng(seed)
    shares = 1.0 / np.arange(1, size + 1) ** skew
    symbols = generator.choice(size, count, p=shares / shares.sum())
    symbols[-1] = size - 1
    return symbols


@pytest.mark.parametrize(("size", "skew"), [(2, 0.0), (2, 6.0), (32, 0.5), (256, 1.0)])
def test_a_stream_is_close_to_the_entropy(size: int, skew: float) -> None:
    symbols = drawn(200_000, size, skew, 0)
    shares = np.bincount(symbols) / len(symbols)
    entropy = -(shares[shares > 0] * np.log2(shares[shares > 0])).sum() * len(symbols) / 8
    assert entropy <= len(streams.encode(symbols)) <= 1.01 * entropy + 4 * 97 + size + 8


def test_the_words_are_those_of_the_format() -> None:
    """By hand, from docs/format.md: two symbols of equal frequency, one lane, 16 of them."""
    symbols = np.array([0, 1] * 8)
    reader = Reader(streams.encode(symbols))
    assert reader.number() == 2
    assert reader.packed(np.array([6, 6])).tolist() == [63, 63]
    assert (reader.number(), reader.number()) == (1, 1)
    state, (word,) = int(reader.array("<u4", 1)[0]), reader.array("<u2", 1)
    found, words = [], [int(word)]
    for _ in range(16):
        slot = state % 2**14
        symbol = int(slot >= 2**13)
        found.append(symbol)
        state = 2**13 * (state // 2**14) + slot - symbol * 2**13
        if state < 2**16:
            state = 2**16 * state + words.pop(0)
    assert found == symbols.tolist()
    assert (state, words) == (2**16, [])


@settings(deadline=None, derandomize=True, max_examples=300)
@given(st.binary(max_size=80), st.integers(1, 5000))
def test_any_bytes_are_a_stream_or_refused(content: bytes, count: int) -> None:
    try:
        found = streams.decode(Reader(content), count)
    except StoreError:
        return
    assert len(found) == count


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (varint(0), "a table of 0 symbols"),
        (varint(4097), "a table of 4097 symbols"),
        (varint(2) + b"\x00\x00", "no symbol occurs"),
        (varint(1) + b"\xfc" + varint(0) + varint(0), "0 lanes"),
        (varint(1) + b"\xfc" + varint(1) + varint(0) + b"\x00\x00\x02\x00", "does not end"),
        (varint(1) + b"\xfc" + varint(1) + varint(9), "ends early"),
    ],
)
def test_what_is_no_stream_is_refused(content: bytes, says: str) -> None:
    with pytest.raises(StoreError, match=says):
        streams.decode(Reader(content), 3)


def test_a_flipped_bit_in_the_words_is_found() -> None:
    symbols = drawn(3000, 8, 1.0, 0)
    content = bytearray(streams.encode(symbols))
    for place in range(len(content) - 40, len(content)):
        content[place] ^= 16
        try:
            same = streams.decode(Reader(bytes(content)), 3000).tolist() == symbols.tolist()
        except StoreError:
            same = False
        assert not same
        content[place] ^= 16
