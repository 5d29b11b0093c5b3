"""Tar shards: what is in them is found in one pass, kept, and refused where it is not right."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
import torch
from streaming_helpers import add, picture, write_folder, write_shards

from maxprune.data import shards as module
from maxprune.data.shards import find_shards
from maxprune.data.spec import DataOptions, open_data
from maxprune.data.streaming import indexed
from maxprune.errors import DataError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MAXPRUNE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def png(seed: int) -> bytes:
    kept = io.BytesIO()
    picture(seed).save(kept, "PNG")
    return kept.getvalue()


def shard(path: Path, members: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            add(archive, name, content)
    return path


def two(start: int = 0) -> dict[str, bytes]:
    """Two samples of two classes."""
    return {
        f"{start}.png": png(start), f"{start}.cls": b"0\n",
        f"{start + 1}.png": png(start + 1), f"{start + 1}.cls": b"1",
    }  # fmt: skip


def refused(root: Path) -> str:
    with pytest.raises(DataError) as caught:
        indexed(root)
    assert str(caught.value).isprintable()
    return str(caught.value)


def test_where_shards_may_lie(tmp_path: Path) -> None:
    for name in ("train-b", "train-a", "valid-0", "test", "other"):
        shard(tmp_path / "a" / f"{name}.tar", two())
    names = {part: [p.stem for p in paths] for part, paths in find_shards(tmp_path / "a").items()}
    assert names == {"train": ["train-a", "train-b"], "validation": ["valid-0"], "test": ["test"]}
    shard(tmp_path / "b" / "train" / "9.tar", two())
    shard(tmp_path / "b" / "val" / "1.tar", two())
    (tmp_path / "b" / "train" / ".part").mkdir()
    assert list(find_shards(tmp_path / "b")) == ["train", "validation"]
    assert len(indexed(tmp_path / "b")["train"]) == 2


def test_a_folder_of_classes_is_no_shards_whatever_lies_beside(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "flowers", each=1)
    shard(root / "train.tar", two())
    shard(root / "train" / "old.tar", two())
    (root / "train.tar.gz").write_bytes(b"")
    assert not find_shards(root)
    assert len(indexed(root)["train"]) == 3


def test_what_else_is_in_a_shard_is_passed_over(tmp_path: Path) -> None:
    more = {
        "0.json": b"{}",
        "./.hidden.png": b"",
        "._0.png": b"",
        "notes.txt": b"",
        "0.seg.npy": b"",
    }
    path = shard(tmp_path / "train-0.tar", two() | more)
    with tarfile.open(path, "a") as archive:
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        add(archive, "./folder/" + 120 * "é" + ".b.PNG", png(7))  # a name of pax
        add(archive, "folder/" + 120 * "é" + ".cls", b"1")
    index = indexed(tmp_path)["train"]
    assert index.labels.tolist() == [0, 1, 1]
    assert index.names[2] == "folder/" + 120 * "é" + ".b.PNG"
    assert index.read(2, None).tolist() == torch.from_numpy(index.read(2, None)).tolist()
    assert (index.read(2, None).transpose(1, 2, 0) == picture(7)).all()


def test_the_second_start_reads_no_headers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shard(tmp_path / "train-0.tar", two())
    other = shard(tmp_path / "train-1.tar", two(4))
    scanned: list[str] = []
    true = module._scanned
    monkeypatch.setattr(
        module, "_scanned", lambda shard: (scanned.append(shard.path.name), true(shard))[1]
    )
    first = indexed(tmp_path)["train"]
    assert scanned == ["train-0.tar", "train-1.tar"]
    again = indexed(tmp_path)["train"]
    assert scanned == ["train-0.tar", "train-1.tar"]
    assert again.checksum == first.checksum
    assert torch.equal(again.labels, first.labels)
    shard(other, two(6) | {"9.png": png(9), "9.cls": b"0"})
    changed = indexed(tmp_path)["train"]
    assert scanned[2:] == ["train-1.tar"]
    assert changed.checksum != first.checksum
    assert [changed.names[i] for i in range(5)] == ["0.png", "1.png", "6.png", "7.png", "9.png"]


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"size": 0, "changed": 0}'])
def test_a_damaged_cache_is_made_again(tmp_path: Path, cache: Path, content: bytes) -> None:
    shard(tmp_path / "train-0.tar", two())
    indexed(tmp_path)
    (kept,) = (cache / "shards").iterdir()
    kept.write_bytes(content)
    assert len(indexed(tmp_path)["train"]) == 2


def test_a_cache_that_cannot_be_written_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MAXPRUNE_CACHE", str(tmp_path / "file"))
    shard(tmp_path / "train-0.tar", two())
    assert len(indexed(tmp_path)["train"]) == 2


@pytest.mark.parametrize("cut", [1, 512, 700, 1024, 1536, 2000, 4000])
def test_a_shard_that_is_cut_off(tmp_path: Path, cut: int) -> None:
    path = shard(tmp_path / "train-0.tar", two())
    whole = path.read_bytes().rstrip(b"\0")
    whole += bytes(-len(whole) % 512)  # without the blocks of zeros at the end
    path.write_bytes(whole[:cut])
    said = refused(tmp_path)
    assert said.startswith(f"{path} is damaged or cut off")
    assert said.endswith("get it again")
    path.write_bytes(whole)
    assert "cut off at byte" in refused(tmp_path)
    path.write_bytes(whole + bytes(512))
    assert len(indexed(tmp_path)["train"]) == 2


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
def test_what_is_no_file_is_refused(tmp_path: Path, kind: bytes) -> None:
    path = shard(tmp_path / "train-0.tar", two())
    with tarfile.open(path, "a") as archive:
        member = tarfile.TarInfo("x.png")
        member.type, member.linkname = kind, "/etc/passwd"
        archive.addfile(member)
    assert f"{path} has 'x.png', which is no file but a link, a device" in refused(tmp_path)


@pytest.mark.parametrize(
    ("members", "says"),
    [
        (two() | {"2.png": b""}, "has '2.png', but no '2.cls'"),
        (two() | {"2.cls": b"1"}, "has '2.cls', but no such picture"),
        (two() | {"0.jpg": b""}, "has several pictures called '0'"),
        (two() | {"1.cls": b"cat"}, "'1.cls' says 'cat', but a class is a whole number"),
        (two() | {"1.cls": b"-1"}, "'1.cls' says '-1'"),
        (two() | {"1.cls": b"1.0"}, "'1.cls' says '1.0'"),
        (two() | {"1.cls": b"9" * 99}, "'1.cls' says '99999999999999999999'"),
        (two() | {"1.cls": b"99999999"}, "has the class 99999999 but only 2 pictures"),
        (two() | {f"{n}.{e}": b"3" for n in (2, 3) for e in ("png", "cls")}, "of class '2'"),
        ({"0.png": b""}, "has '0.png' without a class; expected ROOT/train-"),
        ({"notes.txt": b""}, "have no pictures; expected ROOT/train-"),
        ({}, "have no pictures"),
    ],
)  # fmt: skip
def test_samples_that_are_none(tmp_path: Path, members: dict[str, bytes], says: str) -> None:
    shard(tmp_path / "train-0.tar", members)
    assert says in refused(tmp_path)


def test_other_splits_have_the_classes_of_train(tmp_path: Path) -> None:
    shard(tmp_path / "train-0.tar", two())
    shard(tmp_path / "test-0.tar", two() | {"2.png": b"", "2.cls": b"2"})
    assert "has the class '2', which the training pictures do not" in refused(tmp_path)
    shard(tmp_path / "test-0.tar", {"cat/1.png": b""})
    assert "has the class 'cat', which the training pictures do not" in refused(tmp_path)
    shard(tmp_path / "test-0.tar", {"1.png": b"", "1.cls": b"1"})
    assert "has no pictures of class '0'" in refused(tmp_path)
    shard(tmp_path / "train-1.tar", {"cat/1.png": b""})
    assert "train-1.tar has no files *.cls, but other shards have" in refused(tmp_path)


def test_folders_and_shards_do_not_mix(tmp_path: Path) -> None:
    shard(tmp_path / "train-0.tar", two())
    (tmp_path / "val" / "0").mkdir(parents=True)
    assert "has shards to train on, but val is a folder without" in refused(tmp_path)
    (tmp_path / "val" / "0").rmdir()
    (tmp_path / "val").rmdir()
    for name in ("val", "valid"):
        shard(tmp_path / f"{name}-0.tar", two())
    assert "has shards called val and valid; keep one" in refused(tmp_path)


@pytest.mark.parametrize("name", ["train-0.tar.gz", "train.tgz", "train-0.tar.xz"])
def test_packed_shards_are_to_be_unpacked(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    assert f"{name} is packed, but pictures are read from the middle" in refused(tmp_path)


def test_a_picture_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST", 100)
    shard(tmp_path / "train-0.tar", two())
    assert "has '0.png' of " in refused(tmp_path)


def test_a_shard_that_goes_or_changes_in_the_middle_is_named(tmp_path: Path) -> None:
    root = write_shards(write_folder(tmp_path / "flowers", each=4), tmp_path / "shards")
    data = open_data(str(root), DataOptions(stream="yes"))
    (path,) = root.glob("train-*.tar")
    stream = data.train.stream(4, seed=0)
    next(stream)
    content = path.read_bytes()
    path.write_bytes(content + bytes(512))
    with pytest.raises(DataError, match=rf"^{path} was changed since it was indexed; it has"):
        list(data.train.batches(4))
    path.unlink()
    with pytest.raises(DataError, match=rf"^{path} is gone"):
        list(data.train.batches(4))


def test_a_picture_that_cannot_be_read_is_named_with_its_shard(tmp_path: Path) -> None:
    path = shard(tmp_path / "train-0.tar", two() | {"2.png": b"none", "2.cls": b"1"})
    data = indexed(tmp_path)["train"]
    assert data.path(2) == path / "2.png"
    with pytest.raises(DataError, match=rf"^cannot read {path}/2\.png: not a picture of a known"):
        open_data(str(tmp_path), DataOptions(stream="yes"))
