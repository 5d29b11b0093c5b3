"""Fixtures: mirrors on this machine, small IDX files, the real data where there is some."""

import gzip
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
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
