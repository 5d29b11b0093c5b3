"""The user's folders, and checked downloads into the cache: whole and right, or not there."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import filelock
from platformdirs import user_cache_dir
from rich.progress import DownloadColumn, TransferSpeedColumn

from maxprune.data.bars import bar
from maxprune.data.transfer import Unavailable, transfer
from maxprune.errors import DataError, OutputError, UsageError
from maxprune.files import is_file, is_folder
from maxprune.naming import giving

Check = Callable[[Path], object]
"""Raises DataError when the file is not the right one."""


@dataclass(frozen=True)
class Remote:
    """A file that others serve.

    Attributes:
        name: its name in the cache.
        urls: its addresses, http or https; tried in this order.
        check: refuses a file that is not the right one, by raising DataError.
        limit: bytes that it has at most; what goes on after that is not downloaded.
    """

    name: str
    urls: tuple[str, ...]
    check: Check
    limit: int


def cache() -> Path:
    """The folder of downloads: `MAXPRUNE_CACHE`, else where this system keeps caches."""
    return Path(os.environ.get("MAXPRUNE_CACHE") or user_cache_dir("maxprune"))


def given(root: Path | None, name: str, content: str, public: bool = True) -> Path | None:
    """The user's folder of a dataset, or None when the cache is to serve.

    Args:
        root: the folder that has a folder `name`; when None, `$MAXPRUNE_DATA`, where that has one.
        name: the dataset.
        content: what the folder has to hold, in words.
        public: whether it is downloaded where no root is given.

    Raises:
        DataError: `root` has no folder `name`, or `$MAXPRUNE_DATA` is not a folder.
    """
    if root is not None:
        if not is_folder(root / name):
            download = ", or leave it out to download" if public else ""
            raise DataError(
                f"{root / name} is not a folder that exists; name with {giving('root', 'DIR')} a "
                f"folder that has a folder {name} with {content}{download}"
            )
        return root / name
    named = os.environ.get("MAXPRUNE_DATA")
    if not named:
        return None
    if not is_folder(named):
        raise DataError(f"MAXPRUNE_DATA is {named}, which is not a folder; correct or unset it")
    folder = Path(named) / name
    return folder if is_folder(folder) else None


def checksum(expected: str) -> Check:
    """The check that a file has this MD5 (32 hexadecimal digits) or SHA-256 (64).

    Raises:
        UsageError: `expected` has another length.
    """
    algorithm = {32: "md5", 64: "sha256"}.get(len(expected))
    if algorithm is None:
        raise UsageError(f"{expected!r} is neither an MD5 nor a SHA-256 in hexadecimal")

    def check(path: Path) -> None:
        try:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, algorithm).hexdigest()
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror or error}") from error
        if found != expected.lower():
            raise DataError(f"{path} has the {algorithm} {found}, expected {expected.lower()}")

    return check


def fetch(remote: Remote, folder: Path) -> Path:
    """Download a file into `folder`, unless it is there.

    What arrived of an unfinished download stays beside it as a `.part` file, one for each address,
    and the next call goes on from there. The file gets its name only once its check has passed.
    Two processes that want the same file take turns. A file that is there is not checked again.

    Returns:
        `folder / remote.name`.

    Raises:
        DataError: no mirror gives the right file; what to do instead is in the message.
        OutputError: `folder` cannot be written.
        UsageError: an address is not http or https.
    """
    target = folder / remote.name
    if is_file(target):
        return target
    failures = []
    with _alone(target):
        if is_file(target):
            return target
        for url in remote.urls:
            try:
                _from_mirror(url, remote, target)
            except Unavailable as error:
                failures.append(f"{url} {error}")
            else:
                return target
    raise DataError(
        f"cannot download {remote.name}: {'; '.join(failures)}. Get it by hand, put it in a folder "
        f"DIR/{folder.name} and say {giving('root', 'DIR')} or set MAXPRUNE_DATA=DIR"
    )


def _from_mirror(url: str, remote: Remote, target: Path) -> None:
    """Download from one mirror, check, and only then give the file its name."""
    mark = hashlib.sha256(url.encode()).hexdigest()[:8]
    part = target.with_name(f".{target.name}.{mark}.part")
    with bar(remote.name, DownloadColumn(), TransferSpeedColumn()) as tick:
        resumed = transfer(url, part, remote.limit, tick)
        try:
            _verify(remote, part)
        except Unavailable:
            if not resumed:
                raise
            # The file may have changed on the server between the two halves: once more, whole.
            transfer(url, part, remote.limit, tick)
            _verify(remote, part)
    try:
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.replace(target)
        for other in target.parent.glob(f".{target.name}.*.part"):
            other.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {target}: {error.strerror or error}") from error


def _verify(remote: Remote, part: Path) -> None:
    """Run the check; what does not pass is removed."""
    try:
        remote.check(part)
    except DataError as error:
        part.unlink(missing_ok=True)
        # What is wrong, without what to do about it: the user never sees the .part file.
        found = str(error).replace(str(part), remote.name).partition("; ")[0]
        raise Unavailable(f"sends something else: {found}") from error


@contextlib.contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Make the folder and hold its lock for this file."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(target.with_name(f".{target.name}.lock"))
        lock.acquire()
    except (OSError, NotImplementedError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputError(
            f"cannot write the download cache {target.parent}: {reason}; set MAXPRUNE_CACHE to a "
            "folder that can be written"
        ) from error
    try:
        yield
    finally:
        lock.release()
