"""Targets of `maxprune.data` and `maxprune.pictures`: files of data sets, archives, pictures."""

from __future__ import annotations

import functools
import gzip
import importlib
import io
import json
import lzma
import math
import os
import shutil
import struct
import tarfile
from pathlib import Path
from unittest import mock

import fuzz_repairs
import numpy as np
from fuzz_target import Target, folder, of_file
from PIL import Image

from maxprune.data import decoded, lfw_files, shards
from maxprune.data.archive import members
from maxprune.data.folder import read_folder
from maxprune.data.idx import read_idx
from maxprune.data.index import Shard
from maxprune.data.pairs_file import read_pairs
from maxprune.pictures import pillow, read_picture

SIZE = (3, 5, 4)  # of the pictures of a folder
PICTURES = (
    256 << 20
)  # bytes that one of at most 2^24 pixels takes, in all the forms it goes through
KEY, SHAPE = "0" * 64, (2, 3)  # of what is kept decoded
cifar10 = importlib.import_module(
    "maxprune.data.cifar10"
)  # its name in the package is the function


def _idx() -> list[bytes]:
    found = []
    for shape in ((5,), (2, 3), (2, 3, 4), (1, 2, 1, 2), (0, 3)):
        header = bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape)
        found.append(header + bytes(range(math.prod(shape))))
    return [*found, *map(gzip.compress, found), gzip.compress(found[0]) + gzip.compress(b"")]


def _pairs() -> list[bytes]:
    lines = ["2\t1", "Ada\t1\t2", "Ada\t1\tBen\t3", "Zoë_Q\t4\t20", "Ben\t3\tCy-D.\t9999"]
    return ["\n".join(lines).encode() + b"\n", "\r\n".join(lines).encode()]


def _jpeg(side: int = 32) -> bytes:
    return _picture("JPEG", "RGB", side)


def _picture(kind: str, mode: str, side: int = 9, **settings: object) -> bytes:
    values = np.random.default_rng(0).integers(0, 256, (side, side + 1, 4), dtype=np.uint8)
    image = Image.fromarray(values, "RGBA")
    if mode == "I;16":
        image = Image.fromarray(values[..., 0].astype(np.uint16) * 257)
    elif mode != "RGBA":
        image = image.convert(mode)
    file = io.BytesIO()
    image.crop((0, 0, side, side)).save(file, kind, **settings)
    return file.getvalue()


