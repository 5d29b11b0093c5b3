import gzip
import hashlib
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maxprune.data import idx
from maxprune.data.idx import read_idx
from maxprune.errors import DataError


@pytest.mark.parametrize("shape", [(7,), (2, 3), (5, 3, 4), (1, 2, 3, 4), (0,), (0, 28, 28)])
@pytest.mark.parametrize("name", ["plain", "named.gz"])
def test_reads_what_was_written_whatever_the_name(
    shape: tuple[int, ...], name: str, tmp_path: Path
) -> None:
    values = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    content = bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape)
    content += values.tobytes()
    for packed in (content, gzip.compress(content), gzip.compress(content, 0)):
        (tmp_path / name).write_bytes(packed)
        found = read_idx(tmp_path / name, shape, hashlib.md5(content).hexdigest())  # noqa: S324
        assert found.dtype == np.uint8
        assert found.shape == shape
        assert np.array_equal(found, values)
        assert found.flags.writeable


def damages(plain: bytes) -> dict[str, tuple[bytes, str]]:
    """Every field of the header, and the length, made wrong."""
    return {
        "nothing": (b"", "0 bytes, too few"),
        "half a magic": (plain[:3], "3 bytes, too few"),
        "first zero": (b"\x01" + plain[1:], "starts with 01000803, expected 0000"),
        "second zero": (b"\0\x01" + plain[2:], "starts with 00010803"),
        "type float": (plain[:2] + b"\x0d" + plain[3:], "type 13, expected 8"),
        "type zero": (plain[:2] + b"\0" + plain[3:], "type 0, expected 8"),
        "no dimensions": (plain[:3] + b"\0" + plain[4:], "0 dimensions, expected 1 to 4"),
        "255 dimensions": (plain[:3] + b"\xff" + plain[4:], "255 dimensions"),
        "one dimension": (plain[:3] + b"\x01" + plain[4:], "goes on after the 5 bytes"),
        "four dimensions": (plain[:3] + b"\x04" + plain[4:], "cut off|read at most"),
        "cut header": (plain[:9], "inside its header"),
        "one picture more": (plain[:7] + b"\x06" + plain[8:], "60 bytes of values, expected 6x3x4"),
        "one picture less": (plain[:7] + b"\x04" + plain[8:], "goes on after the 48 bytes"),
        "one row more": (plain[:11] + b"\x04" + plain[12:], "expected 5x4x4 = 80"),
        "one column less": (plain[:15] + b"\x03" + plain[16:], "goes on after the 45"),
        "no pictures": (plain[:7] + b"\0" + plain[8:], "goes on after the 0 bytes"),
        "a huge size": (plain[:4] + b"\xff" * 12 + plain[16:], "more than the 1073741824"),
        "no values": (plain[:16], "0 bytes of values"),
        "one byte short": (plain[:-1], "59 bytes of values, expected 5x3x4 = 60"),
        "one byte over": (plain + b"\0", "goes on after the 60 bytes"),
    }


@pytest.mark.parametrize("name", damages(bytes(16)))
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "packed"])
def test_every_field_that_lies_is_refused(name: str, pack, plain: bytes, tmp_path: Path) -> None:
    content, message = damages(plain)[name]
    path = tmp_path / "some-idx"
    path.write_bytes(pack(content))
    with pytest.raises(DataError, match=message) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_cut_gzip_file_is_refused_at_every_length(packed: bytes, tmp_path: Path) -> None:
    path = tmp_path / "cut.gz"
    for length in range(2, len(packed)):
        path.write_bytes(packed[:length])
        with pytest.raises(DataError, match=r"cut\.gz is (damaged|cut off)"):
            read_idx(path)


def test_a_wrong_checksum_inside_gzip_is_refused(packed: bytes, tmp_path: Path) -> None:
    path = tmp_path / "crc.gz"
    path.write_bytes(packed[:-8] + bytes([packed[-8] ^ 1]) + packed[-7:])
    with pytest.raises(DataError, match="damaged: not a whole gzip file"):
        read_idx(path)


def test_another_shape_or_md5_than_expected_is_refused(plain: bytes, tmp_path: Path) -> None:
    path = tmp_path / "other"
    path.write_bytes(plain)
    with pytest.raises(DataError, match="declares the shape 5x3x4, expected 6x3x4"):
        read_idx(path, (6, 3, 4))
    with pytest.raises(DataError, match=f"expected {'0' * 32}"):
        read_idx(path, md5="0" * 32)


def test_a_bomb_is_not_unpacked_past_its_declared_size(tmp_path: Path) -> None:
    bomb = gzip.compress(b"\0\0\x08\x01" + struct.pack(">I", 10) + bytes(64 << 20), 9)
    path = tmp_path / "bomb.gz"
    path.write_bytes(bomb)
    assert len(bomb) < 1 << 17
    tracemalloc.start()
    with pytest.raises(DataError, match="goes on after the 10 bytes"):
        read_idx(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 << 20


def test_nothing_is_set_aside_for_a_size_that_is_only_declared(tmp_path: Path) -> None:
    path = tmp_path / "liar"
    path.write_bytes(b"\0\0\x08\x01" + struct.pack(">I", idx.LARGEST) + b"abc")
    tracemalloc.start()
    with pytest.raises(DataError, match="3 bytes of values"):
        read_idx(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing", tmp_path / ("x" * 300)):
        with pytest.raises(DataError, match=str(path)):
            read_idx(path)


@pytest.mark.parametrize("kind", ["plain", "packed"])
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_no_damage_gives_anything_but_a_data_error(
    kind: str, data: st.DataObject, plain: bytes, packed: bytes, tmp_path: Path, values: np.ndarray
) -> None:
    content = bytearray(plain if kind == "plain" else packed)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(content)))
        gone = data.draw(st.integers(0, 3))
        content[place : place + gone] = data.draw(st.binary(max_size=3))
    path = tmp_path / "damaged"
    path.write_bytes(content)
    try:
        found = read_idx(path, md5=hashlib.md5(plain).hexdigest())  # noqa: S324
    except DataError:
        return
    assert np.array_equal(found, values)
