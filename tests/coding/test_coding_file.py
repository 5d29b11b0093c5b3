"""Coded files: everything comes back, and whatever is damaged or lies is refused in one line."""

from __future__ import annotations

import contextlib
import hashlib
import json
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from maxprune.coding import Coded, decode, encode, file, shared
from maxprune.coding.bits import Reader, varint
from maxprune.coding.file import DIGEST, FORMAT, HEAD, MAGIC
from maxprune.coding.words import DICTIONARIES
from maxprune.errors import StoreError, UsageError


def sparse(shape: tuple[int, ...] = (40, 60), zeros: float = 0.9, seed: int = 0) -> np.ndarray:
    """A tensor of 30 values and zeros."""
    generator = np.random.default_rng(seed)
    values = np.linspace(-1, 1, 30).astype(np.float16).astype(np.float32)
    keep = generator.random(shape) >= zeros
    return np.where(keep, values[generator.integers(0, 30, shape)], 0).astype(np.float32)


def coded(**tensors: np.ndarray) -> Coded:
    plans = [{"kind": "keep", "neurons": {"fc1": 40}, "keep": {"fc1": "10/1"}}]
    return Coded("some.module:build", {"fc": 40}, plans, tensors, {"accuracy": 99.5})


def resealed(text: bytes, body: bytes = b"", packed: bytes | None = None) -> bytes:
    """A file with a fitting checksum whose description is this text."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zdict=DICTIONARIES[FORMAT])
    content = packer.compress(text) + packer.flush() if packed is None else packed
    head, rest = MAGIC + bytes([FORMAT]), varint(len(content)) + content + body
    return head + hashlib.blake2b(head + rest, digest_size=DIGEST).digest() + rest


def described(*tensors: object, **more: object) -> bytes:
    content = {"f": "a:b", "a": {}, "p": [], "t": list(tensors), **more}
    return json.dumps(content).encode()


@settings(deadline=None, derandomize=True, max_examples=80)
@given(
    shape=arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=12),
    values=st.integers(1, 40), zeros=st.floats(0, 1), seed=st.integers(0, 99),
)  # fmt: skip
def test_tensors_come_back_to_the_bit(
    shape: tuple[int, ...], values: int, zeros: float, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    numbers = generator.normal(size=values).astype(np.float32)
    found = np.where(
        generator.random(shape) >= zeros, numbers[generator.integers(0, values, shape)], 0
    ).astype(np.float32)
    again = decode(encode(coded(w=found))).tensors["w"]
    assert again.dtype == np.float32
    assert again.shape == found.shape
    assert again.tobytes() == found.tobytes()


def test_all_types_and_all_else_come_back() -> None:
    tensors = {
        "weight": sparse(), "bias": np.arange(7, dtype=np.float32) / 8,
        "odd": np.array([0.1, np.pi], dtype=np.float32), "count": np.array(12, dtype=np.int64),
        "index": np.arange(3, dtype=np.int32), "byte": np.arange(4, dtype=np.uint8),
        "mask": np.array([True, False]), "half": np.array([1.5], dtype=np.float16),
        "none": np.zeros((0, 3), dtype=np.float32), "zeros": np.zeros((9, 9), dtype=np.float32),
        "dense": np.random.default_rng(0).normal(size=(70, 70)).astype(np.float32),
    }  # fmt: skip
    found = decode(encode(coded(**tensors)))
    assert (found.factory, found.arguments) == ("some.module:build", {"fc": 40})
    assert found.plans == coded().plans
    assert found.about == {"accuracy": 99.5}
    assert list(found.tensors) == list(tensors)
    for name, tensor in tensors.items():
        again = found.tensors[name]
        assert again.shape == tensor.shape, name
        assert again.tobytes() == tensor.tobytes(), name
        assert again.dtype == tensor.dtype, name


def test_nothing_but_zeros_takes_no_room() -> None:
    tensor = np.zeros((64, 4000), np.float32)
    content = encode(coded(a=tensor))
    assert len(content) < 200
    assert np.array_equal(decode(content).tensors["a"], tensor)


def test_minus_zero_is_not_lost() -> None:
    tensor = sparse()
    tensor[0, 0] = -0.0
    again = decode(encode(coded(w=tensor))).tensors["w"]
    assert np.array_equal(again, tensor)


def test_gaps_of_all_sizes() -> None:
    for gap in [*range(70), 127, 128, 1000, 99_999, 2**20 + 5]:
        tensor = np.zeros(2 * gap + 2, dtype=np.float32)
        tensor[[gap, 2 * gap + 1]] = 1.0, 2.0
        kind, content = shared.encode(tensor)
        assert np.array_equal(shared.decode(Reader(content), tensor.shape, kind), tensor), gap


def test_it_is_small_and_the_shorter_order_is_taken() -> None:
    tensor = sparse((100, 1000))
    shares = np.unique(tensor, return_counts=True)[1] / tensor.size
    entropy = -(shares * np.log2(shares)).sum() * tensor.size / 8
    assert len(encode(coded(w=tensor))) < 1.03 * entropy + 200
    columns = np.zeros((200, 300), dtype=np.float32)
    columns[:, 7] = np.where(np.arange(200) % 3, 0.5, 0.25)
    _, content = shared.encode(columns)
    assert content[0] == 1
    assert len(content) < len(shared.encode(np.ascontiguousarray(columns.T))[1]) + 1


def test_values_take_16_bits_only_where_that_changes_none() -> None:
    for value, kind in ((0.5, "s2"), (0.3, "s4"), (1e6, "s4"), (65504, "s2")):
        assert shared.encode(np.array([value, 0, value, 1.0], dtype=np.float32))[0] == kind


def test_a_type_that_the_format_lacks_is_refused() -> None:
    with pytest.raises(UsageError, match="w is float64, which a coded file does not have"):
        encode(coded(w=np.zeros(3)))
    with pytest.raises(UsageError, match="remove the dead neurons first"):
        encode(coded(w=np.eye(3000, 3000, dtype=np.float32)[:1].repeat(3000, 0)))


def test_every_flipped_byte_is_found() -> None:
    content = encode(coded(weight=sparse((20, 20)), bias=np.ones(3, dtype=np.float32)))
    for place in range(len(content)):
        for flip in (1, 128, 255):
            damaged = bytearray(content)
            damaged[place] ^= flip
            with pytest.raises(StoreError, match=r"^the coded file cannot be opened: "):
                decode(bytes(damaged))


def test_every_cut_off_file_is_found() -> None:
    content = encode(coded(weight=sparse((20, 20))))
    for length in range(len(content)):
        with pytest.raises(StoreError, match="cannot be opened"):
            decode(content[:length])
    with pytest.raises(StoreError, match="checksum"):
        decode(content + b"\0")


def test_mutations_with_a_fitting_checksum_give_a_clear_error_or_a_network() -> None:
    """Random mutations, each sealed again: no crash, no hang, bounded memory."""
    content = encode(coded(weight=sparse((30, 30)), bias=np.ones(9, dtype=np.float32)))
    generator = np.random.default_rng(0)
    tracemalloc.start()
    refused = 0
    for _ in range(1000):
        rest = bytearray(content[HEAD + DIGEST :])
        for _ in range(generator.integers(1, 6)):
            rest[generator.integers(len(rest))] = generator.integers(256)
        head = content[:HEAD]
        digest = hashlib.blake2b(head + bytes(rest), digest_size=DIGEST).digest()
        with contextlib.suppress(StoreError):
            decode(head + digest + bytes(rest))
            continue
        refused += 1
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert refused > 500
    assert most < 64 * 2**20


def test_mutations_are_refused_by_the_checksum_before_anything_is_read() -> None:
    content = encode(coded(weight=sparse((300, 300), zeros=0.5)))
    generator = np.random.default_rng(1)
    tracemalloc.start()
    for _ in range(10_000):
        damaged = bytearray(content)
        damaged[generator.integers(len(damaged))] ^= generator.integers(1, 256)
        with pytest.raises(StoreError):
            decode(bytes(damaged))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 10 * len(content)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "it does not begin with MXPC"),
        (b"PK\x03\x04", "it does not begin with MXPC"),
        (MAGIC, "it ends early"),
        (MAGIC + b"\x03" + b"\0" * 20, r"format 3, newer than this maxprune reads \(2\)"),
        (MAGIC + b"\x00" + b"\0" * 20, "checksum"),
        (resealed(b"not JSON"), "not JSON"),
        (resealed(b"[]"), "a field is missing"),
        (resealed(described(x=1)), "one too many"),
        (resealed(described(f=3)), "'f' is 3"),
        (resealed(described(p=[1])), "1 is no plan"),
        (resealed(described(["w", [3], "s4"])), "w is damaged: it ends early"),
        (resealed(described(["w", [-3], "f4"])), "is no tensor"),
        (resealed(described(["w", [2], "f4", 1])), "is no tensor"),
        (resealed(described(["w", [2], "complex"])), "is no tensor"),
        (resealed(described(["w", [True], "f4"])), "is no tensor"),
        (resealed(described(["w", [2] * 9, "f4"])), "is no tensor"),
        (resealed(described(["w", [10**9], "s4"])), "claims 1,000,000,000 numbers in"),
        (resealed(described(["w", [2**39, 2**39], "s4"])), "claims"),
        (resealed(described(["w", [1], "b1"], ["w", [1], "b1"]), b"\1\1"), "left over"),
        (resealed(described(), b"more"), "left over"),
        (resealed(described(["w", [0], "f4"], s={"v": "u"})), "damaged: 'v' is 'u'"),
        (resealed(described(["w", [0], "f4"], s={"v": ["w"]})), r"damaged: 'v' is \['w'\]"),
        (resealed(described(["w", [0], "f4"], s={"w": "w"})), "damaged: 'w' is 'w'"),
        (resealed(described(["w", [0], "f4"], s=["w"])), "damaged: 's' is"),
        (resealed(b"", packed=b"\xff\xff"), "its description is damaged"),
        (resealed(b"", packed=b""), "it has no end"),
        (resealed(b" " * (2**24 + 1)), "is too long"),
    ],
)
def test_what_lies_is_refused(content: bytes, says: str) -> None:
    with pytest.raises(StoreError, match=says):
        decode(content)


def test_small_tensors_share_one_stream_as_long_as_there_is_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small = {f"w{i}": sparse((9, 20), seed=i) for i in range(6)}
    apart = sum(len(encode(coded(w=tensor))) - len(encode(coded())) for tensor in small.values())
    assert len(encode(coded(**small))) - len(encode(coded())) < apart - 2 * len(small)
    whole = encode(coded(**small))
    monkeypatch.setattr(file, "MOST_IN_ALL", 3 * 180)
    content = encode(coded(**small))
    assert len(content) > len(whole)
    found = decode(content)
    assert all(np.array_equal(found.tensors[name], small[name]) for name in small)
    with pytest.raises(StoreError, match="more than 540 entries are in contexts"):
        decode(whole)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"gone\.mxp does not exist"):
        decode(tmp_path / "gone.mxp")


def test_the_decoder_needs_nothing_but_numpy(tmp_path: Path) -> None:
    """By the lines of the README, in a process that can import nothing else."""
    (tmp_path / "model.mxp").write_bytes(encode(coded(weight=sparse())))
    lines = 'from maxprune.coding import decode\n\nweights = decode("model.mxp").tensors\n'
    assert lines in (Path(__file__).parents[2] / "README.md").read_text()
    script = (
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] not in {*sys.stdlib_module_names, 'numpy', 'maxprune'}:\n"
        "            raise ImportError(name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
        f"{lines}"
        "print(weights['weight'].shape)\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert found.stdout.strip() == "(40, 60)", found.stderr
