"""Parameters and multiply-adds against hand formulas."""

from __future__ import annotations

import pytest
import torch
from small_networks import nested
from torch import Tensor, nn

from maxprune.measure import macs, nonzero, parameters
from maxprune.measure.layers import layer_costs
from maxprune.networks import lenet5
from maxprune.plan import MaxoutPlan
from maxprune.surgery import apply


def test_lenet_by_hand() -> None:
    conv = 24 * 24 * 20 * 25 + 8 * 8 * 50 * 20 * 25
    assert macs(lenet5(512), (1, 28, 28)) == conv + 800 * 512 + 512 * 10
    wide = apply(lenet5(512), MaxoutPlan(layer="fc1", k=4))
    assert macs(wide, (1, 28, 28)) == conv + 800 * 512 + 128 * 10


LAYERS: list[tuple[nn.Module, tuple[int, ...], int]] = [
    (nn.Linear(7, 3), (7,), 21),
    (nn.Linear(7, 3, bias=False), (7,), 21),
    (nn.Conv1d(2, 5, 3), (2, 10), 8 * 5 * 2 * 3),
    (nn.Conv2d(3, 4, 3, stride=2, padding=1), (3, 8, 8), 16 * 4 * 3 * 9),
    (nn.Conv2d(4, 8, 3, groups=2), (4, 8, 8), 36 * 8 * 2 * 9),
    (nn.Conv2d(3, 4, (1, 5), dilation=2), (3, 8, 12), 8 * 4 * 4 * 3 * 5),
    (nn.Sequential(nn.ReLU(), nn.MaxPool2d(2), nn.BatchNorm2d(3)), (3, 4, 4), 0),
]


@pytest.mark.parametrize(("layer", "shape", "expected"), LAYERS, ids=lambda v: str(v)[:30])
def test_layers_by_hand(layer: nn.Module, shape: tuple[int, ...], expected: int) -> None:
    assert macs(layer, shape) == expected


def test_other_number_types() -> None:
    assert macs(nn.Linear(7, 3).double(), (7,)) == 21


def test_leaves_modes_and_statistics_alone() -> None:
    model = nested().train()
    before = [b.clone() for b in model.buffers()]
    macs(model, (2, 8, 8))
    assert all(m.training for m in model.modules())
    assert all(torch.equal(a, b) for a, b in zip(model.buffers(), before, strict=True))


def test_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    macs(lenet5(8), (1, 28, 28))
    assert capsys.readouterr() == ("", "")


def test_parameters_count_once_and_nonzero_without_the_zeros() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    for parameter in model.parameters():
        nn.init.ones_(parameter)
    model[0].weight.data[0, :2] = 0.0
    model[1].bias.data[0] = 0.0
    assert (parameters(model), nonzero(model)) == (24, 21)
    model[1].weight = model[0].weight
    assert (parameters(model), nonzero(model)) == (15, 12)


@pytest.mark.parametrize(("kind", "gates"), [("LSTM", 4), ("GRU", 3), ("RNN", 1)])
def test_a_recurrent_layer_is_the_products_of_its_gates(kind: str, gates: int) -> None:
    layer = getattr(nn, kind)(8, 16, batch_first=True)
    assert macs(layer, (5, 8)) == 5 * gates * 16 * (8 + 16)
    assert torch.backends.mkldnn.is_available() == torch.backends.mkldnn.enabled


def test_attention_is_its_projections_and_its_two_products() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    projections, attention, after = 5 * 8 * (24 + 8), 2 * 5 * 5 * 8, 2 * 5 * 8 * 16
    assert macs(layer, (5, 8)) == projections + attention + after
    assert sum(c.macs for c in layer_costs(layer, torch.randn(3, 5, 8))) == macs(layer, (5, 8))
    assert torch.backends.mha.get_fastpath_enabled()


def test_whole_numbers_go_in_as_samples() -> None:
    net = nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(12, 2))
    assert macs(net, torch.zeros(7, 3, dtype=torch.long)) == 24


class Listed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(4, 6), nn.Linear(6, 3)])

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


def test_a_list_of_layers_costs_nothing_itself() -> None:
    costs = layer_costs(Listed(), torch.randn(2, 4))
    assert [(cost.name, cost.macs) for cost in costs] == [("layers.0", 24), ("layers.1", 18)]
