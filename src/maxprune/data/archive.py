"""The files of a packed tar archive, straight from its stream: nothing is put on the disk."""

from __future__ import annotations

import gzip
import lzma
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from maxprune.errors import DataError, first_line

AGAIN = "delete it and get it again"
_CHUNK = 1 << 20
_DAMAGE = (
    tarfile.TarError, lzma.LZMAError, zlib.error, gzip.BadGzipFile, EOFError, ValueError,
    OverflowError,  # of tarfile, for sizes beyond 64 bits
)  # fmt: skip


def members(path: Path, largest: int, limit: int) -> Iterator[tuple[str, bytes]]:
    """The regular files of a `.tar.gz` or `.tar.xz`, in its order, each read whole.

    Neither names nor sizes are trusted: no name becomes a path, a file is read only once its size
    is known to be in bounds, and folders are passed over. The archive is unpacked to its very end,
    so its own checksum has been compared when the last file has been given.

    Args:
        path: the archive; its packing is told by the end of its name.
        largest: bytes that one file has at most.
        limit: bytes that the archive has at most when it is unpacked, headers included.

    Yields:
        The name inside the archive and the bytes of each file.

    Raises:
        DataError: no such archive, damaged, or a member that is neither a folder nor a regular
            file, or over its limit.
    """
    try:
        with lzma.open(path) if path.suffix == ".xz" else gzip.open(path) as unpacked:
            stream = _Bounded(unpacked, path, limit)
            with tarfile.open(fileobj=cast(IO[bytes], stream), mode="r|") as archive:
                for member in archive:
                    if not member.isdir():
                        yield member.name, _content(archive, member, path, largest)
            while stream.read(_CHUNK):
                pass
    except _DAMAGE as error:
        raise DataError(f"{path} is damaged ({first_line(error)}); {AGAIN}") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path, largest: int) -> bytes:
    """The bytes of one regular file."""
    if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
        raise DataError(f"{path} has {member.name!r}, which is not a regular file; {AGAIN}")
    if member.size > largest:
        raise DataError(
            f"{path} has {member.name!r} of {member.size} bytes, expected at most {largest}; "
            f"{AGAIN}"
        )
    file = archive.extractfile(member)
    return b"" if file is None else file.read()


class _Bounded:
    """A stream that is refused once it has given more than its limit."""

    def __init__(self, stream: lzma.LZMAFile | gzip.GzipFile, path: Path, limit: int) -> None:
        self.stream, self.path, self.limit = stream, path, limit
        self.left = limit

    def read(self, size: int) -> bytes:
        """At most `size` bytes."""
        chunk = self.stream.read(size)
        self.left -= len(chunk)
        if self.left < 0:
            raise DataError(f"{self.path} unpacks to more than {self.limit} bytes; {AGAIN}")
        return chunk
