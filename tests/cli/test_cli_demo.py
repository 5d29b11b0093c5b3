"""The demo as a stranger uses it: it works, it resumes, and errors are one line."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from command_line import call, run

import maxprune
from maxprune.results import Results

TINY = ("--fc", "16", "--iterations", "40")


def timeless(path: Path) -> dict:
    """A results file without its timings."""
    content = json.loads(path.read_text())
    for step in [*content["steps"], *([content["control"]] if content["control"] else [])]:
        step["seconds"] = 0
    content["details"]["command"] = ""
    return content


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("demo") / "out", "demo", *TINY)


def test_demo_prints_its_table(demo: Path) -> None:
    said = (demo / "said.txt").read_text()
    results = Results.read(demo / "results.json")
    for step in results.steps:
        row = [line for line in said.splitlines() if line.startswith(step.name + " ")][-1]
        assert f"{step.parameters:,}" in row
        assert f"{100 * step.removed:.2f}" in row
        assert f"{step.accuracy:.2f}" in row
        assert f"{step.bytes:,}" in row
    assert "report.html" in said


def test_demo_writes_what_it_says(demo: Path) -> None:
    results = Results.read(demo / "results.json")
    names = ["maxout k=4", "maxout k=3", "maxout k=2", "maxout k=1", "weights 70%", "70%, 5 bits"]
    assert [step.name for step in results.steps] == names
    assert results.study == "demo"
    assert results.dataset == "digits"
    before, last = results.steps[-2:]
    assert last.zeroed == pytest.approx(0.7, abs=0.001)
    assert before.bytes == (demo / "model" / "model.safetensors").stat().st_size
    assert last.bytes == (demo / "model.mxp").stat().st_size
    assert (demo / "report.html").read_text().startswith("<!doctype html>")


def test_the_saved_model_and_the_onnx_file_are_the_network(demo: Path) -> None:
    last = Results.read(demo / "results.json").steps[-1]
    model = maxprune.load(demo / "model")
    test = maxprune.data.digits().test
    for network in (model, maxprune.load(demo / "model.mxp")):
        assert maxprune.measure.accuracy(network, test) == last.accuracy
    assert maxprune.measure.parameters(model) == last.parameters
    x, _ = test.batch(torch.arange(100))
    session = onnxruntime.InferenceSession(str(demo / "model.onnx"))
    out = session.run(None, {"input": x.numpy()})[0]
    with torch.inference_mode():
        assert np.allclose(out, model(x).numpy(), atol=1e-4)
    graph = onnx.load(str(demo / "model.onnx")).graph
    assert {node.domain for node in graph.node} <= {"", "ai.onnx"}


def test_a_second_demo_in_the_folder_needs_resume(
    demo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (demo / "results.json").read_bytes()
    code, _, error = call(monkeypatch, capsys, "demo", "--out", demo, *TINY)
    assert (code, error.count("\n")) == (2, 1)
    assert "--resume" in error
    code, _, error = call(monkeypatch, capsys, "demo", "--out", demo, *TINY, "--seed", 1)
    assert (code, error.count("\n")) == (2, 1)
    assert "started with --seed 0; this one is started with --seed 1; name another fol" in error
    assert (demo / "results.json").read_bytes() == before


def wait_for_one_more_step(steps: Path) -> None:
    """Wait until one more step is finished than now; what comes next is killed somewhere in it."""

    def count() -> int:
        return len(list(steps.glob("[!.]*/model.json"))) if steps.exists() else 0

    before, deadline = count(), time.monotonic() + 120
    while count() == before and time.monotonic() < deadline:
        time.sleep(0.02)


def test_killed_at_random_and_resumed_ends_the_same(demo: Path, tmp_path: Path) -> None:
    """Three SIGKILLs at random moments; then the results of a run that was never killed."""
    out = tmp_path / "killed"
    command = [sys.executable, "-m", "maxprune", "demo", "--out", str(out), *TINY, "--resume"]
    chance = random.Random(0)
    for _ in range(3):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for_one_more_step(out / "steps")
        time.sleep(chance.random())
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "it ended before it could be killed"
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert timeless(out / "results.json") == timeless(demo / "results.json")
    first, second = (maxprune.load(p / "model").state_dict() for p in (demo, out))
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name])


def test_a_full_disk_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("maxprune.files.os.fsync", full)
    code, _, error = call(monkeypatch, capsys, "demo", "--out", tmp_path / "out", *TINY)
    assert code == 2
    assert error.count("\n") == 1
    assert "No space left on device" in error


def test_ctrl_c_says_how_to_go_on(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "maxprune", "demo", "--out", str(out)]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's & ignores it
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not out.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130, error
    assert error == "maxprune: stopped; go on with the same command and --resume\n"


def test_a_damaged_mark_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run.json").write_text("[]")
    code, _, error = call(monkeypatch, capsys, "demo", "--out", tmp_path, "--resume")
    assert code == 2
    assert "run.json is damaged" in error
