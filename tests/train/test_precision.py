"""Training in bfloat16: close to float32, and chosen by the clock."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch._dynamo import OptimizedModule

from maxprune.data.images import Images
from maxprune.networks import Cosine
from maxprune.train import Fitting, train
from maxprune.train import precision as module
from maxprune.train.config import Precision
from maxprune.train.precision import in_precision, measured_compiling, measured_precision

CPU = torch.device("cpu")


def images() -> Images:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(64) % 4
    noise = torch.randint(0, 60, (64, 1, 8, 8), generator=generator)
    pixels = (noise + 60 * labels[:, None, None, None]).to(torch.uint8)
    return Images(pixels, labels, 4)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(288, 4)
    )


def test_products_are_computed_in_it() -> None:
    layer, x = nn.Linear(3, 2), torch.rand(1, 3)
    with in_precision("bfloat16", CPU):
        assert layer(x).dtype == torch.bfloat16
    with in_precision("float32", CPU):
        assert layer(x).dtype == torch.float32


def test_cosines_stay_exact() -> None:
    layer, x = Cosine(16, 5), torch.rand(3, 16)
    with in_precision("bfloat16", CPU):
        assert torch.equal(layer(x), layer.eval()(x))


def test_it_learns_as_well_and_keeps_float32() -> None:
    losses = {}
    for precision in ("float32", "bfloat16"):
        model = network()
        fitting = Fitting(iterations=60, batch=16, rate=0.05, precision=precision)  # type: ignore[arg-type]
        losses[precision] = train(model, images(), fitting).loss[-1]
        assert {p.dtype for p in model.parameters()} == {torch.float32}
        assert {b.dtype for b in model.buffers()} <= {torch.float32, torch.int64}
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.3)
    assert losses["bfloat16"] != losses["float32"]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [((1.0, 0.5), "bfloat16"), ((1.0, 0.95), "float32"), ((0.5, 5.0), "float32")],
)
def test_the_clock_decides(
    seconds: tuple[float, float], expected: Precision, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_name = dict(zip(("float32", "bfloat16"), seconds, strict=True))
    monkeypatch.setattr(module, "_seconds", lambda *given: by_name[given[-1]])
    x, y = images().batch(torch.arange(8))
    assert measured_precision(network(), x, y, Fitting()) == expected


def test_measuring_changes_nothing() -> None:
    model = network().eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    x, y = images().batch(torch.arange(8))
    assert measured_precision(model, x, y, Fitting()) in ("float32", "bfloat16")
    assert not model.training
    assert all(torch.equal(before[n], t) for n, t in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize(
    ("plain", "compiled", "iterations", "expected"),
    [
        (1.0, 0.5, 1000, True),
        (1.0, 0.95, 1000, False),  # hardly faster
        (1.0, 0.5, 599, False),  # not worth trying
        (1.0, 2.0, 1000, False),
    ],
)
def test_compiling_has_to_pay(
    plain: float, compiled: float, iterations: int, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def seconds(model: nn.Module, *_: object) -> float:
        return compiled if isinstance(model, OptimizedModule) else plain

    compiling = torch.compile
    monkeypatch.setattr(torch, "compile", lambda model: compiling(model, backend="eager"))
    monkeypatch.setattr(module, "_seconds", seconds)
    x, y = images().batch(torch.arange(8))
    fitting = Fitting(iterations=iterations)
    assert measured_compiling(network(), x, y, fitting, "float32") is expected


def test_where_nothing_compiles_nothing_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> nn.Module:
        raise RuntimeError("no compiler")

    monkeypatch.setattr(module, "_seconds", lambda *_: 1.0)
    monkeypatch.setattr(torch, "compile", fails)
    x, y = images().batch(torch.arange(8))
    assert measured_compiling(network(), x, y, Fitting(), "float32") is False


def test_a_compiled_network_learns_and_stays_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = []
    compiling = torch.compile

    def eager(model: nn.Module) -> object:
        compiled.append(model)
        return compiling(model, backend="eager")

    monkeypatch.setattr(torch, "compile", eager)
    one, other = network(), network()
    train(one, images(), Fitting(iterations=20, batch=16))
    train(other, images(), Fitting(iterations=20, batch=16, compiled=True))
    assert compiled == [other]
    assert all(torch.equal(p, q) for p, q in zip(one.parameters(), other.parameters(), strict=True))
