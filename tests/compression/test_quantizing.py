"""Networks in 8 bits, measured: from Python, at the end of a search, by the command."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from command_line import call
from quick import QUICK
from torch import Tensor, nn

import maxprune
from maxprune.compress import Run
from maxprune.compression import quantizing
from maxprune.compression.coding import AS_IT_WAS
from maxprune.compression.quantizing import (
    Quantizing,
    QuantizingStep,
    calibration,
    quantize_network,
)
from maxprune.data import Dataset
from maxprune.data.loaded import Loaded
from maxprune.data.samples import Splits
from maxprune.data.spec import DataOptions, of_dataset
from maxprune.errors import StructureError, UsageError
from maxprune.measure import accuracy, correct, percent, randomization_test
from maxprune.report.plain import as_text
from maxprune.report.quantized import quantizing_table, remarks
from maxprune.results import Results
from maxprune.store import OnnxNetwork


@pytest.fixture(scope="module")
def splits(data: Dataset) -> Splits:
    """With training pictures that are augmented."""
    return of_dataset(data, DataOptions(augment=("crop", "flip", "noise")))


@pytest.fixture
def inputs(splits: Splits) -> Tensor:
    return maxprune.data.samples.first_inputs(splits.train, 8)


def test_both_modes_are_measured_on_the_test_set(
    trained: nn.Module, splits: Splits, inputs: Tensor
) -> None:
    found, told = quantize_network(trained, inputs, splits)
    assert [step.name for step in told.steps] == [AS_IT_WAS, "int8, dynamic", "int8, static"]
    assert [step.taken for step in told.steps] == [False, False, True]
    assert splits.test is not None
    right = correct(found.opened(), splits.test)
    before, _, static = told.steps
    assert (before.accuracy, before.p_value) == (accuracy(trained, splits.test), None)
    assert static.accuracy == percent(right)
    assert static.p_value == randomization_test(right, correct(trained, splits.test))
    assert static.bytes == len(found.content) < before.bytes / 1.5
    assert static.integers == sum(p.numel() for p in trained.parameters() if p.dim() > 1)
    ((x, _),) = splits.test.batches(len(splits.test))
    with torch.no_grad():
        expected = trained(x)
    apart = (found.opened()(x) - expected).abs().max() / expected.abs().max()
    assert static.difference == pytest.approx(float(apart), rel=1e-4)
    assert "output on all 360 test samples" in " ".join(as_text(quantizing_table(told)).split())
    assert (told.tested, told.samples, told.calibrated) == ("test", len(splits.test), 512)
    _, told = quantize_network(trained, inputs, splits, "dynamic")
    assert [step.taken for step in told.steps] == [False, True, False]


def test_without_data_it_is_dynamic_and_only_bytes_are_known(
    trained: nn.Module, inputs: Tensor
) -> None:
    found, told = quantize_network(trained, inputs, mode="dynamic")
    before, dynamic = told.steps
    assert (before.accuracy, dynamic.accuracy, dynamic.p_value, told.tested) == (None,) * 3 + ("",)
    assert dynamic.bytes == len(found.content) < before.bytes
    assert dynamic.difference == found.difference
    assert "output on the inputs that the file was checked on" in " ".join(
        as_text(quantizing_table(told)).split()
    )
    for arguments, says in (
        ({}, "static 8 bits take ranges from training samples: give data"),
        ({"mode": "half"}, "mode is dynamic or static, not 'half'"),
        ({"mode": "dynamic", "samples": 0}, "samples is at least 1, not 0"),
    ):
        with pytest.raises(UsageError, match=says):
            quantize_network(trained, inputs, **arguments)  # type: ignore[arg-type]


class Watched(nn.Module):
    """Samples that note who looks at them; only training ones may be calibrated with."""

    def __init__(self, samples: Any) -> None:
        super().__init__()
        self.samples, self.looks = samples, 0

    def __len__(self) -> int:
        return len(self.samples)

    def batches(self, *given: Any) -> Iterator[Any]:
        self.looks += 1
        return self.samples.batches(*given)


def test_the_ranges_come_from_training_pictures_as_they_are(
    trained: nn.Module, splits: Splits, inputs: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not augmented, spread over all; and nobody has looked at other pictures until then."""
    validation, test = Watched(splits.validation), Watched(splits.test)
    seen: list[Tensor] = []
    real = quantizing.quantized

    def watching(content: bytes, x: Tensor, batches: Any = None) -> Any:
        if batches is not None:
            batches = list(batches)
            seen.extend(batches)
        assert (validation.looks, test.looks) == (0, 0)
        return real(content, x, batches)

    monkeypatch.setattr(quantizing, "quantized", watching)
    watched = Splits(
        "digits", splits.train, validation, test, splits.input_shape, stopping=splits.stopping
    )  # type: ignore[arg-type]
    quantize_network(trained, inputs, watched, samples=100)
    assert (validation.looks, test.looks) == (0, 3)  # each of the three networks, at the end
    found = torch.cat(seen)
    whole = torch.cat([x for x, _ in splits.train.batches(1000)])
    step = len(whole) // 100
    assert torch.equal(found, whole[::step][:100])


