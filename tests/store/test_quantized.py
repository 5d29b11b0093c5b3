"""Files of 8-bit integers: smaller, as accurate, the same on every run, and never half written."""

from __future__ import annotations

import copy
import errno
import hashlib
import logging
import subprocess
import sys
import warnings
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import store_factories
import torch
from torch import Tensor, nn

import maxprune
from maxprune.data import Dataset
from maxprune.errors import AuditError, OutputError, StoreError, StructureError, UsageError
from maxprune.measure import accuracy
from maxprune.store import OnnxNetwork, QuantizedNetwork, export_onnx, quantize_onnx
from maxprune.store import quantized as module

X = torch.rand(4, 6, generator=torch.Generator().manual_seed(0))


def plain() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 24), nn.ReLU(), nn.Linear(24, 5)).eval()


def batches(data: Dataset) -> Iterator[Tensor]:
    return (x for x, _ in data.train.batches(100))


@pytest.fixture(scope="module")
def files(
    trained: nn.Module, data: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """The same network as float32 and in both kinds of 8 bits."""
    folder = tmp_path_factory.mktemp("files")
    x = data.test.batch(torch.arange(16))[0]
    export_onnx(trained, folder / "float.onnx", x)
    quantize_onnx(trained, folder / "dynamic.onnx", x)
    quantize_onnx(trained, folder / "static.onnx", x, batches(data))
    return {path.stem: path for path in folder.iterdir()}


def tensors(path: Path) -> dict[str, np.ndarray]:
    return {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}


@pytest.mark.parametrize("mode", ["static", "dynamic"])
def test_it_is_as_accurate_and_smaller(
    mode: str, files: dict[str, Path], trained: nn.Module, data: Dataset
) -> None:
    before = accuracy(trained, data.test)
    assert accuracy(OnnxNetwork(files["float"]), data.test) == before
    assert abs(accuracy(OnnxNetwork(files[mode]), data.test) - before) < 1.5
    saved = files["float"].stat().st_size - files[mode].stat().st_size
    weights = sum(p.numel() for p in trained.parameters() if p.dim() > 1)
    assert saved > 2 * weights  # three bytes of four, less what says how they are scaled


@pytest.mark.parametrize(("mode", "layers"), [("static", 4), ("dynamic", 2)])
def test_the_weights_are_integers_of_7_bits(mode: str, layers: int, files: dict[str, Path]) -> None:
    """And those of convolutions only where there were calibration data."""
    found = [t for t in tensors(files[mode]).values() if t.dtype == np.int8 and t.ndim > 1]
    assert len(found) == layers
    for weight in found:
        assert np.abs(weight.astype(int)).max() == 64
    large = [t for t in tensors(files[mode]).values() if t.dtype == np.float32 and t.ndim > 1]
    assert len(large) == 4 - layers


@pytest.mark.parametrize("mode", ["static", "dynamic"])
def test_the_file_opens_anywhere(mode: str, files: dict[str, Path], data: Dataset) -> None:
    proto = onnx.load(files[mode])
    onnx.checker.check_model(proto, full_check=True)
    assert {node.domain for node in proto.graph.node} <= {"", "ai.onnx"}
    assert [opset.domain for opset in proto.opset_import] == [""]
    for private in (b"site-packages", b".py", str(Path.home()).encode(), b"/tmp"):
        assert private not in files[mode].read_bytes()
    x = data.test.batch(torch.arange(7))[0]
    whole = OnnxNetwork(files[mode])(x)
    assert whole.shape == (7, 10)
    if mode == "static":  # a dynamic one has its range from all of a batch
        for i in range(7):
            torch.testing.assert_close(OnnxNetwork(files[mode])(x[i : i + 1]), whole[i : i + 1])


SAME = """
import hashlib, sys, torch
from torch import nn
from maxprune.store import quantize_onnx
torch.manual_seed(0)
net = nn.Sequential(nn.Linear(6, 24), nn.ReLU(), nn.Linear(24, 5)).eval()
x = torch.rand(4, 6, generator=torch.Generator().manual_seed(0))
for calibration in (None, [x]):
    found = quantize_onnx(net, sys.argv[1], x, calibration)
    print(hashlib.sha256(found.content).hexdigest())
"""


def test_equal_networks_give_equal_bytes_in_every_process(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    digests = []
    for calibration in (None, [X]):
        found = quantize_onnx(plain(), path, X, calibration)
        assert path.read_bytes() == found.content
        digests.append(hashlib.sha256(found.content).hexdigest())
    done = subprocess.run(
        [sys.executable, "-c", SAME, str(path)], capture_output=True, text=True, check=True,
        env={"PYTHONHASHSEED": "7", "PYTHONPATH": ":".join(sys.path), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.stdout.split() == digests
    assert done.stderr == ""


def test_one_batch_is_in_memory_at_a_time(tmp_path: Path) -> None:
    alive: list[weakref.ref[Tensor]] = []
    most = 0

    def given() -> Iterator[Tensor]:
        nonlocal most
        for _ in range(20):
            most = max(most, sum(ref() is not None for ref in alive))
            batch = torch.rand(2, 6)
            alive.append(weakref.ref(batch))
            yield batch
            del batch

    quantize_onnx(plain(), tmp_path / "net.onnx", X, given())
    assert len(alive) == 20
    assert most <= 1


def test_the_range_is_what_the_calibration_data_reach(tmp_path: Path) -> None:
    """Inputs beyond it are cut off, so the outputs are those of the border."""
    net = nn.Sequential(nn.Linear(2, 2))
    with torch.no_grad():
        net[0].weight.copy_(torch.eye(2))
        net[0].bias.zero_()
    x = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    file = quantize_onnx(net, tmp_path / "net.onnx", x, [x / 2, x]).opened()
    torch.testing.assert_close(file(5 * x), x, atol=0.02, rtol=0)
    torch.testing.assert_close(file(0.3 * x), 0.3 * x, atol=0.02, rtol=0)


def test_the_network_is_as_it_was_and_nothing_is_said(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    tools = module._quantize

    def talking(*given: Any) -> None:
        print("of the tools")
        logging.getLogger("tools").error("of the tools")
        warnings.warn("of the tools", stacklevel=1)
        tools(*given)

    monkeypatch.setattr(module, "_quantize", talking)
    model = nn.Sequential(nn.Conv1d(2, 4, 3), nn.BatchNorm1d(4), nn.Flatten(), nn.Linear(16, 3))
    before = copy.deepcopy(model.state_dict())
    x = torch.rand(4, 2, 6)
    for calibration in (None, [x]):
        found = quantize_onnx(model, tmp_path / "net.onnx", x, calibration)
        assert 0 < found.difference < 0.2
    assert model.training
    assert all(torch.equal(t, before[name]) for name, t in model.state_dict().items())
    assert capfd.readouterr() == ("", "")
    assert [said for said in caplog.records if said.levelno >= logging.WARNING] == []
    assert [p.name for p in tmp_path.iterdir()] == ["net.onnx"]


def test_a_network_that_takes_whole_numbers(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(12, 3)).eval()
    x = torch.randint(0, 9, (8, 3))
    for calibration, integers in ((None, 12 * 3), (x.split(4), 12 * 3 + 9 * 4)):
        found = quantize_onnx(net, tmp_path / "net.onnx", x, calibration)
        assert found.difference < 0.1
        assert found.integers == integers  # of the embedding in a static one alone
    with pytest.raises(UsageError, match=r"sample is torch.float32 of shape \(3,\), an input of"):
        quantize_onnx(net, tmp_path / "net.onnx", x, [x.float()])


def test_what_cannot_be_done(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "net.onnx").write_text("old")

    def refused(
        kind: type[Exception], says: str, model: nn.Module, calibration: object = None,
        x: Tensor = X, **options: int,
    ) -> None:  # fmt: skip
        with pytest.raises(kind, match=says) as caught:
            quantize_onnx(model, tmp_path / "net.onnx", x, calibration, **options)  # type: ignore[arg-type]
        assert "\n" not in str(caught.value)
        assert [p.name for p in tmp_path.iterdir()] == ["net.onnx"]
        assert (tmp_path / "net.onnx").read_text() == "old"

    class Deciding(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + 1 if bool(x.sum() > 0) else x

    refused(UsageError, "there are no calibration samples", plain(), [])
    refused(UsageError, r"shape \(5,\), an input of the network", plain(), [torch.rand(3, 5)])
    refused(UsageError, "not finite", plain(), [X, X / 0])
    refused(UsageError, "does not take inputs of shape", plain(), x=X[:, :3])
    refused(UsageError, "at least two inputs", plain(), x=X[:1])
    with pytest.raises(UsageError, match=r"net\.txt does not end in \.onnx"):
        quantize_onnx(plain(), tmp_path / "net.txt", X)
    refused(UsageError, "opset is 18 to 23 here, not 9", plain(), opset=9)
    refused(StructureError, "cannot be exported to ONNX", Deciding())
    refused(
        StructureError, "8 bits: dynamic 8 bits are for linear layers", nn.Sequential(nn.ReLU())
    )
    refused(StructureError, r"no layer of the network can be in 8 bits$", nn.ReLU(), [X])
    assert capfd.readouterr() == ("", "")


def test_a_wrong_file_is_never_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "net.onnx").write_text("old")
    made = module._by_tools

    def broken(*given: object) -> onnx.ModelProto:
        proto = made(*given)  # type: ignore[arg-type]
        for tensor in proto.graph.initializer:
            if tensor.name.endswith("_scale"):
                nothing = np.full(tensor.dims, np.nan, np.float32)
                tensor.CopyFrom(onnx.numpy_helper.from_array(nothing, tensor.name))
        return proto

    monkeypatch.setattr(module, "_by_tools", broken)
    with pytest.raises(AuditError, match="8-bit file's outputs differ from torch's by nan"):
        quantize_onnx(plain(), tmp_path / "net.onnx", X, [X])
    assert (tmp_path / "net.onnx").read_text() == "old"


def test_what_the_tools_stumble_over_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(*_: object) -> None:
        raise ValueError("first\nsecond")

    monkeypatch.setattr(module, "_quantize", stumble)
    with pytest.raises(StructureError, match=r"cannot bring the network to 8 bits: first$"):
        quantize_onnx(plain(), tmp_path / "net.onnx", X)


def test_a_full_disk_names_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.EFBIG, "File too large")

    monkeypatch.setattr(module, "_quantize", full)
    monkeypatch.setattr(module.tempfile, "tempdir", str(tmp_path))
    with pytest.raises(OutputError, match=rf"^cannot write {tmp_path}/\w+: File too large$"):
        quantize_onnx(plain(), tmp_path / "net.onnx", X)


def test_an_onnx_file_as_a_network(files: dict[str, Path], tmp_path: Path) -> None:
    content = files["static"].read_bytes()
    assert isinstance(maxprune.OnnxNetwork(content, threads=1), nn.Module)
    assert QuantizedNetwork(content, 0.0).opened()(torch.zeros(3, 1, 28, 28)).shape == (3, 10)
    with pytest.raises(UsageError, match=r"static.onnx does not take inputs of shape \(2, 3\)"):
        OnnxNetwork(files["static"])(torch.zeros(2, 3))
    with pytest.raises(StoreError, match=r"none\.onnx does not exist"):
        OnnxNetwork(tmp_path / "none.onnx")
    with pytest.raises(StoreError, match="the ONNX file cannot be opened by ONNX Runtime: "):
        OnnxNetwork(b"no such thing")
    proto = onnx.load(files["float"])
    proto.graph.output.append(proto.graph.output[0])
    proto.graph.output[1].name = proto.graph.node[0].output[0]
    with pytest.raises(StoreError, match="has 1 input and 2 outputs, where one of each"):
        OnnxNetwork(proto.SerializeToString())


@pytest.mark.parametrize("mode", ["dynamic", "static"])
def test_weights_that_two_layers_share_are_right_in_both(mode: str, tmp_path: Path) -> None:
    """ONNX Runtime's tools transpose them for one, and so would change the other."""
    torch.manual_seed(0)
    if mode == "dynamic":
        model, x = store_factories.tied().eval(), torch.rand(16, 4)
    else:
        model, x = store_factories.words().eval(), torch.randint(0, 50, (16, 3))
    found = quantize_onnx(model, tmp_path / "net.onnx", x, [x] if mode == "static" else None)
    assert found.difference < 0.1


@pytest.mark.parametrize("mode", ["dynamic", "static"])
def test_a_layer_that_is_used_often_is_in_the_file_once(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(64, 64)
    model = nn.Sequential(nn.Linear(6, 64), layer, nn.ReLU(), layer, nn.ReLU(), layer).eval()
    calibration = [X] if mode == "static" else None
    found = quantize_onnx(model, tmp_path / "net.onnx", X, calibration)
    assert found.integers == 6 * 64 + 64 * 64
    assert len(found.content) < len(module.exported(model, X)) / 1.3
    monkeypatch.setattr(module, "_merge", lambda graph: None)
    apart = quantize_onnx(model, tmp_path / "net.onnx", X, calibration)
    assert apart.integers == 6 * 64 + 3 * 64 * 64
    assert torch.equal(found.opened()(X), apart.opened()(X))
