"""A folder in which a run goes on: by one process at a time, and by the same run only."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import call, run

from maxprune.runs.alone import WHO

OWN = """
import pathlib, time
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

class Net(nn.Sequential):
    def forward(self, x):
        return super().forward(x.flatten(1))

def build():
    return Net(nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 2))

def pictures(seed):
    x = torch.randn(64, 1, 4, 4, generator=torch.Generator().manual_seed(seed))
    loader = DataLoader(TensorDataset(x, (x.sum((1, 2, 3)) > 0).long()), 32)
    return loader, loader, loader

def loaders():
    return pictures(0)

def others():
    return pictures(1)

def fit(network, data):
    while not pathlib.Path(__file__).with_name("go").exists():
        time.sleep(0.05)
"""


def arguments(folder: Path, data: str = "loaders", share: float = 0.5) -> tuple[object, ...]:
    own = folder / "resume_own.py"
    return (
        "compress", f"{own}:build", "--data", f"{own}:{data}", "--fit", f"{own}:fit",
        "--method", "random", "--share", share, "--iterations", 1, "--train-epochs", 0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, subprocess.Popen[str]]]:
    """A run that waits in its folder, in a process of its own."""
    folder = tmp_path_factory.mktemp("resume")
    (folder / "resume_own.py").write_text(OWN)
    command = [sys.executable, "-m", "maxprune", *map(str, arguments(folder)), "--resume"]
    command += ["--out", str(folder / "out")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not (folder / "out" / "run.json").exists():
        time.sleep(0.05)
    yield folder, process
    process.kill()
    process.wait()
    if process.stderr is not None:
        process.stderr.close()


def test_a_second_process_is_refused_and_a_third_goes_on_after_a_kill(
    begun: tuple[Path, subprocess.Popen[str]],
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    folder, process = begun
    monkeypatch.setattr(sys, "path", [*sys.path])
    for more in ((), ("--resume",)):
        code, _, err = call(monkeypatch, capsys, *arguments(folder), "--out", folder / "out", *more)
        assert code == 2
        assert f"out is in use by process {process.pid} since 20" in err
        assert err.count("\n") == 1
    process.kill()
    said = process.communicate()[1]
    assert f"there is nothing in {folder / 'out'} to go on with; a new run begins" in said
    (folder / "go").touch()
    run(folder / "out", *arguments(folder), "--resume")
    assert (folder / "out" / "report.html").exists()
    assert not (folder / "out" / WHO).exists()


def test_another_run_is_refused_in_the_words_of_the_user(
    begun: tuple[Path, subprocess.Popen[str]],
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    folder, process = begun
    process.kill()
    process.wait()
    own = folder / "resume_own.py"
    monkeypatch.setattr(sys, "path", [*sys.path])

    def refused(text: str = OWN, **other: object) -> str:
        own.write_text(text)
        sys.modules.pop("resume_own", None)
        asked = arguments(folder, **other)  # type: ignore[arg-type]
        code, _, err = call(monkeypatch, capsys, *asked, "--out", folder / "out", "--resume")
        assert code == 2
        assert err.count("\n") == 1
        assert err.startswith(f"maxprune: {folder / 'out'} holds a run of `maxprune compress`, ")
        return err.partition("`, ")[2]

    assert refused(share=0.4).startswith(
        "started with --share 0.5; this one is started with --share 0.4; name another folder"
    )
    assert refused(data="others").startswith("but the pictures are others than when it began; name")
    changed = OWN.replace("super().forward(x", "-super().forward(x")
    assert refused(changed).startswith(
        "but the class Net in resume_own.py has changed since it began; undo that, or name another"
    )
    assert refused(OWN.replace("sleep(0.05)", "sleep(0.1)")).startswith(
        "but the function fit in resume_own.py has changed"
    )
    assert refused(OWN.replace("randn(64", "randn(32 + 32")).startswith(
        "but resume_own.py, which gives the data, has changed"
    )


def test_a_file_is_no_folder_for_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    code, _, err = call(
        monkeypatch, capsys, "demo", "--iterations", 1, "--out", tmp_path / "file", "--resume"
    )
    assert code == 2
    says = "is a file, where a folder is wanted; name another with --out"
    assert err == f"maxprune: {tmp_path / 'file'} {says}\n"
