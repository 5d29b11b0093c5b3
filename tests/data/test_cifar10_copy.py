"""The lossy copy of CIFAR-10 as JPEG, and its pictures in the cache."""

import hashlib
import io
import lzma
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from cifar10_helpers import COPY, TEST, TRAIN, Files, jpeg, link, module, put, refused
from PIL import Image

from maxprune.data import cifar10
from maxprune.data.decoded import archive_key
from maxprune.errors import DataError

pytestmark = pytest.mark.usefixtures("cifar10_of_30")


def test_the_copy_by_class_and_number(copied: Path, pictures: Files) -> None:
    data = cifar10(copied, download=False)
    assert (data.name, data.classes, data.input_shape) == ("cifar10 (JPEG copy)", 10, (3, 32, 32))
    assert data.train.labels.tolist() == [label for label in range(10) for _ in range(2)]
    assert data.test.labels.tolist() == list(range(10))
    for images, name, index in (
        (data.train, "train/cat/0001.jpg", 7),
        (data.train, "train/airplane/0000.jpg", 0),
        (data.test, "test/truck/0000.jpg", 9),
    ):
        expected = np.asarray(Image.open(io.BytesIO(pictures[name]))).transpose(2, 0, 1)
        assert np.array_equal(images.pixels[index].numpy(), expected)


GREY, OTHER = np.zeros((32, 32), np.uint8), np.zeros((64, 16, 3), np.uint8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"test/cat/0000.jpg": jpeg(OTHER)}, "test/cat/0000.jpg is 3x64x16, expected 3x32x32"),
        ({"test/cat/0000.jpg": jpeg(GREY)}, "test/cat/0000.jpg is 1x32x32, expected 3x32x32"),
        ({"test/cat/0000.jpg": jpeg(OTHER, "PNG")}, "cannot be read: not a picture of a known"),
        ({"test/cat/0000.jpg": b""}, "test/cat/0000.jpg cannot be read: not a picture"),
        ({"test/cat/0000.jpg": bytes(70_000)}, "of 70000 bytes, expected at most 65536"),
        ({"test/cat/0001.jpg": b""}, "'test/cat/0001.jpg', expected only train/CLASS/0000.jpg to "),
        ({"train/cat/0002.jpg": b""}, "'train/cat/0002.jpg', expected only"),
        ({"train/fox/0000.jpg": b""}, "'train/fox/0000.jpg', expected only"),
        ({"train/cat/\u0660\u0660\u0660\u0661.jpg": b""}, "expected only"),
        ({"train/cat/0000.jpg\n": b""}, r"'train/cat/0000.jpg\n', expected only"),
        ({"../train/cat/0000.jpg": b""}, "'../train/cat/0000.jpg', expected only"),
        ({"/train/cat/0000.jpg": b""}, "'/train/cat/0000.jpg', expected only"),
        ({"readme.txt": b""}, "'readme.txt', expected only"),
        ({"test/cat/0000.jpg": link("test/cat/0000.jpg")}, "0000.jpg', which is not a regular"),
        ({"x": tarfile.TarInfo("test/cat/0000.jpg")}, "'test/cat/0000.jpg' twice"),
    ],
)
def test_a_copy_with_other_members_is_refused(
    copied: Path, pictures: Files, tmp_path: Path, change: Files, message: str
) -> None:
    put(copied, COPY, {**pictures, **change})
    said = refused(copied)
    assert message in said
    assert str(copied / "cifar10" / COPY) in said
    assert "delete it and get it again" in said
    assert not (tmp_path / "cache").exists()  # nothing wrong is kept


def test_a_copy_that_lacks_a_picture_or_has_it_twice(copied: Path, pictures: Files) -> None:
    name, content = next(iter(pictures.items()))
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w:xz") as archive:
        for _ in range(2):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    put(copied, COPY, tar.getvalue())
    assert f"has '{name}' twice" in refused(copied)
    del pictures[name]
    put(copied, COPY, pictures)
    assert "has 29 pictures, expected 30" in refused(copied)


@pytest.mark.parametrize("at", [0, 0.3, 0.6, 0.99])
def test_a_damaged_copy_is_named(copied: Path, tmp_path: Path, at: float) -> None:
    path = copied / "cifar10" / COPY
    whole = bytearray(path.read_bytes())
    whole[int(at * len(whole))] ^= 0x55
    path.write_bytes(whole)
    assert f"{path}" in refused(copied)
    path.write_bytes(whole[: int(at * len(whole))])
    assert f"{path}" in refused(copied)
    assert not (tmp_path / "cache").exists()


