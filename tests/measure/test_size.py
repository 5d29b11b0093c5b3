"""Parameters and multiply-adds against hand formulas."""

from __future__ import annotations

import pytest
import torch
from small_networks import nested
from torch import nn

from maxprune.measure import macs, nonzero, parameters
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
