"""The command line as a stranger uses it: it works, it resumes, and errors are one line."""

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
from command_line import call

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
    out = tmp_path_factory.mktemp("demo") / "out"
    command = [sys.executable, "-m", "maxprune", "demo", "--out", str(out), *TINY]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (out / "said.txt").write_text(done.stdout)
    return out


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
    names = ["maxout k=4", "maxout k=3", "maxout k=2", "maxout k=1", "weights 70%"]
    assert [step.name for step in results.steps] == names
    assert results.study == "demo"
    assert results.dataset == "digits"
    last = results.steps[-1]
    assert last.zeroed == pytest.approx(0.7, abs=0.001)
    assert last.bytes == (demo / "model" / "model.safetensors").stat().st_size
    assert (demo / "report.html").read_text().startswith("<!doctype html>")


def test_the_saved_model_and_the_onnx_file_are_the_network(demo: Path) -> None:
    last = Results.read(demo / "results.json").steps[-1]
    model = maxprune.load(demo / "model")
    test = maxprune.data.digits().test
    assert maxprune.measure.accuracy(model, test) == last.accuracy
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
    assert "another run" in error
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


def test_the_grid_fills_tables_and_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "grid"
    shared = ("--fc", 8, "--seeds", 2, "--iterations", 12, "--dataset", "digits", "--jobs", 2,
              "--out", out, "--network", "mfc")  # fmt: skip
    code, said, error = call(monkeypatch, capsys, "reproduce", "table1", *shared)
    assert code == 0, error
    assert "control" in said
    table = json.loads((out / "table1.json").read_text())["records"]
    steps = ["no maxout", "maxout k=4", "maxout k=3", "maxout k=2", "maxout k=1", "control"]
    assert [cell["step"] for cell in table] == steps
    for cell in table:
        assert cell["mean"] == pytest.approx(sum(cell["accuracies"]) / 2)
        assert cell["seeds"] == [0, 1]
    code, _, error = call(monkeypatch, capsys, "reproduce", "table2", *shared)
    assert code == 2
    assert "--resume" in error
    code, _, error = call(monkeypatch, capsys, "reproduce", "table2", *shared, "--resume")
    assert code == 0, error
    table = json.loads((out / "table2.json").read_text())["records"]
    assert [cell["step"] for cell in table][-1] == "weights 98%"
    assert all(abs(c["zeroed"] - float(c["step"][8:-1]) / 100) < 0.01 for c in table[1:])
    code, _, error = call(monkeypatch, capsys, "reproduce", "figure1", *shared, "--resume")
    assert code == 0, error
    assert (out / "figure1.svg").read_text().startswith("<svg")
    for curve in json.loads((out / "figure1.json").read_text())["records"]:
        assert len(curve["zeroed"]) == len(curve["alive"])
        assert curve["alive"][0] == 1.0
        assert curve["retrained"] or curve["alive"] == sorted(curve["alive"], reverse=True)
    # The steps of table1 and its control are still there after table2 and figure1.
    results = Results.read(out / "mfc-8-seed0" / "results.json")
    assert len(results.steps) == 12
    assert results.control is not None
    code, _, error = call(
        monkeypatch, capsys, "reproduce", "table1", *shared, "--resume", "--paper"
    )
    assert code == 2
    assert "another run (training average: 0.5 there, 0.0 here)" in error


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("demo", "--k", "3"), "does not divide"),
        (("demo", "--k", "1"), "at least k = 2"),
        (("demo", "--layer", "fc9"), "no layer 'fc9'"),
        (("demo", "--layer", "fc2"), "output layer"),
        (("demo", "--weights", "120"), "between 0 and 100"),
        (("demo", "--weights", "many"), "between 0 and 100"),
        (("demo", "--weights", "0.7"), "percentage: 70, not 0.7"),
        (("demo", "--weights", "99.99", "--fc", "16"), "takes every weight"),
        (("demo", "--iterations", "0"), "at least 1"),
        (("demo", "--k", "two"), "--help"),
        (("demo", "--nonsense"), "--nonsense"),
        (("frobnicate",), "frobnicate"),
        (("reproduce", "table1", "--network", "vgg"), "mfc, mc"),
        (("reproduce", "table1", "--fc", "0"), "--fc"),
        (("reproduce", "table1", "--fc", "10", "--dataset", "digits"), "does not divide"),
        (("reproduce", "table1", "--seeds", "0"), "--seeds"),
        (("reproduce", "table1", "--jobs", "-1"), "--jobs"),
        (("demo", "--weights", "0.5%", "--k", "3"), "does not divide"),
        (("reproduce", "table1", "--dataset", "imagenet"), "imagenet"),
        (("reproduce", "table1", "--data", "/nowhere/at/all"), "/nowhere/at/all"),
        (("reproduce", "table1", "--accounting", "--network", "vgg"), "mfc, mc"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, error = call(monkeypatch, capsys, *arguments)
    assert code == 2
    assert out == ""
    assert error.count("\n") == 1
    assert words in error
    assert list(tmp_path.iterdir()) == []


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


@pytest.mark.parametrize("arguments", [(), ("reproduce",)])
def test_without_a_command_there_is_help(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    code, out, _ = call(monkeypatch, capsys, *arguments)
    assert code == 0
    assert "Commands:" in out


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


def test_all_sizes_are_checked_before_any_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--dataset", "digits", "--fc", 16, "--fc", 10, "--out", tmp_path / "grid")
    code, _, error = call(monkeypatch, capsys, "reproduce", "table1", *options)
    assert code == 2
    assert "does not divide the 10 neurons" in error
    assert not (tmp_path / "grid").exists()


def test_a_damaged_mark_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run.json").write_text("[]")
    code, _, error = call(monkeypatch, capsys, "demo", "--out", tmp_path, "--resume")
    assert code == 2
    assert "run.json is damaged" in error


def test_inspect_prints_tables_and_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "maxprune.networks:lenet5"
    code, out, _ = call(monkeypatch, capsys, "inspect", name, "--input", "1x28x28")
    assert code == 0
    assert "440,812 parameters" in out
    assert "Where a maxout pays" in out
    code, out, _ = call(
        monkeypatch, capsys, "inspect", name, "--input", "1,28,28", "--json", "--skip", "fc1,conv1"
    )
    assert code == 0
    reasons = {layer["name"]: layer["reason"] for layer in json.loads(out)["layers"]}
    assert reasons["fc1"] == reasons["conv1"] == "it is to be skipped"
    assert reasons["conv2"] == ""


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("maxprune.networks:lenet5", "--input", "28"), "does not take an input of shape (28,)"),
        (("maxprune.networks:lenet5", "--input", "1,a"), "such as 3,32,32, not '1,a'"),
        (("maxprune.networks:lenet5", "--input", "1,28,28", "--skip", "x"), "no layer 'x' to skip"),
        (("maxprune.networks:lenet6", "--input", "1,28,28"), "has no 'lenet6'"),
        (("nowhere", "--input", "1,28,28"), "'nowhere' is no network"),
        (("maxprune.networks:lenet5",), "Missing option '--input'"),
    ],
)
def test_inspect_refuses_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments, says
) -> None:
    code, out, err = call(monkeypatch, capsys, "inspect", *arguments)
    assert (code, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1


QUICK = ("--epochs", 1, "--train-epochs", 3, "--batch", 64)


@pytest.fixture(scope="module")
def compressed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the command over an own file, own loaders and own training."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "cli_net.py").write_text(
        "from torch import nn\n"
        "def build(): return nn.Sequential(nn.Conv2d(1, 4, 5), nn.ReLU(), nn.MaxPool2d(2), "
        "nn.Conv2d(4, 8, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(128, 16), "
        "nn.ReLU(), nn.Linear(16, 10))\n"
    )
    out = folder / "out"
    command = [
        sys.executable, "-m", "maxprune", "compress", str(folder / "cli_net.py:build"),
        "--data", "digits", "--method", "magnitude", "--keep-accuracy", "9", "--out", str(out),
        *map(str, QUICK),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (out / "said.txt").write_text(done.stdout)
    return out


def test_compress_prints_and_writes_what_it_found(compressed: Path) -> None:
    said = (compressed / "said.txt").read_text()
    results = Results.read(compressed / "results.json")
    search = results.details.search
    assert search is not None
    assert search.trials
    for trial in search.trials:
        assert f"{trial.step} " in said
        assert f"{trial.parameters:,}" in said
    assert "How it was found: lose less than 9 points" in said
    assert "On the test set, looked at once" in said or "No step passed" in said
    assert results.details.command.startswith("maxprune compress ")
    assert (compressed / "report.html").exists()
    session = onnxruntime.InferenceSession(compressed / "model.onnx")
    x = np.zeros((3, 1, 28, 28), dtype=np.float32)
    assert session.run(None, {"input": x})[0].shape == (3, 10)


def test_the_saved_model_opens_as_the_readme_says(compressed: Path) -> None:
    """From the folder of the network's file, and from elsewhere with --factory."""
    file = compressed.parent / "cli_net.py"
    steps, model = compressed / "steps" / "unpruned", compressed / "model"

    def run(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
        command = [str(Path(sys.executable).with_name("maxprune")), *map(str, arguments)]
        return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)

    given = ("--factory", f"{file}:build")
    for arguments in (("diff", steps, model), ("inspect", model, "--input", "1,28,28")):
        refused = run(*arguments, cwd=compressed.parent)
        assert refused.returncode == 2
        assert "is not a function under @maxprune.factory" in refused.stderr
        opened = run(*arguments, *given, cwd=compressed.parent.parent)
        assert opened.returncode == 0, opened.stderr
    marked = file.read_text().replace("def build", "import maxprune\n@maxprune.factory\ndef build")
    try:
        (compressed.parent / "cli_net.py").write_text(marked)
        opened = run("diff", steps, model, cwd=compressed.parent)
        assert opened.returncode == 0, opened.stderr
    finally:
        file.write_text(marked.replace("import maxprune\n@maxprune.factory\n", ""))
    assert "maxprune.load(" in (compressed / "said.txt").read_text()
    assert ", factory=build)" in (compressed / "said.txt").read_text()


def test_compress_goes_on_where_it_was(
    compressed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = (
        "compress", f"{compressed.parent / 'cli_net.py'}:build", "--data", "digits",
        "--method", "magnitude", "--keep-accuracy", "9", "--out", compressed, *QUICK,
    )  # fmt: skip
    before = Results.read(compressed / "results.json")
    code, _, err = call(monkeypatch, capsys, *arguments)
    assert code == 2
    assert "go on with --resume" in err
    code, _, err = call(monkeypatch, capsys, *arguments, "--resume")
    assert (code, err) == (0, "")
    after = Results.read(compressed / "results.json")
    assert after.steps == before.steps
    assert after.details.search == before.details.search


def test_compress_by_loaders_and_an_own_fit_to_a_budget_that_is_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "cli_own.py").write_text(
        "import torch, maxprune\n"
        "from torch.utils.data import DataLoader, TensorDataset\n"
        "def net(): return maxprune.networks.lenet5(fc=8, conv=(2, 4))\n"
        "def loaders():\n"
        "    data = maxprune.data.load('digits')\n"
        "    def loader(images):\n"
        "        return DataLoader(TensorDataset(*images.batch(torch.arange(len(images)))), 64)\n"
        "    return loader(data.train), loader(data.test)\n"
        "def fit(model, data):\n"
        "    for x, y in data.train.loader:\n"
        "        pass\n"
    )
    own = tmp_path / "cli_own.py"
    code, out, err = call(
        monkeypatch, capsys, "compress", f"{own}:net", "--data", f"{own}:loaders",
        "--fit", f"{own}:fit", "--train-epochs", 0, "--max-bytes", 10, "--layers", "fc1",
        "--rounds", 1, "--out", tmp_path / "out",
    )  # fmt: skip
    assert code == 2
    assert "the budget could not be met (bytes); the smallest network that was reached is" in err
    assert "There is no test set" in out
    small = maxprune.load(tmp_path / "out" / "model", factory=maxprune.networks.lenet5)
    assert small.fc1.out_features == 2


def test_compress_shows_its_plan_and_trains_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ("compress", "maxprune.networks:lenet5", "--data", "digits", "--dry-run")
    code, out, _ = call(monkeypatch, capsys, *arguments, "--keep-accuracy", 3)
    assert code == 0
    assert "1. a maxout behind fc1, 512 neurons: k = 4 (to 128) or k = 2 (to 256)" in out
    assert "1,228 samples to train, 144 to judge by, 65 to choose" in out
    code, out, _ = call(
        monkeypatch, capsys, *arguments, "--method", "random", "--max-macs", 10**6, "--skip", "fc1"
    )
    assert code == 0
    assert "until: at most 1,000,000 MACs" in out
    assert "2 groups of 70 channels; a step removes up to 14" in out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--data", "nothing"), "'nothing' is no data: give digits, mnist"),
        (("--data", "no.py:loaders"), "no.py does not exist"),
        ((), "Missing option '--data'"),
        (("--data", "digits"), "144 validation samples cannot show a loss below 0.5 points"),
        (("--data", "digits", "--method", "best"), "--method is one of maxout, pls, magnitude"),
        (("--data", "digits", "--share", "20"), "--share is between 0 and 1 (0.2 for 20%), not 20"),
        (("--data", "digits", "--iterations", "5"), "iterations are those of a score"),
        (
            ("--data", "digits", "--method", "pls", "--iterations", "0"),
            "iterations: Input should be greater than or equal to 1",
        ),
        (
            ("--data", "digits", "--method", "pls", "--representation", "min"),
            "representation: Input should be 'max' or 'average'",
        ),
        (
            ("--data", "digits", "--method", "bn-scale", "--iterations", "1"),
            "there is no batch norm in the network for bn-scale to look at",
        ),
        (("--data", "digits", "--zero", "0.7"), "--zero is a percentage: 70, not 0.7"),
        (("--data", "digits", "--augment", "turn"), "no augmentation 'turn'; there are flip, crop"),
        (("--data", "digits", "--mean", "a"), "--mean is a row of numbers"),
        (("--data", "digits", "--std", "1,2"), "the std has 2 numbers for pictures of 1 channels"),
        (("--data", "digits", "--std", "0"), "a standard deviation is above 0"),
        (("--data", "digits", "--unreadable", "x"), "--unreadable is stop or skip, not 'x'"),
        (("--data", "digits", "--input", "4,8,8"), "1 or 3 channels, a height and a width"),
        (("--data", "digits", "--fit", "no.py:fit"), "no.py does not exist"),
        (("--data", "digits", "--train-epochs", "-1"), "--train-epochs is at least 0, not -1"),
        (("--data", "digits", "--epochs", "0"), "epochs: Input should be greater than 0"),
        (("--data", "digits", "--weights", "no.pt"), "no.pt does not exist"),
        (("--data", "digits", "--layers", "x"), "no layer 'x'"),
    ],
)
def test_compress_refuses_in_one_line_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    arguments: tuple[object, ...], says: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    code, out, err = call(monkeypatch, capsys, "compress", "maxprune.networks:lenet5", *arguments)
    assert (code, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
