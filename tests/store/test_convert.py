"""Networks in the files of other programs: each is run or read again, and gives the same."""

from __future__ import annotations

import errno
import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from command_line import call
from safetensors.torch import load_file
from store_helpers import cut, rewrite, same, zeroed
from torch import nn

import maxprune
from maxprune.errors import AuditError, OutputError, StructureError, UsageError
from maxprune.store import convert, describe
from maxprune.store.weights import from_safetensors

X = torch.rand(4, 1, 28, 28)


def test_each_kind_of_file(tmp_path: Path) -> None:
    model = cut()
    assert convert(model, tmp_path / "net.pt2", X) == tmp_path / "net.pt2"
    program = torch.export.load(tmp_path / "net.pt2").module()
    with torch.no_grad():
        torch.testing.assert_close(program(X[:3]), model(X[:3]))
    convert(model, tmp_path / "net.safetensors")
    found = load_file(tmp_path / "net.safetensors")
    assert all(torch.equal(t, found[name]) for name, t in model.state_dict().items())
    convert(model, tmp_path / "net.maxprune", X)
    assert describe(tmp_path / "net.maxprune").graph
    assert same(model, maxprune.load(tmp_path / "net.maxprune"))
    convert(model, tmp_path / "plain.maxprune")
    assert not describe(tmp_path / "plain.maxprune").graph
    convert(zeroed(), tmp_path / "net.mxp")
    assert same(zeroed(), maxprune.load(tmp_path / "net.mxp"))


def test_weights_of_all_types_are_compared_also_nan(tmp_path: Path) -> None:
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 2).half())
    model[1].weight.data.fill_(float("nan"))
    model.register_buffer("mask", torch.tensor([True, False]))
    model.register_buffer("none", torch.zeros(0, 3))
    convert(model, tmp_path / "net.safetensors")
    found = load_file(tmp_path / "net.safetensors")
    assert {n: t.dtype for n, t in found.items()} == {
        n: t.dtype for n, t in model.state_dict().items()
    }


@pytest.mark.parametrize("name", ["net.onnx", "net.pt2", "net.maxprune", "net.mxp"])
def test_weights_that_are_nan_are_named(name: str, tmp_path: Path) -> None:
    model = cut()
    inputs = X if name in ("net.onnx", "net.pt2") else None
    with torch.no_grad():
        model.conv1.weight[0] = float("nan")
    with pytest.raises(UsageError, match=r"^conv1\.weight of the network is not finite"):
        convert(model, tmp_path / name, inputs)
    assert not list(tmp_path.iterdir())


def test_a_mask_may_be_infinite(tmp_path: Path) -> None:
    class Masked(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (super().forward(x) + self.mask).softmax(1)

    model = Masked(3, 2)
    model.register_buffer("mask", torch.tensor([0.0, -torch.inf]))
    x = torch.rand(2, 3)
    again = torch.export.load(convert(model, tmp_path / "net.pt2", x)).module()
    assert again(x)[:, 1].tolist() == [0, 0]


def test_a_full_disk_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.EFBIG, "File too large")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match=r"^cannot write .*network\.pt2: File too large$"):
        convert(nn.Linear(3, 2), tmp_path / "net.pt2", torch.rand(2, 3))


def test_what_is_read_differently_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = from_safetensors
    monkeypatch.setattr(
        sys.modules["maxprune.store.convert"], "from_safetensors",
        lambda content: {name: tensor + 1 for name, tensor in read(content).items()},
    )  # fmt: skip
    with pytest.raises(AuditError, match=r"conv1\.weight is not the same when it is read"):
        convert(cut(), tmp_path / "net.safetensors")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("opset", [18, 20])
def test_the_opset_is_the_one_that_was_asked_for(opset: int, tmp_path: Path) -> None:
    convert(cut(), tmp_path / "net.onnx", X, opset)
    (found,) = onnx.load(tmp_path / "net.onnx").opset_import
    assert found.version == opset


@pytest.mark.parametrize(
    ("name", "inputs", "opset", "says"),
    [
        ("net.tflite", X, None, r"net\.tflite has none of the endings \.onnx \(ONNX"),
        ("net", X, None, "has none of the endings"),
        ("net.onnx", None, None, "the network has to run: give inputs"),
        ("net.pt2", None, None, "the network has to run: give inputs"),
        ("net.onnx", X, 9, "an ONNX opset is 18 to 23 here, not 9"),
        ("net.onnx", X, 99, "an ONNX opset is 18 to 23 here, not 99"),
        ("net.pt2", X, 20, "an opset is ONNX's"),
        ("net.mxp", X, None, r"leave out the inputs \(--input, --data\)"),
        ("net.safetensors", X, None, r"nothing is run, every number is compared: leave out"),
        ("net.onnx", X[:1], None, "at least two inputs"),
        ("net.onnx", X[..., :5], None, "does not take inputs of shape"),
    ],
)
def test_wrong_input_is_refused_and_nothing_written(
    name: str, inputs: torch.Tensor | None, opset: int | None, says: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=says):
        convert(cut(), tmp_path / name, inputs, opset)
    assert not list(tmp_path.iterdir())


def test_what_torch_cannot_export_is_refused(tmp_path: Path) -> None:
    class Branching(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) if x.sum() > 0 else x

    with pytest.raises(StructureError, match="the network Branching cannot be exported"):
        convert(Branching(3, 3), tmp_path / "net.pt2", torch.rand(2, 3))
    assert not list(tmp_path.iterdir())


def test_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    maxprune.save(cut(), tmp_path / "m")
    out = tmp_path / "net.onnx"
    code, said, _ = call(monkeypatch, capsys, "convert", tmp_path / "m", out, "--data", "digits")
    assert code == 0
    assert f"{out.stat().st_size:,} bytes, checked on 16 inputs" in said
    code, said, _ = call(monkeypatch, capsys, "convert", tmp_path / "m", tmp_path / "w.safetensors")
    assert code == 0
    assert "checked" not in said
    assert "random" not in said
    built = ("convert", "maxprune.networks:lenet5", tmp_path / "r.safetensors")
    code, said, _ = call(monkeypatch, capsys, *built)
    assert code == 0
    assert said.endswith("bytes; random weights, as --weights was not given\n")
    _, said, _ = call(monkeypatch, capsys, *built, "--weights", tmp_path / "r.safetensors")
    assert "random" not in said
    code, _, error = call(
        monkeypatch, capsys, "convert", tmp_path / "m", out, "--data", "digits", "--input", "1,2"
    )
    assert (code, error.count("\n")) == (2, 1)
    assert "not both" in error


def test_what_has_lost_its_class_is_converted_by_its_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = maxprune.save(cut(), tmp_path / "m", example=X)
    rewrite(folder, lambda content: content.update(factory="gone:build"))
    arguments = ("convert", folder, tmp_path / "net.onnx", "--input", "1,28,28")
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        code, _, said = call(monkeypatch, capsys, *arguments)
    assert code == 0, said
    assert said.startswith(f"maxprune: {folder} was opened as a graph: ")
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    with torch.no_grad():
        expected = cut()(X).numpy()
    assert np.allclose(session.run(None, {"input": X.numpy()})[0], expected, atol=1e-4)
    code, _, error = call(monkeypatch, capsys, "inspect", folder, "--input", "1,28,28")
    assert (code, "cannot be imported" in error) == (2, True)