def test_samples_of_any_number_and_of_a_loader(data: Dataset, splits: Splits) -> None:
    whole = torch.cat([x for x, _ in splits.train.batches(1000)])
    assert torch.equal(torch.cat(list(calibration(splits.train, 10**6))), whole)
    assert torch.equal(torch.cat(list(calibration(splits.train, 1))), whole[:1])
    x, y = data.train.batch(torch.arange(250))
    sets = torch.utils.data.TensorDataset(x, y)
    shuffled = Loaded(torch.utils.data.DataLoader(sets, 40, shuffle=True), "own", 10)
    state = torch.random.get_rng_state()
    first, again, other = (
        torch.cat(list(calibration(shuffled, 50, seed))) for seed in (1, 1, 2)
    )  # fmt: skip
    assert len(first) == 50
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(state, torch.random.get_rng_state())


def test_a_mode_that_nobody_asked_for_may_fail(splits: Splits, inputs: Tensor) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 10, 28), nn.Flatten())
    _, told = quantize_network(model, inputs, splits)
    assert [step.name for step in told.steps] == [AS_IT_WAS, "int8, static"]
    (note,) = remarks(told)[-1:]
    assert note.startswith("There is no dynamic one: no layer of the network can be in 8 bits")
    with pytest.raises(StructureError, match="for linear layers, and it has none"):
        quantize_network(model, inputs, splits, "dynamic")


@pytest.mark.parametrize(
    ("value", "p_value", "worse"), [(90.0, 0.01, True), (90.0, 0.2, False), (99.0, 0.01, False)]
)
def test_what_is_clearly_worse_is_called_so(value: float, p_value: float, worse: bool) -> None:
    steps = (
        QuantizingStep(name=AS_IT_WAS, bytes=400, accuracy=95.0),
        QuantizingStep(
            name="int8, static", bytes=100, accuracy=value, p_value=p_value, difference=0.5,
            integers=90, taken=True,
        ),
    )  # fmt: skip
    told = Quantizing(
        mode="static", parameters=100, calibrated=1, tested="test", samples=10, steps=steps
    )
    assert remarks(told) == ["SIGNIFICANTLY WORSE than as it was: int8, static."] * worse
    assert [list(c.cells)[1] for c in quantizing_table(told).columns][1:4] == [
        "100", "4.0x", "50.00",
    ]  # fmt: skip
    assert "int8, static: 90 of the parameters are in 8 bits" in " ".join(
        as_text(quantizing_table(told)).split()
    )


def test_a_larger_file_is_called_so() -> None:
    steps = (
        QuantizingStep(name=AS_IT_WAS, bytes=400),
        QuantizingStep(name="int8, dynamic", bytes=401, integers=9, taken=True),
    )
    told = Quantizing(mode="dynamic", parameters=9, calibrated=0, tested="", samples=0, steps=steps)
    assert remarks(told) == ["LARGER than as it was, 400 bytes: int8, dynamic."]


SEARCH = {**QUICK, "keep_accuracy": 100.0, "method": "magnitude", "iterations": 1}


