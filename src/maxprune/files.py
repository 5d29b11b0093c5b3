"""Files are written whole or not at all."""

from __future__ import annotations

import contextlib
import glob
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from maxprune.errors import OutputError, StoreError

TEMPORARY = re.compile(r"\.(?P<name>.+)\.[a-z0-9_]{8}\.part")
"""How a file or folder is called until it is whole."""


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; what was written there becomes `path` on success.

    A reader sees the old file or the new one, never a part. On any error the temporary file is
    removed and `path` is as it was.

    Raises:
        OutputError: the folder cannot be written, or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        os.close(handle)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def sweep(folder: Path, lock: str) -> None:
    """Remove what a process that was killed had begun to write.

    Args:
        folder: nobody else writes there now.
        lock: folders inside that have a file of this name are left alone: others may be there.
    """
    for inside in folder.iterdir():
        if TEMPORARY.fullmatch(inside.name):
            _remove(inside)
        elif inside.is_dir() and not inside.is_symlink() and not (inside / lock).exists():
            sweep(inside, lock)


def sweep_beside(path: Path) -> None:
    """Remove what a process that was killed had begun to write in the place of one file."""
    for beside in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        found = TEMPORARY.fullmatch(beside.name)
        if found is not None and found["name"] == path.name:
            _remove(beside)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all."""
    with atomic(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write `content` to `path` in UTF-8, whole or not at all."""
    write_bytes(path, content.encode())


def write_json(path: Path, content: Any) -> None:
    """Write `content` as indented JSON, whole or not at all.

    Raises:
        OutputError: it cannot be written, or is not JSON (NaN and infinities are not).
    """
    try:
        text = json.dumps(content, indent=1, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise OutputError(f"cannot write {path}: the content is not JSON ({error})") from error
    write_text(path, text + "\n")


def read_bytes(path: Path) -> bytes:
    """Read a whole file.

    Raises:
        StoreError: there is no such file, or it cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise StoreError(f"{path} does not exist") from error
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror or error}") from error


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        StoreError: there is no such file, or it is not JSON (NaN and infinities are not).
    """
    return parse_json(read_bytes(path), path)


def parse_json(content: bytes, path: Path) -> Any:
    """Read JSON in UTF-8 that was read from `path`.

    Raises:
        StoreError: it is not JSON (NaN and infinities are not).
    """
    try:
        return json.loads(content.decode(), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{path} is damaged: not JSON ({error})") from error


def safetensors_header(content: bytes) -> tuple[dict[str, Any], int]:
    """The header of a safetensors file, and where the numbers begin.

    Raises:
        ValueError: it is none.
    """
    start = 8 + int.from_bytes(content[:8], "little")
    return dict(json.loads(content[8:start])), start


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number of JSON")


def is_file(path: str | Path) -> bool:
    """Whether there is a regular file; never an error, also where a link leads nowhere.

    `Path.is_file` fails for what a link says that is longer than any path.
    """
    return os.path.isfile(path)


def is_folder(path: str | Path) -> bool:
    """Whether there is a folder; as `is_file`."""
    return os.path.isdir(path)
