"""compress from the command line: what it writes, how it goes on, what it refuses."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from command_line import call, run
from PIL import Image

import maxprune
from maxprune.results import Results

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
    return run(
        folder / "out", "compress", folder / "cli_net.py:build", "--data", "digits",
        "--method", "magnitude", "--keep-accuracy", 9, *QUICK,
    )  # fmt: skip


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
    assert "before, after: validation accuracy right after the cut" in " ".join(said.split())
    assert (
        "“Before” is the accuracy right after the cut" in (compressed / "report.html").read_text()
    )
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


def test_what_lies_in_the_current_folder_stands_in_for_no_library(tmp_path: Path) -> None:
    (tmp_path / "onnx").mkdir()
    for name in ("onnx/__init__", "random", "scipy", "matplotlib"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('no library')")
    (tmp_path / "shadowed_width.py").write_text("WIDTH = 8")
    (tmp_path / "shadowed_net.py").write_text(
        "from torch import nn\nfrom shadowed_width import WIDTH\n"
        "def build(): return nn.Sequential(nn.Flatten(), nn.Linear(784, WIDTH), nn.ReLU(), "
        "nn.Linear(WIDTH, 10))\n"
    )
    command = [
        Path(sys.executable).with_name("maxprune"), "compress", "shadowed_net:build",
        "--data", "digits", "--method", "random", "--share", "0.5", "--iterations", "1",
        "--train-epochs", "0", "--epochs", "0.1", "--out", "out",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "no ONNX file" not in done.stdout
    assert (tmp_path / "out" / "model.onnx").exists()


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
        "--fit", f"{own}:fit", "--train-epochs", 0, "--max-bytes", 2100, "--layers", "fc1",
        "--method", "magnitude", "--iterations", 1, "--share", 0.75, "--out", tmp_path / "out",
    )  # fmt: skip
    assert code == 2
    assert "the budget could not be met (bytes); the smallest network that was reached is" in err
    assert "There is no test set" in out
    small = maxprune.load(tmp_path / "out" / "model", factory=maxprune.networks.lenet5)
    assert small.fc1.out_features == 2


def test_a_shape_that_the_network_does_not_take_names_its_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b"):
        (tmp_path / "pictures" / "train" / name).mkdir(parents=True)
        for i in range(12):
            picture = Image.new("L", (9, 9), color=i)
            picture.save(tmp_path / "pictures" / "train" / name / f"{i}.png")
    code, _, err = call(
        monkeypatch, capsys, "compress", "maxprune.networks:lenet5",
        "--data", tmp_path / "pictures", "--input", "3,28,28", "--dry-run",
    )  # fmt: skip
    assert code == 2
    assert "the network does not fit the images, of shape (3, 28, 28): RuntimeError: " in err
    assert err.endswith(" (they have the shape that --input names)\n")


def test_compress_shows_its_plan_and_trains_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ("compress", "maxprune.networks:lenet5", "--data", "digits", "--dry-run")
    code, out, _ = call(monkeypatch, capsys, *arguments, "--method", "maxout", "--keep-accuracy", 3)
    assert code == 0
    assert "1. a maxout behind conv2, 50 neurons: k = 4 (to 13) or k = 2 (to 25)" in out
    assert "2. a maxout behind fc1, 512 neurons: k = 4 (to 128) or k = 2 (to 256)" in out
    assert "1,228 samples to train, 144 to judge by, 65 to choose" in out
    code, out, _ = call(
        monkeypatch, capsys, *arguments, "--method", "random", "--max-macs", 10**6, "--skip", "fc1"
    )
    assert code == 0
    assert "until: at most 1,000,000 MACs" in out
    assert "2 groups of 70 channels; a step removes up to 14" in out
    assert "nothing needs to be cut" not in out
    code, out, _ = call(monkeypatch, capsys, *arguments, "--method", "pls", "--keep-accuracy", 3)
    assert code == 0
    assert "The last convolution, conv2, is left whole (--cut-last cuts it)" in out
    one = (*arguments, "--method", "random", "--epochs", 1, "--train-epochs", 1, "--layers", "fc1")
    code, out, _ = call(monkeypatch, capsys, *one, "--max-macs", 10**9)
    assert code == 0
    assert "1 group of 512 channels; " in out
    assert "retrained for up to 1 epoch after each step, and first of all for up to 1 epoch" in (
        " ".join(out.split())
    )
    assert "within its budget as it is: nothing needs to be cut." in out
    code, out, err = call(monkeypatch, capsys, *one, "--max-bytes", 9)
    assert (code, out) == (2, "")
    assert "random cannot bring the network down to 9 bytes (" in err
    assert list(tmp_path.iterdir()) == []


def test_a_budget_that_is_met_costs_no_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ("compress", "maxprune.networks:lenet5", "--data", "digits", "--max-macs", 10**9)
    code, out, err = call(monkeypatch, capsys, *arguments)
    assert (code, err) == (0, "")
    assert "nothing needs to be cut; nothing was trained" in " ".join(out.split())
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
        (
            ("--data", "digits", "--method", "maxout", "--iterations", "5"),
            "--iterations is a setting of a score",
        ),
        (("--data", "digits", "--k", "2"), "--k is a setting of maxout, not of taylor"),
        (
            ("--data", "digits", "--method", "pls", "--iterations", "0"),
            "maxprune: --iterations must be at least 1, not 0\n",
        ),
        (
            ("--data", "digits", "--method", "pls", "--representation", "min"),
            "--representation must be 'max' or 'average', not 'min'",
        ),
        (
            ("--data", "digits", "--method", "bn-scale", "--iterations", "1"),
            "there is no batch norm in the network for bn-scale to look at",
        ),
        (("--data", "digits", "--dry-run", "--json"), "--dry-run shows its plan in words"),
        (("--data", "digits", "--retry"), "--retry trains for --final-epochs: say how many"),
        (("--data", "digits", "--factory", "no.py:x"), "is built anew; a factory is named for a"),
        (
            ("--data", "digits", "--fit", "a.py:f", "--rate", "1"),
            "--rate does nothing beside --fit",
        ),
        (("--data", "digits", "--zero", "0.7"), "--zero is a percentage: 70, not 0.7"),
        (("--data", "digits", "--augment", "spin"), "no augmentation 'spin'; there are flip, crop"),
        (("--data", "digits", "--augment", "flip,none"), "--augment none stands alone, not in 'fl"),
        (("--data", "digits", "--augment", ""), "--augment is a row of names such as a,b, not ''"),
        (("--data", "digits", "--layers", ""), "--layers is a row of names such as a,b, not ''"),
        (("--data", "digits", "--mean", "nan"), "mean and std are finite numbers, not (nan,)"),
        (
            ("--data", "digits", "--method", "pls", "--components", "600"),
            "--components must be at most 532, not 600: 1,228 samples to train on, each as 532 num",
        ),
        (("--data", "digits", "--mean", "a"), "--mean is a row of numbers"),
        (("--data", "digits", "--std", "1,2"), "the std has 2 numbers for pictures of 1 channel"),
        (("--data", "digits", "--std", "0"), "a standard deviation is above 0"),
        (("--data", "digits", "--unreadable", "x"), "--unreadable is stop or skip, not 'x'"),
        (("--data", "digits", "--input", "4,8,8"), "1 or 3 channels, a height and a width"),
        (("--data", "digits", "--fit", "no.py:fit"), "no.py does not exist"),
        (("--data", "digits", "--train-epochs", "-1"), "--train-epochs is at least 0, not -1"),
        (("--data", "digits", "--epochs", "0"), "maxprune: --epochs must be above 0, not 0\n"),
        (
            ("--data", "digits", "--keep-accuracy", "9", "--train-rate", "0"),
            "maxprune: --train-rate must be above 0, not 0\n",
        ),
        (
            ("--data", "digits", "--keep-accuracy", "9", "--train-epochs", "inf"),
            "maxprune: --train-epochs must be a finite number above 0, not inf\n",
        ),
        (
            ("--data", "cifar10", "--data-root", "no"),
            "no/cifar10 is not a folder that exists; name with --data-root DIR a folder that has",
        ),
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
