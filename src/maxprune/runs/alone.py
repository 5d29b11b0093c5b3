"""One process at a time in a run's folder.

FOLDER/.lock           locked by the system as long as the process is there; killed or not
FOLDER/.in-use.json    which process, since when; without meaning where nobody holds the lock
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import filelock

from maxprune.errors import OutputError, StoreError
from maxprune.files import read_json, sweep, sweep_beside, write_json

LOCK, WHO = ".lock", ".in-use.json"


@contextmanager
def alone(folder: Path, wait: bool = False) -> Iterator[None]:
    """Keep other processes out of a folder, which is made if it is not there.

    This process may enter it again. What one that was killed had begun to write is removed.

    Args:
        folder: which.
        wait: for the other process to end, in the place of refusing.

    Raises:
        OutputError: another process is in it, or it cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file, where a folder is wanted; name another with --out")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder.resolve() / LOCK, thread_local=False, is_singleton=True)
        entered = lock.is_locked
        lock.acquire(timeout=-1 if wait else 0)
    except filelock.Timeout:
        raise OutputError(
            f"{folder} is in use by {_who(folder)}; wait until that has ended, or name another "
            "folder with --out"
        ) from None
    except (OSError, NotImplementedError) as error:
        raise _unwritable(folder, error) from error
    try:
        if not entered:
            since = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S")
            write_json(folder / WHO, {"process": os.getpid(), "since": since})
            sweep(folder, LOCK)
        yield
    finally:
        if not entered:
            (folder / WHO).unlink(missing_ok=True)
        lock.release()


@contextmanager
def alone_with(path: Path) -> Iterator[None]:
    """Keep other processes from making the same file, until it is there.

    What one that was killed had begun to write in its place is removed.

    Raises:
        OutputError: another process makes it, or its folder cannot be written.
    """
    mark = path.with_name(f".{path.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(mark, thread_local=False, is_singleton=True)
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise OutputError(
            f"another process is making {path}; wait until that has ended, or name another --out"
        ) from None
    except (OSError, NotImplementedError) as error:
        raise _unwritable(path, error) from error
    try:
        sweep_beside(path)
        yield
    finally:
        mark.unlink(missing_ok=True)
        lock.release()


def _unwritable(path: Path, error: Exception) -> OutputError:
    reason = getattr(error, "strerror", None) or error
    return OutputError(f"cannot write {path}: {reason}; name another with --out")


def is_empty(folder: Path) -> bool:
    """Whether a folder is not there, or nothing is in it."""
    if not folder.is_dir():
        return not folder.exists()
    return all(inside.name in (LOCK, WHO) for inside in folder.iterdir())


def _who(folder: Path) -> str:
    """Which process holds a folder, in words."""
    try:
        found = read_json(folder / WHO)
        return f"process {found['process']} since {found['since']}"
    except (StoreError, KeyError, TypeError):  # it has not said so yet
        return "another process"
