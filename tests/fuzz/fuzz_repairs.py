"""Checksums made to fit, so that damage is not caught by them alone: anybody can write a file."""

from __future__ import annotations

import hashlib
import io
import re
import struct
import zipfile
import zlib

BLOCK = 512  # bytes of a header of tar
FIELD = b'"checksum": "'


def tar(content: bytes) -> bytes:
    """The checksum of every block that could be a header."""
    found = bytearray(content)
    for start in range(0, len(found) - BLOCK + 1, BLOCK):
        block = found[start : start + BLOCK]
        if block[257:262] == b"ustar" and re.fullmatch(rb"[0-7]{6}\0 ", block[148:156]):
            block[148:156] = b" " * 8
            found[start + 148 : start + 156] = b"%06o\0 " % sum(block)
    return bytes(found)


def png(content: bytes) -> bytes:
    """The checksum of every chunk."""
    found, at = bytearray(content), 8
    if content[:8] != b"\x89PNG\r\n\x1a\n":
        return content
    while at + 12 <= len(found):
        end = at + 8 + int.from_bytes(found[at : at + 4], "big")
        if end + 4 > len(found):
            break
        found[end : end + 4] = struct.pack(">I", zlib.crc32(found[at + 4 : end]))
        at = end + 4
    return bytes(found)


def description(content: bytes) -> bytes:
    """`model.json`: the checksum in its last field."""
    content = content.replace(b'"checksum":"', FIELD)
    if FIELD not in content:
        content = content.rstrip().removesuffix(b"}") + b", " + FIELD + b"0" * 64 + b'"}'
    start = content.rfind(FIELD) + len(FIELD)
    zeroed = content[:start] + b"0" * 64 + content[start + 64 :]
    return zeroed[:start] + hashlib.sha256(zeroed).hexdigest().encode() + zeroed[start + 64 :]


def model_file(content: bytes) -> bytes:
    """A `.maxprune` file: its comment."""
    return content[:-64] + hashlib.sha256(content[:-64]).hexdigest().encode()


def coded(content: bytes) -> bytes:
    """A coded file: the checksum behind its first five bytes."""
    digest = hashlib.blake2b(content[:5] + content[13:], digest_size=8).digest()
    return content[:5] + digest + content[13:]


def checkpoint(content: bytes) -> bytes:
    """A checkpoint: the checksum in front."""
    return hashlib.sha256(content[32:]).digest() + content[32:]


def archived(archive: bytes, member: str, content: bytes) -> bytes:
    """A zip archive with other content in one of its members."""
    found = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(found, "w") as new:
        for name in old.namelist():
            new.writestr(zipfile.ZipInfo(name), content if name == member else old.read(name))
    return found.getvalue()
