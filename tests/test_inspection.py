"""What is in a network: against counting by hand, and against cutting it."""

from __future__ import annotations

import io
import json

import pytest
import torch
from rich.console import Console
from torch import Tensor, nn
from zoo import ZOO, Kind

import maxprune
from maxprune.compression.winning import without_last
from maxprune.errors import StructureError, UsageError
from maxprune.inspection import Inspection, inspect, maxout_gains
from maxprune.measure import macs, parameters
from maxprune.plan import MaxoutPlan
from maxprune.report.inspection import inspection_tables
from maxprune.surgery import apply

EVERY = pytest.mark.parametrize("kind", ZOO, ids=lambda k: k.name)


def shown(found: Inspection, every: bool = False, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width)
    for part in inspection_tables(found, every):
        console.print(part)
    return console.file.getvalue()


@EVERY
def test_the_layers_add_up_to_the_network(kind: Kind) -> None:
    net = kind.build()
    found = inspect(net, kind.shape)
    assert found.parameters == parameters(net) == sum(layer.parameters for layer in found.layers)
    assert found.macs == macs(net, kind.shape) == sum(layer.macs for layer in found.layers)
    assert sum(layer.share for layer in found.layers) == pytest.approx(1)
    free = {group.name for group in found.groups if not group.reason}
    for layer in found.layers:
        assert bool(layer.group) == any(layer.name in group.layers for group in found.groups)
        assert (layer.group in free) == (bool(layer.group) and not layer.reason)
    assert Inspection.model_validate_json(found.model_dump_json()) == found


@EVERY
def test_the_gain_of_a_maxout_is_what_the_cut_then_removes(kind: Kind) -> None:
    torch.manual_seed(0)
    net = kind.build().eval()
    gains = [gain for gain in inspect(net, kind.shape).maxouts if not gain.reason]
    assert gains == sorted(gains, key=lambda gain: -gain.parameters)
    for gain in {gains[0].layer: gains[0], gains[-1].layer: gains[-1]}.values():
        small = apply(net, MaxoutPlan(layer=gain.layer, k=gain.k))
        for _ in range(gain.retrainings - 1):
            small = without_last(small, gain.layer)
        assert not any(isinstance(module, maxprune.Maxout) for module in small.modules())
        assert parameters(net) - parameters(small) == gain.parameters
        assert macs(net, kind.shape) - macs(small, kind.shape) == gain.macs
        assert gain.removed == pytest.approx(gain.parameters / parameters(net))


def test_lenet_is_that_of_the_paper() -> None:
    found = inspect(maxprune.networks.lenet5(fc=512), (1, 28, 28))
    gains = {(gain.layer, gain.k): gain.parameters for gain in found.maxouts}
    assert gains["fc1", 4] == 440_812 - 129_388
    # 13 units of the 50 filters of conv2: 25 weights of 20 maps and a bias each, 16 inputs of fc1.
    assert gains["conv2", 4] == (50 - 13) * (25 * 20 + 1 + 16 * 512)
    assert [layer.reason for layer in found.layers] == [
        "",
        "",
        "",
        "it is an output of the network",
    ]


def test_layers_to_skip_and_widths_below_k_say_so() -> None:
    net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))
    found = inspect(net, (4,), skip=["2"])
    reasons = {(gain.layer, gain.k): gain.reason for gain in found.maxouts}
    assert reasons["0", 2] == ""
    assert reasons["0", 4] == "k = 4 is more than its 3 neurons"
    assert reasons["2", 2] == "it is to be skipped"
    assert "output layer" in reasons["4", 2]


def test_an_embedding_takes_whole_numbers() -> None:
    net = nn.Sequential(nn.Embedding(9, 8), nn.Flatten(), nn.Linear(24, 4))
    found = inspect(net, (3,), kind="int")
    assert [layer.kind for layer in found.layers] == ["Embedding", "Linear"]
    with pytest.raises(UsageError, match="takes whole numbers, not floats: give kind=int"):
        inspect(net, (3,))


@pytest.mark.parametrize("shape", [(), (0,), (3, -1), (3.0,), ("3",)])
def test_a_shape_that_is_none_is_refused(shape) -> None:
    with pytest.raises(UsageError, match="an input shape is a row of numbers from 1"):
        inspect(nn.Linear(3, 2), shape)


def test_the_tables_say_what_was_found() -> None:
    found = inspect(ZOO[3].build(), ZOO[3].shape, skip=["blocks.0.conv1"])
    text = shown(found)
    assert "ResNet: 11,181,642 parameters" in text
    assert "with stem.0" in text
    assert "(1) it is to be skipped" in text
    assert "(2) it is an output of the network" in text
    assert "11 of 13 groups of channels can be cut" in text
    assert "stem.0, blocks.0.conv2, blocks.1.conv2" in text
    assert "(--all says why)" in text
    assert "no maxout behind:" in shown(found, every=True)
    vit = shown(inspect(ZOO[-1].build(), ZOO[-1].shape), width=80)
    assert all(len(line) <= 80 for line in vit.splitlines())


def test_a_network_with_nothing_to_cut_says_so() -> None:
    text = shown(inspect(nn.Sequential(nn.Linear(3, 2)), (3,)))
    assert "0 of 1 group of channels can be cut" in text
    assert "no maxout behind 1 of the layers" in text


def test_what_is_read_as_json_is_what_was_found() -> None:
    found = inspect(ZOO[1].build(), ZOO[1].shape)
    content = json.loads(found.model_dump_json())
    assert content["maxouts"][0]["layer"] == "conv2"
    assert content["groups"][1]["members"][1] == {
        "name": "fc1", "side": "in", "start": 0, "each": 16
    }  # fmt: skip


class Switching(nn.Module):
    """Dropout as a function of its own mode, and a part that stands in a Sequential."""

    def __init__(self) -> None:
        super().__init__()
        self.own = nn.Linear(6, 8)
        self.part = nn.Sequential(nn.Linear(8, 12), nn.ReLU(), nn.Linear(12, 2))

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.dropout(torch.relu(self.own(x)), training=self.training)
        return self.part(x)


def test_no_maxout_is_promised_where_none_can_be_put() -> None:
    """A graph cannot switch between training and evaluation; a Sequential can."""
    reasons = {gain.layer: gain.reason for gain in inspect(Switching(), (6,)).maxouts}
    assert "does something else in training" in reasons["own"]
    assert reasons["part.0"] == ""
    wide = apply(Switching(), MaxoutPlan(layer="part.0", k=2))
    assert [gain.layer for gain in maxout_gains(wide, torch.randn(2, 6), ks=[3])] == [
        "own", "part.0", "part.2",
    ]  # fmt: skip


def test_a_network_that_cannot_be_traced_is_refused_without_another_word(
    capfd: pytest.CaptureFixture[str],
) -> None:
    class Dependent(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            h = self[0](x)
            return self[1](h * 2 if h.sum() > 0 else h)

    with pytest.raises(StructureError, match="cannot be traced"):
        inspect(Dependent(nn.Linear(4, 8), nn.Linear(8, 2)), (4,))
    assert capfd.readouterr() == ("", "")
