"""The parts of a saved model, in a folder or in one file (docs/format.md).

A `.maxprune` file is a zip archive of the files of the folder, as they are, not compressed; its
comment is the SHA-256 of all bytes before it.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

from maxprune.errors import StoreError
from maxprune.files import read_bytes

DESCRIPTION = "model.json"
WEIGHTS = "model.safetensors"
GRAPH = "graph.json"
NAMES = (DESCRIPTION, WEIGHTS, GRAPH)
SUFFIX = ".maxprune"
SUFFIXES = (SUFFIX, ".mxp")  # the latter of coded files
BEGIN = b"PK\x03\x04"  # of every zip archive
DIGITS = 64
UNREADABLE = (
    zipfile.BadZipFile, ValueError, OSError, EOFError, NotImplementedError, RuntimeError,
    OverflowError, MemoryError,
)  # fmt: skip
"""What Python's zipfile raises where an archive is damaged."""

OTHERS = {
    "archive_format": (
        "is torch.export's file, which is unpickled when it is opened, so maxprune does not open "
        "it: give what it was exported from, my_net.py:build, a saved model or a coded file"
    ),
    "data.pkl": (
        "is torch.save's file, a pickle, so maxprune does not open it as a network: give what "
        "builds the network, my_net.py:build, and its state dict with --weights"
    ),
}
"""Archives of torch, by the name of a file in them."""

_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest of a zip archive, so that equal models are equal files


def is_model_file(path: str | Path) -> bool:
    """Whether a file is there and begins like a `.maxprune` file."""
    try:
        with Path(path).open("rb") as file:
            return file.read(len(BEGIN)) == BEGIN
    except OSError:
        return False


def find_part(place: Path, name: str) -> bytes | None:
    """The bytes of a part; None where a saved model has none of that name.

    Raises:
        StoreError: the file is damaged or has something else in it.
    """
    if not place.is_file():
        return read_bytes(place / name) if (place / name).exists() else None
    with _archive(place) as archive:
        if name not in archive.namelist():
            return None
        try:
            return archive.read(name)
        except UNREADABLE as error:
            raise StoreError(f"{place} is damaged: {name} cannot be read ({error})") from error


def read_part(place: Path, name: str) -> bytes:
    """The bytes of a part.

    Raises:
        StoreError: it is missing, or the file is damaged or has something else in it.
    """
    content = find_part(place, name)
    if content is None:
        raise StoreError(f"{place / name} does not exist")
    return content


def _archive(path: Path) -> zipfile.ZipFile:
    """The archive, with nothing in it but the parts, each once and not compressed."""
    content = read_bytes(path)
    if content[: len(BEGIN)] != BEGIN:
        raise StoreError(f"{path} {_of_no_archive(path, content)}")
    if content[-DIGITS:] != _digest(content[:-DIGITS]):
        raise StoreError(f"{path} {_of_others(content)}")
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
    except UNREADABLE as error:
        raise StoreError(f"{path} is no saved model: {error}") from error
    members = archive.infolist()
    names = [member.filename for member in members]
    odd = sorted({name for name in names if name not in NAMES or names.count(name) > 1})
    if odd:
        raise StoreError(f"{path} is no saved model: it has {odd[0]!r:.60} in it")
    for member in members:
        plain = member.compress_type == zipfile.ZIP_STORED and not member.flag_bits & 1
        if not plain or member.file_size != member.compress_size:
            raise StoreError(f"{path} is damaged: {member.filename} is not stored as it is")
    return archive


def _of_no_archive(path: Path, content: bytes) -> str:
    """What a file is that does not begin like a zip archive."""
    if not content:
        return "is damaged: it is empty"
    if path.suffix in SUFFIXES:
        return "is damaged: its first bytes are not those of such a file"
    return "is no saved model: it is no zip archive"


def _of_others(content: bytes) -> str:
    """What a zip archive is that has not our checksum."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = {name.rpartition("/")[2] for name in archive.namelist()}
    except UNREADABLE:
        names = set()
    for name, says in OTHERS.items():
        if name in names:
            return says
    return "is damaged: its checksum does not fit"


def as_file(parts: Mapping[str, bytes]) -> bytes:
    """The bytes of a `.maxprune` file."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        for name, part in parts.items():
            archive.writestr(zipfile.ZipInfo(name, _DATE), part)
        archive.comment = b"0" * DIGITS
    whole = content.getvalue()[:-DIGITS]
    return whole + _digest(whole)


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()
