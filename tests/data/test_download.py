import hashlib
import os
import threading
from pathlib import Path

import pytest
from data_helpers import Mirror

from maxprune.data.download import Remote, cache, checksum, fetch
from maxprune.data.transfer import TRIES
from maxprune.errors import DataError, OutputError, UsageError

CONTENT = bytes(range(256)) * 2000  # 512,000 bytes
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def remote(*mirrors: Mirror, limit: int = 600_000, expected: str = SHA256) -> Remote:
    urls = tuple(f"{mirror.url}file.bin" for mirror in mirrors)
    return Remote("file.bin", urls, checksum(expected), limit)


@pytest.fixture(autouse=True)
def served(request: pytest.FixtureRequest) -> None:
    for name in {"mirror", "second"} & set(request.fixturenames):
        request.getfixturevalue(name).files["file.bin"] = CONTENT


def parts(folder: Path) -> list[Path]:
    return list(folder.glob(".*.part"))


@pytest.mark.parametrize("lengths", [True, False])
def test_a_file_arrives_whole_and_is_asked_for_once(
    mirror: Mirror, tmp_path: Path, lengths: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    mirror.lengths = lengths
    path = fetch(remote(mirror), tmp_path / "a" / "b")
    assert path == tmp_path / "a" / "b" / "file.bin"
    assert path.read_bytes() == CONTENT
    assert not parts(path.parent)
    assert fetch(remote(mirror), path.parent) == path
    assert mirror.asked == [("file.bin", None)]
    assert capfd.readouterr() == ("", "")


def test_a_connection_that_breaks_is_taken_up_where_it_was(mirror: Mirror, tmp_path: Path) -> None:
    mirror.cuts = [100_000, 50_000]
    assert fetch(remote(mirror), tmp_path).read_bytes() == CONTENT
    wanted = [None, "bytes=100000-", "bytes=150000-"]
    assert [given for _, given in mirror.asked] == wanted


def test_what_an_earlier_call_left_is_taken_up(mirror: Mirror, tmp_path: Path) -> None:
    mirror.cuts = [100_000] + [0] * TRIES
    with pytest.raises(DataError, match="was cut off after 100000 of 512000 bytes"):
        fetch(remote(mirror), tmp_path)
    assert len(mirror.asked) == 1 + TRIES
    assert not (tmp_path / "file.bin").exists()
    assert [part.stat().st_size for part in parts(tmp_path)] == [100_000]
    mirror.asked.clear()
    assert fetch(remote(mirror), tmp_path).read_bytes() == CONTENT
    assert mirror.asked == [("file.bin", "bytes=100000-")]
    assert not parts(tmp_path)


def test_a_server_that_ignores_range_starts_again(mirror: Mirror, tmp_path: Path) -> None:
    mirror.ranges = False
    mirror.cuts = [100_000]
    assert fetch(remote(mirror), tmp_path).read_bytes() == CONTENT
    assert [given for _, given in mirror.asked] == [None, "bytes=100000-"]


def test_a_server_that_never_gets_further_is_given_up(mirror: Mirror, tmp_path: Path) -> None:
    mirror.ranges = False
    mirror.cuts = [100_000, 50_000] * 20  # up and down is no progress
    with pytest.raises(DataError, match="was cut off"):
        fetch(remote(mirror), tmp_path)
    assert len(mirror.asked) == 1 + TRIES


def test_a_server_that_sends_another_range_starts_again(mirror: Mirror, tmp_path: Path) -> None:
    mirror.wrong_range = True
    mirror.cuts = [100_000]
    assert fetch(remote(mirror), tmp_path).read_bytes() == CONTENT
    assert [given for _, given in mirror.asked] == [None, "bytes=100000-", None]


def leave_part(mirror: Mirror, folder: Path, content: bytes) -> None:
    """What a call that was killed leaves behind."""
    mirror.cuts = [0] * TRIES
    with pytest.raises(DataError):
        fetch(remote(mirror), folder)
    (part,) = parts(folder)
    part.write_bytes(content)
    mirror.asked.clear()


def test_a_part_that_is_complete_is_only_checked(mirror: Mirror, tmp_path: Path) -> None:
    leave_part(mirror, tmp_path, CONTENT)
    assert fetch(remote(mirror), tmp_path).read_bytes() == CONTENT
    assert mirror.asked == [("file.bin", "bytes=512000-")]


def test_a_part_that_is_too_long_is_thrown_away(mirror: Mirror, tmp_path: Path) -> None:
    leave_part(mirror, tmp_path, CONTENT + b"more")
    assert fetch(remote(mirror), tmp_path).read_bytes() == CONTENT
    assert [given for _, given in mirror.asked] == ["bytes=512004-", None]


def test_a_resumed_file_that_is_wrong_is_fetched_once_more_whole(
    mirror: Mirror, tmp_path: Path
) -> None:
    leave_part(mirror, tmp_path, b"another version of the file")
    assert fetch(remote(mirror), tmp_path).read_bytes() == CONTENT
    assert [given for _, given in mirror.asked] == ["bytes=27-", None]


def test_a_file_fetched_once_more_is_checked_too(mirror: Mirror, tmp_path: Path) -> None:
    leave_part(mirror, tmp_path, b"another version of the file")
    mirror.files["file.bin"] = CONTENT[:-1] + b"x"
    with pytest.raises(DataError, match="has the sha256"):
        fetch(remote(mirror), tmp_path)
    assert [given for _, given in mirror.asked] == ["bytes=27-", None]
    assert not (tmp_path / "file.bin").exists()
    assert not parts(tmp_path)


def test_a_file_that_is_there_needs_no_folder_that_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file.bin").write_bytes(CONTENT)
    fetch(Remote("file.bin", (), checksum(SHA256), 0), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["file.bin"]  # not even a lock


def test_a_wrong_file_is_refused_and_removed(mirror: Mirror, tmp_path: Path) -> None:
    mirror.files["file.bin"] = CONTENT[:-1] + b"x"
    with pytest.raises(DataError, match=f"file.bin has the sha256 .* expected {SHA256}") as caught:
        fetch(remote(mirror), tmp_path)
    message = str(caught.value)
    assert "root=DIR" in message
    assert "MAXPRUNE_DATA" in message
    assert ".part" not in message
    assert "\n" not in message
    assert not parts(tmp_path)
    assert not (tmp_path / "file.bin").exists()
    assert len(mirror.asked) == 1


def test_md5_is_known_too_and_nothing_else(mirror: Mirror, tmp_path: Path) -> None:
    md5 = hashlib.md5(CONTENT).hexdigest()  # noqa: S324
    fetch(remote(mirror, expected=md5.upper()), tmp_path / "right")
    with pytest.raises(DataError, match="has the md5"):
        fetch(remote(mirror, expected="0" * 32), tmp_path / "wrong")
    with pytest.raises(UsageError, match="neither an MD5 nor a SHA-256"):
        checksum("0" * 40)


@pytest.mark.parametrize("fault", ["missing", "wrong", "cut", "gone"])
def test_the_next_mirror_serves_when_the_first_does_not(
    mirror: Mirror, second: Mirror, tmp_path: Path, fault: str
) -> None:
    first = remote(mirror).urls[0]
    if fault == "missing":
        mirror.files.clear()
    elif fault == "wrong":
        mirror.files["file.bin"] = b"an error page"
    elif fault == "cut":
        mirror.cuts = [1000] + [0] * TRIES
    else:
        first = "http://127.0.0.1:1/file.bin"
    wanted = Remote("file.bin", (first, *remote(second).urls), checksum(SHA256), 600_000)
    assert fetch(wanted, tmp_path).read_bytes() == CONTENT
    assert second.asked == [("file.bin", None)]  # what the first sent is not gone on with
    assert not parts(tmp_path)


def test_every_mirror_that_failed_is_named_with_its_reason(mirror: Mirror, tmp_path: Path) -> None:
    mirror.files.clear()
    urls = (*remote(mirror).urls, "http://127.0.0.1:1/file.bin")
    with pytest.raises(DataError) as caught:
        fetch(Remote("file.bin", urls, checksum(SHA256), 10), tmp_path / "mnist")
    message = str(caught.value)
    assert f"{urls[0]} answers 404 Not Found" in message
    assert f"{urls[1]} cannot be reached" in message
    assert "put it in a folder DIR/mnist and say root=DIR or set MAXPRUNE_DATA=DIR" in message
    assert len(mirror.asked) == 1


@pytest.mark.parametrize("lengths", [True, False])
def test_a_file_over_its_limit_is_refused(mirror: Mirror, tmp_path: Path, lengths: bool) -> None:
    mirror.lengths = lengths
    message = "has 512000 bytes, expected 100000" if lengths else "more than the 100000 bytes"
    with pytest.raises(DataError, match=message):
        fetch(remote(mirror, limit=100_000), tmp_path)
    assert sum(part.stat().st_size for part in parts(tmp_path)) == 0


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/file.bin", "file.bin"])
def test_only_http_and_https(url: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="http:// or https://"):
        fetch(Remote("file.bin", (url,), checksum(SHA256), 10), tmp_path)


@pytest.mark.parametrize("to", ["file:///etc/hostname", "ftp://127.0.0.1/file.bin"])
def test_no_redirect_to_anything_else(mirror: Mirror, tmp_path: Path, to: str) -> None:
    mirror.redirect = to
    with pytest.raises(DataError, match="answers 302"):
        fetch(remote(mirror), tmp_path)


def test_a_redirect_to_http_is_followed(mirror: Mirror, second: Mirror, tmp_path: Path) -> None:
    mirror.redirect = f"{second.url}file.bin"
    assert fetch(remote(mirror), tmp_path).read_bytes() == CONTENT


def test_an_address_that_is_nonsense_is_one_line(tmp_path: Path) -> None:
    for url in ("http://", "http://127.0.0.1:port/x", "http://exa mple/x", "http://[::1/x"):
        with pytest.raises((DataError, UsageError)) as caught:
            fetch(Remote("x", (url,), checksum(SHA256), 10), tmp_path)
        assert "\n" not in str(caught.value)


def test_a_cache_that_cannot_be_written_is_said_before_anything_is_asked(
    mirror: Mirror, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("where the folder should be")
    for folder in (tmp_path / "file", tmp_path / "file" / "mnist"):
        with pytest.raises(OutputError, match=f"{folder}: .*; set MAXPRUNE_CACHE"):
            fetch(remote(mirror), folder)
    assert not mirror.asked


def test_a_part_that_cannot_be_written_is_an_output_error(mirror: Mirror, tmp_path: Path) -> None:
    leave_part(mirror, tmp_path, b"")
    (part,) = parts(tmp_path)
    part.unlink()
    part.mkdir()
    with pytest.raises(OutputError, match="cannot write"):
        fetch(remote(mirror), tmp_path)


@pytest.mark.skipif(
    not os.path.exists("/dev/full"), reason="a full disk is not tried: there is no /dev/full here"
)
def test_a_full_disk_is_an_output_error(mirror: Mirror, tmp_path: Path) -> None:
    leave_part(mirror, tmp_path, b"")
    (part,) = parts(tmp_path)
    part.unlink()
    part.symlink_to("/dev/full")
    with pytest.raises(OutputError, match="No space left on device"):
        fetch(remote(mirror), tmp_path)
    assert not (tmp_path / "file.bin").exists()


def test_two_at_once_download_once(mirror: Mirror, tmp_path: Path) -> None:
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.append(fetch(remote(mirror), tmp_path).read_bytes()))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [CONTENT] * 4
    assert len(mirror.asked) == 1


def test_the_cache_is_where_the_user_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MAXPRUNE_CACHE", str(tmp_path))
    assert cache() == tmp_path
    monkeypatch.setenv("MAXPRUNE_CACHE", "")
    assert "maxprune" in cache().parts