def test_a_search_ends_in_8_bits_and_goes_on_after_a_kill(
    trained: nn.Module, data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed once before the file is judged, once after; both give what one run gives."""
    settings = {**SEARCH, "bits": 4, "int8": "static"}
    whole = maxprune.compress(trained, data, **settings)
    last = whole.steps[-1]
    assert last.name == "3: int8, static"
    assert whole.int8 is not None
    assert last.bytes == len(whole.int8)
    assert last.accuracy == accuracy(OnnxNetwork(whole.int8), data.test)
    assert whole.trials[-1].accuracy == accuracy(OnnxNetwork(whole.int8), whole.data.validation)
    assert whole.trials[-1].accuracy_before_retraining is None
    assert (last.parameters, last.macs) == (whole.steps[-2].parameters, whole.steps[-2].macs)
    results = whole.write(tmp_path / "out")
    assert (tmp_path / "out" / "model-int8.onnx").read_bytes() == whole.int8
    assert (tmp_path / "out" / "model.mxp").stat().st_size == results.steps[-2].bytes
    before = accuracy(whole.model, data.test)
    assert accuracy(maxprune.load(tmp_path / "out" / "model"), data.test) == before
    assert "with ranges from 512 training samples" in whole.table()

    class KilledError(Exception):
        pass

    def kill(*_: object) -> None:
        raise KilledError

    def run(**given: Any) -> maxprune.Compressed:
        return maxprune.compress(trained, data, folder=tmp_path / "run", **settings, **given)

    with monkeypatch.context() as patch:
        patch.setattr("maxprune.compression.search.measure_step", _kills_at("3: int8", kill))
        with pytest.raises(KilledError):
            run()
    file = tmp_path / "run" / "steps" / "3-int8-static.onnx"
    assert hashlib.sha256(file.read_bytes()).digest() == hashlib.sha256(whole.int8).digest()
    with monkeypatch.context() as patch:
        patch.setattr("maxprune.compression.finish.environment", kill)
        with pytest.raises(KilledError):
            run(run=Run(resume=True))
    with monkeypatch.context() as patch:
        patch.setattr("maxprune.compression.search.quantized", kill)  # it is there already
        resumed = run()
    assert resumed.int8 == whole.int8
    assert [step.accuracy for step in resumed.steps] == [step.accuracy for step in whole.steps]
    assert resumed.trials == whole.trials


def _kills_at(name: str, kill: Any) -> Any:
    from maxprune.runs.measured import measure_step

    def measured(*given: Any) -> Any:
        return kill() if str(given[3]).startswith(name) else measure_step(*given)

    return measured


def ruined(*_: object) -> Any:
    """What is no longer the network."""
    torch.manual_seed(0)
    net, x = nn.Sequential(nn.Flatten(), nn.Linear(784, 10)), torch.rand(2, 1, 28, 28)
    return quantizing.quantized(quantizing.exported(net, x), x)


def test_a_file_that_loses_too_much_is_taken_back(
    trained: nn.Module, data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maxprune.compression.search.quantized", ruined)
    (tmp_path / "model-int8.onnx").write_text("of an earlier run")
    found = maxprune.compress(trained, data, **{**SEARCH, "keep_accuracy": 20.0}, int8="dynamic")
    assert found.trials[-1].title == "int8, dynamic"
    assert not found.trials[-1].taken
    assert found.int8 is None
    assert all("int8" not in step.name for step in found.steps)
    found.write(tmp_path)
    assert not (tmp_path / "model-int8.onnx").exists()


def test_what_is_measured_is_the_file(
    trained: nn.Module, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On validation and on test data, where it is far from the network it was made of."""
    monkeypatch.setattr("maxprune.compression.search.quantized", ruined)
    found = maxprune.compress(trained, data, **SEARCH, int8="dynamic")
    assert found.int8 is not None
    file = OnnxNetwork(found.int8)
    assert found.trials[-1].accuracy == accuracy(file, found.data.validation) < 50
    assert found.steps[-1].accuracy == accuracy(file, data.test) < 50
    assert accuracy(found.model, data.test) > 80


def test_the_control_is_not_retrained_for_the_8_bits(trained: nn.Module, data: Dataset) -> None:
    found = maxprune.compress(trained, data, **SEARCH, int8="dynamic", control=True)
    search = found.results.details.search
    assert search is not None
    assert search.control is not None
    assert [step.name[3:] for step in found.steps][1:] == ["int8, dynamic"]
    assert search.control.retrainings == 1


def test_what_cannot_be_in_8_bits_is_refused_before_any_training(data: Dataset) -> None:
    def fit(*_: object) -> None:
        raise AssertionError("it was trained")

    model = nn.Sequential(nn.Conv2d(1, 8, 5), nn.ReLU(), nn.Conv2d(8, 10, 24), nn.Flatten())
    with pytest.raises(StructureError, match="for linear layers, and it has none"):
        maxprune.compress(model, data, fit=fit, **SEARCH, int8="dynamic")
    with pytest.raises(UsageError, match="int8 must be 'dynamic' or 'static', not 'half'"):
        maxprune.compress(model, data, fit=fit, **SEARCH, int8="half")


def test_the_command(
    trained: nn.Module, data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    maxprune.save(trained, tmp_path / "model")
    out = tmp_path / "net.onnx"
    given = ("quantize", tmp_path / "model", "--out", out)
    code, said, error = call(monkeypatch, capsys, *given, "--data", "digits")
    assert (code, error) == (0, "")
    assert "int8, static  <- in the file" in said
    assert f"{out.stat().st_size:,}" in said
    assert f"{accuracy(OnnxNetwork(out), data.test):.2f}" in said
    assert f"The network: {out}, for ONNX Runtime" in said.replace("\n", "")
    code, said, _ = call(
        monkeypatch, capsys, *given, "--mode", "dynamic", "--input", "1,28,28", "--json",
        "--opset", 18,
    )  # fmt: skip
    assert code == 0
    assert json.loads(said)["steps"][1]["bytes"] == out.stat().st_size
    assert onnx.load(out).opset_import[0].version == 18
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model", "net.onnx"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("nothing", "--data", "digits"), "'nothing' does not exist"),
        (("maxprune.networks:lenet5", "--data", "digits"), "built here with random weights"),
        (("maxprune.networks:lenet5", "--mode", "dynamic", "--input", "1,28,28"), "built here"),
        (("MODEL", "--data", "digits", "--mode", "half"), "--mode is dynamic or static, not"),
        (("MODEL", "--data", "digits", "--samples", 0), "--samples is at least 1, not 0"),
        (("MODEL",), "ranges from training samples: give --data, or say --mode dynamic"),
        (("MODEL", "--mode", "dynamic"), "give --input for random inputs, or --data"),
        (("MODEL", "--mode", "dynamic", "--input", "3,8,8"), "does not take inputs of shape"),
        (("MODEL", "--data", "digits", "--out", "."), ". is a folder; --out is a file"),
        (("MODEL", "--data", "digits", "--out", "net.pt2"), "--out ends in .onnx, such as"),
        (("MODEL", "--data", "digits", "--opset", 9), "an ONNX opset is 18 to 23 here, not 9"),
        (("MODEL", "--data", "digits", "--epochs", 3), "No such option"),
    ],
)  # fmt: skip
def test_wrong_input_is_one_line(
    arguments: tuple[object, ...], says: str, trained: nn.Module, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    maxprune.save(trained, tmp_path / "MODEL")
    code, _, error = call(monkeypatch, capsys, "quantize", *arguments)
    assert code == 2
    assert says in error
    assert error.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["MODEL"]


def test_compress_says_where_the_8_bits_are(
    trained: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    maxprune.save(trained, tmp_path / "model")
    out = tmp_path / "out"
    given = (
        "compress", tmp_path / "model", "--data", "digits", "--iterations", 1, "--epochs", 1,
        "--int8", "dynamic", "--out", out,
    )  # fmt: skip
    for more in ((), ("--resume",)):
        code, said, _ = call(monkeypatch, capsys, *given, *more)
        assert code == 0
        size = (out / "model-int8.onnx").stat().st_size
        assert f"In 8 bits: {out / 'model-int8.onnx'} for ONNX Runtime, {size:,} bytes" in (
            said.replace("\n", "")
        )
        assert Results.read(out / "results.json").steps[-1].bytes == size
