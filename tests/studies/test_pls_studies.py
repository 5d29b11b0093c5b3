"""The studies of PLS pruning on small networks and pictures: what is cut, what stands beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from command_line import call

from maxprune.data import Dataset, Images
from maxprune.errors import DataError
from maxprune.report.authors import authors_table, iterations_table
from maxprune.results import Author, Results
from maxprune.studies import pls

pytestmark = pytest.mark.usefixtures("in_this_process")

CONV = {"kernel_size": [3, 3], "padding": "same", "use_bias": True, "activation": "linear"}
NORM = {"axis": -1, "epsilon": 0.001, "momentum": 0.99, "scale": True, "center": True}


def pictures(count: int, seed: int) -> Images:
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8, generator=generator)
    return Images(pixels, torch.arange(count) % 10, 10)


DATASET = Dataset("some pictures", pictures(300, 0), pictures(60, 1))


def author(folder: Path, iteration: int, inner: tuple[int, int]) -> None:
    """A small residual network of Keras: two blocks of 8 channels."""
    layers: list[dict[str, Any]] = []
    arrays: dict[str, dict[str, np.ndarray]] = {}
    random = np.random.default_rng(0)

    def layer(kind: str, name: str, reads: list[str], **config: Any) -> str:
        nodes = [[[read, 0, 0, {}] for read in reads]] if reads else []
        own = {"class_name": kind, "name": name, "config": {"name": name, **config}}
        layers.append({**own, "inbound_nodes": nodes})
        return name

    def convolution(name: str, read: str, ins: int, outs: int) -> str:
        kernel = random.standard_normal((3, 3, ins, outs)) / (9 * ins) ** 0.5
        arrays[name] = {"kernel": kernel, "bias": np.zeros(outs)}
        layer("Conv2D", name, [read], filters=outs, strides=[1, 1], **CONV)
        arrays[f"{name}_norm"] = {
            "gamma": np.ones(outs), "beta": np.zeros(outs),
            "moving_mean": np.zeros(outs), "moving_variance": np.ones(outs),
        }  # fmt: skip
        return layer("BatchNormalization", f"{name}_norm", [name], **NORM)

    layer("InputLayer", "in", [], batch_input_shape=[None, 32, 32, 3])
    last = layer("Activation", "r", [convolution("stem", "in", 3, 8)], activation="relu")
    for i, width in enumerate(inner):
        first = convolution(f"b{i}a", last, 8, width)
        middle = layer("Activation", f"b{i}r", [first], activation="relu")
        second = convolution(f"b{i}b", middle, width, 8)
        total = layer("Add", f"b{i}s", [last, second])
        last = layer("Activation", f"b{i}o", [total], activation="relu")
    layer("AveragePooling2D", "p", [last], pool_size=[32, 32], strides=[32, 32], padding="valid")
    layer("Flatten", "f", ["p"])
    arrays["d"] = {"kernel": random.standard_normal((8, 10)), "bias": np.zeros(10)}
    layer("Dense", "d", ["f"], units=10, use_bias=True, activation="softmax")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"iteration{iteration}.json").write_text(json.dumps({"config": {"layers": layers}}))
    with h5py.File(folder / f"iteration{iteration}.h5", "w") as file:
        file.attrs["layer_names"] = [own["name"] for own in layers]
        for own in layers:
            group, found = file.create_group(own["name"]), arrays.get(own["name"], {})
            group.attrs["weight_names"] = list(found)
            for name, value in found.items():
                group[name] = value.astype(np.float32)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for iteration, inner in ((0, (10, 10)), (4, (7, 8)), (8, (5, 6))):
        author(tmp_path / "data" / "resnet56-pls", iteration, inner)
    monkeypatch.setattr(pls, "load", lambda name, root: DATASET)
    return tmp_path / "data"


def test_only_the_inner_filters_of_the_blocks_go(root: Path) -> None:
    network = pls.read_author(0, root, DATASET)
    assert pls.inner_layers(network) == ("b0a", "b1a")
    mean = DATASET.train.pixels.double().mean(0) / 255
    torch.testing.assert_close(network.in_mean.mean.double(), mean, atol=1e-6, rtol=0)


def test_resnet56_from_the_command_line(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    arguments = (
        "reproduce", "pls-resnet56", "--data", root, "--out", out, "--epochs", 0.5,
        "--iterations", 5, "--share", 0.15, "--final-epochs", 0,
    )  # fmt: skip
    code, said, _ = call(monkeypatch, capsys, *arguments)
    assert code == 0
    results = Results.read(out / "ours" / "results.json")
    assert "Retrained for 0.5 epochs after each cut, which is short" in said
    assert results.details.notes[-1].startswith("Retrained for 0.5 epochs after each cut")
    steps = results.steps
    assert len(steps) == 5
    inner = [s for s in results.details.layers if s.step == steps[-1].name]
    assert sum(s.neurons for s in inner if s.layer in ("b0a", "b1a")) < 12
    assert {s.neurons for s in inner if s.layer in ("stem", "b0b", "b1b")} == {8}
    content = json.loads((out / "authors.json").read_text())
    authors = [Author.model_validate(record) for record in content["records"]]
    assert [a.iteration for a in authors] == [0, 4, 8]
    assert authors[0].macs == results.baseline.macs
    assert authors[0].ours is None
    assert authors[0].retrained == results.baseline.accuracy
    assert authors[1].retrained is not None
    fits = [step for step in steps if step.macs <= authors[2].macs]
    assert (authors[2].ours, authors[2].ours_accuracy) == (fits[0].name, fits[0].accuracy)
    assert authors[2].retrained is not None
    whole = json.loads((out / "authors8" / "run.json").read_text())["training"]["iterations"]
    once = json.loads((out / "ours" / "run.json").read_text())["training"]["iterations"]
    assert whole == pytest.approx(once * (steps.index(fits[0]) + 2), abs=3)
    rows = iterations_table(results, 10**8, {2: (7.0, 0.5)})
    assert list(rows.columns[5].cells) == ["-", "7.00", "-", "-", "-", "-"]
    assert authors_table(authors).row_count == 3
    code, again, _ = call(monkeypatch, capsys, *arguments, "--resume")
    assert (code, again) == (0, said)
    assert "The authors' own networks" in (out / "authors.txt").read_text()
    code, _, _ = call(monkeypatch, capsys, *arguments, "--resume", "--beside", 9)
    assert code == 0
    content = json.loads((out / "authors.json").read_text())
    fifth, ninth = (Author.model_validate(record) for record in content["records"][1:])
    assert (fifth.ours, fifth.retrained, fifth.accuracy) == (None, None, authors[1].accuracy)
    assert ninth == authors[2]


def test_the_networks_that_are_compared_are_retrained_for_longer(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    code, said, _ = call(
        monkeypatch, capsys, "reproduce", "pls-resnet56", "--data", root, "--out", out,
        "--epochs", 0.2, "--iterations", 5, "--share", 0.15, "--final-epochs", 2,
    )  # fmt: skip
    assert code == 0
    assert "for 0.2 epochs after each cut, and for 2 before the comparison" in said
    assert "at most as many MACs, after 2 more epochs" in " ".join(said.split())
    content = json.loads((out / "authors.json").read_text())
    assert (content["epochs"], content["final_epochs"]) == (0.2, 2.0)
    last = Author.model_validate(content["records"][2])
    steps = Results.read(out / "ours" / "results.json").steps
    place = next(i for i, step in enumerate(steps) if step.name == last.ours)
    trained = {
        name: json.loads((out / name / "run.json").read_text())["training"]["iterations"]
        for name in ("ours8", "authors8")
    }
    each = len(DATASET.train) * 0.9 * 0.95 // 128
    assert trained["ours8"] == pytest.approx(2 * each, abs=2)
    assert trained["authors8"] == pytest.approx((2 + 0.2 * (place + 2)) * each, abs=2)
    assert last.p_value is not None
    assert last.p_value_as_published is not None
    assert last.ours_macs == steps[place].macs


def test_the_example_of_the_readme(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "example"
    arguments = ("reproduce", "pls-cifar10", "--out", out, "--epochs", 0.2, "--iterations", 2)
    code, said, _ = call(monkeypatch, capsys, *arguments)
    assert code == 0
    results = Results.read(out / "results.json")
    training = results.details.training
    assert (training["rho"], training["judge_every"]) == (0.9, 0)
    assert not {"momentum", "clip", "warmup"} & training.keys()
    last = {s.layer: s.neurons for s in results.details.layers if s.step == results.steps[-1].name}
    assert last["conv2_2"] == 32  # the last convolution is left whole
    assert last["fc1"] == 512  # neurons are no filters
    assert sum(last.values()) == 16 + 16 + 32 + 32 + 512 + 10 - 3 - 3  # 5% of 64 filters, of 61
    assert "The page:" in said


def test_without_the_files_it_says_where_they_belong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MAXPRUNE_DATA", raising=False)
    with pytest.raises(DataError, match=r"a folder that has resnet56-pls/ with iteration0\.json"):
        pls.author_files(None)
    with pytest.raises(DataError, match="resnet56-pls is not a folder that exists"):
        pls.author_files(tmp_path)
    author(tmp_path / "resnet56-pls", 0, (5, 5))
    with pytest.raises(DataError, match=r"iteration4\.json is not there"):
        pls.author_files(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("pls-cifar10", "--epochs", 0), "--epochs is above 0, not 0"),
        (("pls-cifar10", "--epochs", "inf"), "--epochs is above 0, not inf"),
        (("pls-cifar10", "--share", 5), "--share is between 0 and 1 (0.1 for 10%), not 5"),
        (("pls-resnet56", "--final-epochs", -1), "--final-epochs is at least 0, not -1"),
        (("pls-resnet56", "--beside", 8), "--beside is 5 or 9, the authors' networks, not 8"),
        (("pls-resnet56", "--share", 0), "--share is between 0 and 1"),
        (("pls-resnet56", "--iterations", 0), "Invalid value for '--iterations'"),
    ],
)
def test_bad_options_are_one_line(
    arguments: tuple[object, ...], says: str, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    code, said, err = call(monkeypatch, capsys, "reproduce", *arguments)
    assert (code, said, err.count("\n")) == (2, "", 1)
    assert says in err