def test_an_archive_that_unpacks_without_end_is_given_up(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(copied, COPY, lzma.compress(bytes(1 << 20)))  # the end of an archive, again and again
    monkeypatch.setattr(module, "_UNPACKED", 1 << 19)
    assert "unpacks to more than 524288 bytes" in refused(copied)


def test_nothing_is_unpacked_to_the_disk(copied: Path, tmp_path: Path) -> None:
    cifar10(copied)
    files = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*"))
    assert files == ["cache/cifar10/cifar10-jpg.decoded", f"root/cifar10/{COPY}"]


# The decoded copy in the cache


@pytest.fixture
def decoded(copied: Path, tmp_path: Path) -> Path:
    """The file in the cache that the copy left."""
    cifar10(copied)
    return tmp_path / "cache" / "cifar10" / "cifar10-jpg.decoded"


def count(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Has every decoding put its archive into this list."""
    made, true = [], module._copy

    def copy(path: Path) -> np.ndarray:
        made.append(path)
        return true(path)

    monkeypatch.setattr(module, "_copy", copy)
    return made


def test_the_copy_is_decoded_once(
    copied: Path, decoded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = count(monkeypatch)
    kept = cifar10(copied)
    assert not made
    decoded.unlink()
    again = cifar10(copied)
    assert len(made) == 1
    for one, other in ((kept.train, again.train), (kept.test, again.test)):
        assert torch.equal(one.pixels, other.pixels)
        assert torch.equal(one.labels, other.labels)
        one.pixels.zero_()  # it can be written to


def test_what_is_kept_is_as_documented(decoded: Path) -> None:
    line, content = decoded.read_bytes().split(b"\n", 1)
    assert len(content) == (TRAIN + TEST) * 3073
    assert line.startswith(b"maxprune bytes 1 ")
    assert line.split()[-1].decode() == hashlib.sha256(content).hexdigest()
    assert len(line.split()[-2]) == 64


@pytest.mark.parametrize(
    "damage", ["bit", "cut", "longer", "empty", "other line", "other version", "nothing"]
)
def test_a_damaged_or_foreign_file_is_made_again(
    copied: Path, decoded: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    whole = decoded.read_bytes()
    wrong = {
        "bit": whole[:-500] + bytes([whole[-500] ^ 1]) + whole[-499:],
        "cut": whole[:-1],
        "longer": whole + b"x",
        "empty": b"",
        "other line": whole.replace(b"\n", b"\0", 1),
        "other version": whole.replace(b"bytes 1", b"bytes 2", 1),
        "nothing": whole,
    }
    decoded.write_bytes(wrong[damage])
    made = count(monkeypatch)
    data = cifar10(copied)
    assert len(made) == (damage != "nothing")
    assert data.train.labels.tolist() == [label for label in range(10) for _ in range(2)]
    assert decoded.read_bytes() == whole


def test_another_archive_or_pillow_is_decoded_anew(
    copied: Path, decoded: Path, pictures: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = count(monkeypatch)
    monkeypatch.setattr("PIL.__version__", "0.1")
    cifar10(copied)
    cifar10(copied)
    assert len(made) == 1
    white = jpeg(np.full((32, 32, 3), 255, np.uint8))
    put(copied, COPY, {**pictures, "test/cat/0000.jpg": white})
    assert (cifar10(copied).test.pixels[3] == 255).all()
    assert len(made) == 2


def test_the_key_is_of_every_byte(tmp_path: Path) -> None:
    keys = set()
    for content in (b"one", b"two", b"three"):
        (tmp_path / "archive").write_bytes(content)
        keys.add(archive_key(tmp_path / "archive"))
    assert len(keys) == 3
    with pytest.raises(DataError, match=r"cannot read .*none: No such file"):
        archive_key(tmp_path / "none")


def test_a_pipe_in_the_place_of_the_file_is_not_waited_for(copied: Path, decoded: Path) -> None:
    whole = decoded.read_bytes()
    decoded.unlink()
    os.mkfifo(decoded)
    assert len(cifar10(copied).train) == TRAIN
    assert decoded.read_bytes() == whole


@pytest.mark.parametrize("obstacle", ["file", "folder", "full"])
def test_it_works_without_a_cache_that_can_be_written(
    copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, obstacle: str
) -> None:
    if obstacle == "file":
        (tmp_path / "cache").write_text("a file where the folder should be")
    elif obstacle == "folder":
        (tmp_path / "cache" / "cifar10" / "cifar10-jpg.decoded").mkdir(parents=True)
    else:
        monkeypatch.setattr("os.fsync", lambda file: (_ for _ in ()).throw(OSError(28, "full")))
    made = count(monkeypatch)
    assert len(cifar10(copied).train) == len(cifar10(copied).train) == TRAIN
    assert len(made) == 2
    assert not list(tmp_path.rglob("*.part"))
