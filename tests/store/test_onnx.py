import copy
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import store_factories
import torch
from store_helpers import cut
from torch import Tensor, nn

from maxprune.errors import AuditError, OutputError, StructureError, UsageError
from maxprune.plan import MaxoutPlan
from maxprune.store import export_onnx
from maxprune.store.onnx import _check
from maxprune.surgery import apply

X = torch.rand(3, 6, generator=torch.Generator().manual_seed(0))


def branching() -> nn.Module:
    return apply(store_factories.branching().eval(), MaxoutPlan(layer="first", k=4))


@pytest.mark.parametrize(("make", "shape"), [(cut, (1, 28, 28)), (branching, (6,))])
def test_the_file_gives_what_torch_gives_at_every_batch(
    make: Any, shape: tuple[int, ...], tmp_path: Path
) -> None:
    model = make().train()
    before = copy.deepcopy(model.state_dict())
    path = export_onnx(model, tmp_path / "m.onnx", torch.rand(4, *shape))
    assert all(m.training for m in model.modules())
    assert all(torch.equal(t, before[n]) for n, t in model.state_dict().items())
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for batch in (1, 2, 7):
        x = torch.randn(batch, *shape)
        with torch.no_grad():
            expected = model.eval()(x).numpy()
        (found,) = session.run(["output"], {"input": x.numpy()})
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    proto = onnx.load(path)
    onnx.checker.check_model(proto, full_check=True)
    assert {node.domain for node in proto.graph.node} <= {"", "ai.onnx"}
    assert not proto.functions
    for private in (b"site-packages", b".py", str(Path.home()).encode(), b"stack_trace"):
        assert private not in path.read_bytes()


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, onnx.ModelProto]:
    model = store_factories.plain().eval()
    return model, onnx.load(export_onnx(model, tmp_path_factory.mktemp("good") / "m.onnx", X))


def test_a_wrong_file_is_never_written(
    good: tuple[nn.Module, onnx.ModelProto], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, proto = good
    export_onnx_with(monkeypatch, proto)
    export_onnx(model, tmp_path / "right.onnx", X)
    (tmp_path / "m.onnx").write_text("old")
    wrong = copy.deepcopy(proto)
    weight = next(t for t in wrong.graph.initializer if "weight" in t.name)
    values = onnx.numpy_helper.to_array(weight).copy()
    values.flat[0] += 0.5
    weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
    export_onnx_with(monkeypatch, wrong)
    with pytest.raises(AuditError, match=r"outputs differ from torch's by \d") as caught:
        export_onnx(model, tmp_path / "m.onnx", X)
    assert "\n" not in str(caught.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.onnx", "right.onnx"]
    assert (tmp_path / "m.onnx").read_text() == "old"


def export_onnx_with(monkeypatch: pytest.MonkeyPatch, proto: onnx.ModelProto) -> None:
    """Let torch's exporter give this file."""

    class Program:
        model_proto = proto

    monkeypatch.setattr("torch.onnx.export", lambda *_, **__: Program())


def test_another_shape_that_could_be_broadcast_is_seen(
    good: tuple[nn.Module, onnx.ModelProto],
) -> None:
    model, proto = good

    class Summed(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return model(x)[:, :1]

    with pytest.raises(AuditError, match=r"outputs are \(3, 3\), where torch's are \(3, 1\)"):
        _check(proto, Summed(), X)


@pytest.mark.parametrize("inside", [False, True])
def test_an_operator_that_is_not_standard_is_seen(
    good: tuple[nn.Module, onnx.ModelProto], inside: bool
) -> None:
    model, proto = copy.deepcopy(good[0]), copy.deepcopy(good[1])
    node = onnx.helper.make_node("Gelu", ["a"], ["b"], domain="com.microsoft")
    if inside:
        body = onnx.helper.make_graph([node], "body", [], [])
        node = onnx.helper.make_node("If", ["c"], ["d"], then_branch=body, else_branch=body)
    proto.graph.node.append(node)
    with pytest.raises(AuditError, match=r"not standard: \['com.microsoft'\]"):
        _check(proto, model, X)


def test_outputs_that_are_no_numbers_are_seen(good: tuple[nn.Module, onnx.ModelProto]) -> None:
    model = copy.deepcopy(good[0])
    with torch.no_grad():
        model[2].bias[0] = float("nan")
    with pytest.raises(AuditError, match="differ from torch's by nan"):
        _check(good[1], model, X)


def test_what_cannot_be_exported(tmp_path: Path) -> None:
    class Deciding(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + 1 if bool(x.sum() > 0) else x

    with pytest.raises(StructureError, match="Deciding cannot be exported to ONNX: ") as caught:
        export_onnx(Deciding(), tmp_path / "m.onnx", X)
    assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match="at least two inputs"):
        export_onnx(store_factories.plain(), tmp_path / "m.onnx", X[:1])
    with pytest.raises(UsageError, match=r"does not take inputs of shape \(4, 3\): "):
        export_onnx(store_factories.plain(), tmp_path / "m.onnx", torch.zeros(4, 3))

    class Two(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x, x

    with pytest.raises(StructureError, match="gives a tuple, not one tensor"):
        export_onnx(Two(), tmp_path / "m.onnx", X)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written(
    good: tuple[nn.Module, onnx.ModelProto], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_onnx_with(monkeypatch, good[1])
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match="cannot write"):
        export_onnx(good[0], tmp_path / "file" / "m.onnx", X)
