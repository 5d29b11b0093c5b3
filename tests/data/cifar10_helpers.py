"""A CIFAR-10 of 30 pictures: its archives in both forms."""

import hashlib
import importlib
import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maxprune.data import cifar10
from maxprune.errors import DataError

module = importlib.import_module("maxprune.data.cifar10")  # its name in the package is the function
PUBLISHED, COPY = "cifar-10-binary.tar.gz", "cifar10-jpg.tar.xz"
TRAIN, TEST = 20, 10  # pictures; so 4 a batch, and 2 and 1 a class
BATCHES = [f"cifar-10-batches-bin/data_batch_{number}.bin" for number in range(1, 6)]
LAST = "cifar-10-batches-bin/test_batch.bin"
Files = dict[str, bytes | tarfile.TarInfo]


def jpeg(values: np.ndarray, kind: str = "JPEG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(values).save(file, kind)
    return file.getvalue()


def packed(files: Files, kind: str) -> bytes:
    """A tar archive of these files and their folders; a TarInfo is a member without content."""
    buffer = io.BytesIO()
    options = {"preset": 0} if kind == "xz" else {"compresslevel": 1}
    with tarfile.open(fileobj=buffer, mode=f"w:{kind}", **options) as archive:
        for folder in sorted({os.path.dirname(name) for name in files}):
            member = tarfile.TarInfo(folder or ".")
            member.type = tarfile.DIRTYPE
            archive.addfile(member)
        for name, content in files.items():
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
            else:
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def put(folder: Path, name: str, files: Files | bytes) -> Path:
    """Write an archive into `folder`/cifar10; the root."""
    content = files if isinstance(files, bytes) else packed(files, name[-2:])
    (folder / "cifar10").mkdir(parents=True, exist_ok=True)
    (folder / "cifar10" / name).write_bytes(content)
    return folder


def trust(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = (root / "cifar10" / PUBLISHED).read_bytes()
    monkeypatch.setattr(module, "_MD5", hashlib.md5(content).hexdigest())  # noqa: S324


def refused(root: Path, **options: object) -> str:
    with pytest.raises(DataError) as caught:
        cifar10(root, **options)
    assert str(caught.value).isprintable()  # so of one line
    return str(caught.value)


def link(name: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, "/etc/hostname"
    return member