def _tar(names: list[str], content: bytes) -> bytes:
    """An archive of files, of which names that end in a slash are folders, and of a link."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name in names:
            member = tarfile.TarInfo(name.rstrip("/"))
            member.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            member.size = len(content) if member.isfile() else 0
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()[: 512 * (2 * len(names) + 4)]  # not all of the zeros at its end


@functools.cache
def _tars() -> list[bytes]:
    long = "lfw/" + "A" * 120 + ".jpg"
    return [
        _tar(["lfw/", "lfw/Ada/Ada_0001.jpg", "lfw/Ben/Ben_0002.jpg"], b"picture"),
        _tar(["train/", "train/cat/0000.jpg", "test/dog/0001.jpg"], b"another"),
        _tar([long, "é/é_0001.jpg"], b"x"),
    ]


def _archive(suffix: str, limit: int = 1 << 22) -> Target:
    """An archive as it comes, packed."""
    pack = lzma.compress if suffix == ".xz" else gzip.compress
    return Target(
        f"archive{suffix}",
        of_file(lambda path: list(members(path, 1 << 16, limit)), f"archive.tar{suffix}"),
        lambda: [pack(content) for content in _tars()] + [pack(bytes(1 << 20))],
    )


def _packed(content: bytes, name: str) -> Path:
    """A tar archive, packed here, so that damage is to what is in it."""
    path = folder() / name
    path.write_bytes(gzip.compress(content, 1) if name.endswith("gz") else lzma.compress(content))
    return path


def _shards() -> list[bytes]:
    """Tars with files *.cls beside pictures, and with pictures in folders of classes."""
    numbered = _tar(["a.png", "a.cls", "b/c.png", "b/c.cls"], b"1")
    return [*_tars(), numbered, numbered + bytes(10240)]


def _read_shard(content: bytes) -> object:
    """The index of a shard, from its headers and from what the cache keeps of it."""
    path = folder() / "train-0.tar"
    path.write_bytes(content)
    found = shards._scanned(Shard.at(path))
    kept = shards.Content.model_validate_json(found.model_dump_json())
    with mock.patch.object(shards, "_content", return_value=kept):
        return shards.shard_index([path])


def _read_kept(content: bytes) -> object:
    """The index of shards of which the cache keeps these bytes."""
    path = folder() / "train-0.tar"
    path.write_bytes(b"")
    kept = shards.kept(of_file(lambda place: place, "kept.json")(content))
    with mock.patch.object(shards, "_content", return_value=kept):
        return None if kept is None else shards.shard_index([path])


def _kept() -> list[bytes]:
    found = {"size": 4096, "changed": 1, "names": ["a.png", "b.png"], "starts": [512, 2048],
             "counts": [7, 8], "labels": [0, 1]}  # fmt: skip
    named = {**found, "names": ["x/a.png", "y/b.png"], "labels": None}
    return [json.dumps(one).encode() for one in (found, named)]


def _decoded() -> list[bytes]:
    content = np.arange(6, dtype=np.uint8)
    return [decoded._line(KEY, content) + content.tobytes()]


@functools.cache
def _pictures() -> list[bytes]:
    exif = Image.Exif()
    exif[0x0112] = 6  # on its side
    found = [_picture("JPEG", "RGB", exif=exif), _picture("JPEG", "L"), _picture("JPEG", "CMYK")]
    found += [_picture("JPEG", "RGB", progressive=True)]
    found += [_picture("PNG", mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")]
    found += [_picture("PNG", "P", transparency=3), _picture("PNG", "RGB", exif=exif)]
    found += [_picture("BMP", mode) for mode in ("1", "L", "P", "RGB", "RGBA")]
    found += [_picture("GIF", "P", save_all=True, append_images=[Image.new("P", (4, 4))])]
    found += [_picture("GIF", "P", transparency=1), _picture("WEBP", "RGBA", lossless=True)]
    found += [_picture("WEBP", "RGB"), _picture("PPM", "RGB"), _picture("PPM", "L")]
    found += [b"P3 2 1 255\n1 2 3 4 5 6\n", b"P1\n2 2\n1 0 0 1\n", b"P5 2 1 65535\n\1\2\3\4"]
    ways = (None, "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "group4")
    for way in ways:
        mode = "1" if way == "group4" else "RGB"
        found.append(_picture("TIFF", mode, compression=way))
    return found


def _read_picture(content: bytes) -> object:
    with pillow():
        return read_picture(io.BytesIO(content)), read_picture(io.BytesIO(content), (1, 8, 8))


TREE = [b"dtrain\ndtrain/cat\nftrain/cat/1.png\ndtrain/dog\nftrain/dog/2.JPG\ndtest/cat/deep\n"
        b"ftest/cat/deep/a.gif\nltest/dog\ttrain/dog\nwREADME.txt\n",
        b"dtrain/x\nftrain/x/1.png\nltrain/x/up\t..\nltrain/x/2.png\t1.png\nltrain/y\tx\n"
        b"ltrain/loop\tloop\nftrain/.hidden/1.png\nwtrain/x/bad.png\n",
        b"dlfw\nflfw/Ada/Ada_0001.jpg\nflfw/Ben/Ben_0002.jpg\nflfw/Ben/Ben_0010.jpg\n"]  # fmt: skip
"""A line each: folder, picture, other file or link, by its name; names are joined below a root."""


def _grown(content: bytes) -> Path:
    """A folder with what the lines say; what no system would make is left out."""
    root = folder() / "tree"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    picture = _picture("PNG", "RGB", 4)
    for line in content.split(b"\n")[:40]:
        name, _, aim = line[1:].partition(b"\t")
        parts = [part for part in name.split(b"/") if part not in (b"", b".", b"..")]
        try:
            path = Path(os.fsdecode(os.path.join(os.fsencode(root), *parts)))
            path.parent.mkdir(parents=True, exist_ok=True)
            match line[:1]:
                case b"d":
                    path.mkdir(exist_ok=True)
                case b"l":
                    path.symlink_to(os.fsdecode(aim))
                case b"f" | b"w":
                    path.write_bytes(picture if line[:1] == b"f" else name)
        except (OSError, ValueError, RecursionError):  # pathlib's, for folders in folders in ...
            continue
    return root


def _read_tree(content: bytes) -> object:
    """All three ways in which folders are read."""
    root = _grown(content)
    found: list[object] = []
    refused: list[Exception] = []
    for read in (
        lambda: read_folder(root, SIZE, "skip"),
        lambda: read_folder(root),
        lambda: lfw_files.folder_key(lfw_files.in_folder(root / "lfw")),
    ):
        try:
            found.append(read())
        except Exception as error:
            refused.append(error)
    for error in refused:
        raise error
    return found


TARGETS = [
    Target("idx", of_file(read_idx), _idx),
    Target(
        "idx-packed", lambda content: read_idx(_packed(content, "idx.gz")), lambda: _idx()[:5]
    ),
    Target("pairs", of_file(read_pairs), _pairs),
    _archive(".gz"),
    _archive(".xz"),
    Target(
        "archive-members",
        lambda content: list(members(_packed(content, "inner.tar.gz"), 1 << 16, 1 << 22)),
        _tars, fuzz_repairs.tar,
    ),
    Target(
        "lfw-archive",
        lambda content: list(lfw_files.in_archive(_packed(content, "lfw.tgz"))),
        _tars, fuzz_repairs.tar,
    ),
    Target(
        "cifar10-copy",
        lambda content: cifar10._copy(_packed(content, "cifar10.tar.gz")),
        lambda: [*_tars(), _tar(["train/cat/0000.jpg", "test/dog/0001.jpg"], _jpeg())],
        fuzz_repairs.tar,
    ),
    Target("shard", _read_shard, _shards, fuzz_repairs.tar),
    Target("shard-kept", _read_kept, _kept, form="json"),
    Target("decoded", of_file(lambda path: decoded._load(path, KEY, SHAPE)), _decoded),
    Target("pictures", _read_picture, _pictures, fuzz_repairs.png, free=PICTURES),
    Target("picture-folder", _read_tree, lambda: TREE),
]  # fmt: skip
