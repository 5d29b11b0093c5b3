"""A disk that gets full, and one that nobody may write to, in the middle of a run."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import call
from killing import left_by

OWN = """
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import maxprune

@maxprune.factory
def build() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 48), nn.ReLU(), nn.Linear(48, 2))

def loaders():
    x = torch.randn(64, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    loader = DataLoader(TensorDataset(x, (x.sum((1, 2, 3)) > 0).long()), 32)
    return loader, loader, loader
"""
SIZES = (24, 120, 1024)  # KiB


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZES[0]}k", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may make a small disk here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def remount(disk: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(disk)], check=True)


def arguments(folder: Path) -> tuple[object, ...]:
    own = folder / "disk_own.py"
    own.write_text(OWN)
    return (
        "compress", f"{own}:build", "--data", f"{own}:loaders", "--method", "taylor", "--share",
        0.3, "--iterations", 2, "--train-epochs", 2, "--epochs", 2, "--zero", 30, "--bits", 2,
    )  # fmt: skip


def test_a_disk_that_is_full_and_then_read_only_loses_nothing(
    disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = arguments(tmp_path)
    (tmp_path / "roomy").mkdir()
    assert call(monkeypatch, capsys, *asked, "--out", tmp_path / "roomy" / "out")[0] == 0
    expected = left_by(tmp_path / "roomy")
    ends, kept = [], set[Path]()
    for size in SIZES:
        remount(disk, f"size={size}k")
        code, _, err = call(monkeypatch, capsys, *asked, "--out", disk / "out", "--resume")
        ends.append(code)
        steps = {*(disk / "out" / "steps").glob("*/model.json")}
        assert kept <= steps  # what was finished is still there
        kept = steps
        if code:
            said = [line for line in err.splitlines() if line.startswith("maxprune: ")]
            assert said[-1:] == err.splitlines()[-1:]
            assert "No space left on device" in said[-1]
            assert "Traceback" not in err
            assert not list(disk.rglob(".*.part"))
    assert ends == [2, 2, 0]
    assert left_by(disk) == expected
    remount(disk, "ro")
    for more in (("--out", disk / "out", "--resume"), ("--out", disk / "new")):
        code, _, err = call(monkeypatch, capsys, *asked, *more)
        assert code == 2
        assert err.endswith(": Read-only file system; name another with --out\n")
        assert left_by(disk) == expected
