"""Fixtures: mirrors here, small IDX files and CIFAR-10s, the real data where there is some."""

import gzip
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from cifar10_helpers import (
    BATCHES,
    COPY,
    LAST,
    PUBLISHED,
    TEST,
    TRAIN,
    Files,
    jpeg,
    module,
    put,
    trust,
)
from data_helpers import Mirror, idx_bytes


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Mirror()
    yield server
    server.close()


@pytest.fixture
def second(mirror: Mirror) -> Iterator[Mirror]:
    server = Mirror()
    yield server
    server.close()


@pytest.fixture
def values() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, 3, 4), dtype=np.uint8)


@pytest.fixture
def plain(values: np.ndarray) -> bytes:
    return idx_bytes(values)


@pytest.fixture
def packed(plain: bytes) -> bytes:
    return gzip.compress(plain, mtime=0)


@pytest.fixture
def real_data() -> Path:
    """The folder of real datasets, where this machine has one."""
    named = os.environ.get("MAXPRUNE_DATA")
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    folder = Path(named) if named else beside
    if not (folder / "mnist").is_dir():
        pytest.skip(f"real MNIST is not checked: no folder mnist in {folder}; set MAXPRUNE_DATA")
    return folder


@pytest.fixture
def cifar10_of_30(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No data folder of this machine, an empty cache, and a CIFAR-10 of 30 pictures."""
    monkeypatch.delenv("MAXPRUNE_DATA", raising=False)
    monkeypatch.setenv("MAXPRUNE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "_TRAIN", TRAIN)
    monkeypatch.setattr(module, "_TEST", TEST)


@pytest.fixture
def batches(cifar10_of_30: None) -> Files:
    """The published files, with their two companions, in another order."""
    draw = np.random.default_rng(0)
    records = draw.integers(0, 256, (TRAIN + TEST, 3073), dtype=np.uint8)
    records[:, 0] = np.arange(TRAIN + TEST) % 10
    parts = [*np.split(records[:TRAIN], 5), records[TRAIN:]]
    files: Files = {f"{os.path.dirname(LAST)}/readme.html": b"<html>"}
    files.update(zip([*BATCHES, LAST][::-1], [part.tobytes() for part in parts][::-1], strict=True))
    return {**files, f"{os.path.dirname(LAST)}/batches.meta.txt": b"airplane\n"}


@pytest.fixture
def pictures(cifar10_of_30: None) -> Files:
    """The JPEG copy, back to front."""
    draw = np.random.default_rng(1)
    names = [f"train/{one}/{n:04}.jpg" for one in module.CLASSES for n in range(TRAIN // 10)]
    names += [f"test/{one}/0000.jpg" for one in module.CLASSES]
    smooth = draw.integers(0, 256, (len(names), 4, 4, 3), dtype=np.uint8).repeat(8, 1).repeat(8, 2)
    return {name: jpeg(values) for name, values in list(zip(names, smooth, strict=True))[::-1]}


@pytest.fixture
def published(tmp_path: Path, batches: Files, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root with the published archive, whose MD5 is in the place of the true one."""
    root = put(tmp_path / "root", PUBLISHED, batches)
    trust(root, monkeypatch)
    return root


@pytest.fixture
def copied(tmp_path: Path, pictures: Files) -> Path:
    """A root with the JPEG copy."""
    return put(tmp_path / "root", COPY, pictures)
