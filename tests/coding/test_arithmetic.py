"""Bits in contexts: exact, as short as the estimate says, bounded, and as the format says."""

from __future__ import annotations

import random
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maxprune.coding import context, shared
from maxprune.coding.arithmetic import BitReader, BitWriter, bits_needed
from maxprune.coding.bits import Reader, varint
from maxprune.errors import StoreError

BITS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 1)), max_size=400)


def written(*parts: list[tuple[int, int]]) -> bytes:
    writer = BitWriter()
    for part in parts:
        writer.write([c for c, _ in part], [b for _, b in part])
    return writer.close()


@settings(deadline=None, derandomize=True, max_examples=200)
@given(BITS, BITS)
def test_bits_come_back(one: list[tuple[int, int]], other: list[tuple[int, int]]) -> None:
    content = written(one, other)
    reader = BitReader(content)
    for part in (one, other):
        reader.forget()
        assert [reader.bit(c) for c, _ in part] == [b for _, b in part]
    assert reader.left() == 0


@pytest.mark.parametrize("share", [0.5, 0.1, 0.999, 0.0, 1.0])
def test_their_size_is_that_of_the_estimate(share: float) -> None:
    generator = random.Random(0)
    part = [(i % 3, int(generator.random() < share)) for i in range(20_000)]
    contexts, bits = (np.array([pair[i] for pair in part]) for i in (0, 1))
    needed = bits_needed(contexts, bits) / 8
    assert needed - 1 <= len(written(part)) <= 1.001 * needed + 2


def test_the_size_is_the_product_of_all_estimates() -> None:
    """Krichevsky and Trofimov: (n0 + 1/2) / (n0 + n1 + 1), bit after bit."""
    product, counts = Fraction(1), [0, 0]
    bits = [0, 0, 1, 0, 1, 1, 0, 0, 0]
    for bit in bits:
        product *= Fraction(2 * counts[bit] + 1, 2 * sum(counts) + 2)
        counts[bit] += 1
    assert bits_needed(np.zeros(9, int), np.array(bits)) == pytest.approx(-np.log2(float(product)))


def test_carries_go_through_many_bytes() -> None:
    """Ones push the lower end up to where a run of 255 overflows."""
    for seed in range(300):
        generator = random.Random(seed)
        part = [(0, int(generator.random() < 0.97)) for _ in range(600)]
        reader = BitReader(written(part))
        assert [reader.bit(0) for _ in part] == [b for _, b in part]


def test_the_bytes_are_those_of_the_format() -> None:
    """By hand, from docs/format.md: a reader of whole numbers."""
    part = [(0, 1), (0, 1), (1, 0), (0, 0), (0, 1), (1, 1)] * 9
    content = written(part) + bytes(4)
    code, span, at = int.from_bytes(content[:4], "big"), 2**32 - 1, 4
    counts = {0: [0, 0], 1: [0, 0]}
    found = []
    for which, _ in part:
        n0, n1 = counts[which]
        zero = span // (2 * (n0 + n1) + 2) * (2 * n0 + 1)
        bit = int(code >= zero)
        code, span = (code - zero, span - zero) if bit else (code, zero)
        counts[which][bit] += 1
        found.append((which, bit))
        while span < 2**24:
            code, span, at = code * 256 + content[at], span * 256, at + 1
    assert found == part


def test_no_bits_take_no_bytes_and_an_end_is_found() -> None:
    assert BitWriter().close() == b""
    assert BitReader(b"more!").left() == 1
    reader = BitReader(b"")
    with pytest.raises(StoreError, match="its bits end early"):
        [reader.bit(i) for i in range(100)]


@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    rows=st.integers(1, 9), columns=st.integers(1, 40), values=st.integers(1, 40),
    zeros=st.floats(0, 1), seed=st.integers(0, 99),
)  # fmt: skip
def test_a_tensor_comes_back(rows: int, columns: int, values: int, zeros: float, seed: int) -> None:
    generator = np.random.default_rng(seed)
    numbers = np.linspace(-2, 1, values).astype(np.float16).astype(np.float32)
    tensor = numbers[generator.integers(0, values, (rows, columns))]
    tensor[generator.random((rows, columns)) < zeros] = 0
    found = shared.encode_in_contexts(tensor)
    if not tensor.any():
        assert found is None
        return
    assert found is not None
    kind, head, entries = found
    writer = BitWriter()
    entries.write(writer)
    content = writer.close()
    assert abs(len(content) - entries.size()) <= 0.002 * len(content) + 2
    reader = Reader(head)
    again = shared.decode_head(reader, tensor.shape, kind).fill(BitReader(content))
    assert reader.left() == 0
    assert again.tobytes() == (tensor + 0).tobytes()


def test_neighbours_that_are_alike_make_it_shorter() -> None:
    """Half is zero, in blocks and by lot: the blocks take a tenth."""
    generator = np.random.default_rng(0)
    blocks = np.kron(generator.integers(0, 2, (8, 8)), np.ones((1, 64))).astype(np.float32)
    by_lot = generator.permutation(blocks.ravel()).reshape(blocks.shape)
    values = np.ones(1, np.float32)
    sizes = [context.in_contexts(t.ravel(), values, {512}).size() for t in (blocks, by_lot)]
    assert sizes[0] < 0.15 * sizes[1]
    above = np.tile(generator.integers(0, 2, 37), 30).astype(np.float32)
    assert context.in_contexts(above, values, {37}).width == 37


def test_what_does_not_fit_is_left_to_the_streams() -> None:
    many = np.arange(1, 2000, dtype=np.float32)
    assert shared.encode_in_contexts(many) is None
    assert shared.encode_in_contexts(np.ones((300, 300), np.float32)) is None
    assert shared.encode_in_contexts(np.zeros(9, np.float32)) is None
    assert shared.encode_in_contexts(np.array([1, np.nan, 0], np.float32)) is None


def values_of(*numbers: float) -> bytes:
    return varint(len(numbers)) + np.array(numbers, "<f4").tobytes()


@pytest.mark.parametrize(
    ("head", "says"),
    [
        (b"\2" + varint(1) + values_of(1), "2 is no order"),
        (b"\0" + varint(0) + values_of(1), "0 a row"),
        (b"\0" + varint(13) + values_of(1), "13 a row"),
        (b"\0" + varint(1) + varint(257), "257 values; 1 to 256 are possible"),
        (b"\0" + varint(1) + varint(0), "0 values"),
        (b"\0" + varint(1) + values_of(2, 1), "not ascending"),
        (b"\0" + varint(1) + values_of(0), "not ascending"),
        (b"\0" + varint(1) + values_of(np.nan), "not ascending"),
        (b"\0" + varint(1) + values_of(np.inf), "not ascending"),
    ],
)
def test_heads_that_lie_are_refused(head: bytes, says: str) -> None:
    with pytest.raises(StoreError, match=says):
        shared.decode_head(Reader(head), (3, 4), "c4")
