import errno
import json
import os
from pathlib import Path

import pytest

from maxprune.errors import OutputError, StoreError
from maxprune.files import atomic, read_bytes, read_json, write_bytes, write_json, write_text


def test_what_is_written_is_there_and_nothing_else(tmp_path: Path) -> None:
    write_json(tmp_path / "new" / "deep" / "a.json", {"x": [1, 2.5, "é"]})
    assert read_json(tmp_path / "new" / "deep" / "a.json") == {"x": [1, 2.5, "é"]}
    write_text(tmp_path / "a.txt", "é")
    assert (tmp_path / "a.txt").read_bytes() == "é".encode()
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a.json", "a.txt", "deep", "new"]
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("error", [RuntimeError("no"), KeyboardInterrupt(), OSError(5, "I/O")])
def test_a_failing_write_leaves_the_old_file_and_no_litter(
    tmp_path: Path, error: BaseException
) -> None:
    path = tmp_path / "a"
    write_bytes(path, b"old")
    expected = OutputError if isinstance(error, OSError) else type(error)

    def fail() -> None:
        with atomic(path) as temporary:
            temporary.write_bytes(b"half of the n")
            assert path.read_bytes() == b"old"
            raise error

    with pytest.raises(expected):
        fail()
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("call", ["fsync", "write", "replace", "mkstemp"])
def test_a_full_disk_is_one_line_and_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "a"
    write_bytes(path, b"old")
    where = {
        "fsync": "os.fsync",
        "write": "pathlib.Path.write_bytes",
        "replace": "pathlib.Path.replace",
        "mkstemp": "tempfile.mkstemp",
    }
    with monkeypatch.context() as patch:
        patch.setattr(where[call], full)
        with pytest.raises(OutputError) as caught:
            write_bytes(path, b"new")
    assert str(caught.value) == f"cannot write {path}: No space left on device"
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_device_that_is_full_for_real(tmp_path: Path) -> None:
    def fill() -> None:
        with atomic(tmp_path / "a") as temporary:
            temporary.unlink()
            temporary.symlink_to("/dev/full")
            temporary.write_bytes(b"x")

    with pytest.raises(OutputError, match="No space left"):
        fill()
    assert list(tmp_path.iterdir()) == []


def test_a_file_where_the_folder_should_be_and_a_folder_where_the_file_should_be(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match=r"cannot write .*a: (Not a directory|File exists)"):
        write_bytes(tmp_path / "file" / "a", b"")
    with pytest.raises(OutputError, match="cannot write"):
        write_bytes(tmp_path / "file" / "deep" / "a", b"")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="directory"):
        write_bytes(tmp_path / "folder", b"")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("content", [float("nan"), [float("inf")], {"x": object()}, {1, 2}])
def test_what_is_not_json_is_not_written(tmp_path: Path, content: object) -> None:
    with pytest.raises(OutputError, match="is not JSON"):
        write_json(tmp_path / "a.json", content)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b'{"x": NaN}', b"[Infinity]", b"-Infinity", b"\xff{}", b"[" * 100_000, b"{} x"],
)
def test_what_is_not_json_is_not_read(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(StoreError, match=r"a\.json is damaged: not JSON") as caught:
        read_json(tmp_path / "a.json")
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="does not exist"):
        read_json(tmp_path / "a.json")
    with pytest.raises(StoreError, match=r"cannot read .*directory"):
        read_bytes(tmp_path)
    (tmp_path / "file").write_text(json.dumps({}))
    with pytest.raises(StoreError, match="Not a directory"):
        read_json(tmp_path / "file" / "a.json")
