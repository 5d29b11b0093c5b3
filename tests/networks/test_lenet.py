"""LeNet-5 and the parameter counts of the paper's Table 1."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from maxprune.errors import UsageError
from maxprune.lineage import Lineage, lineage
from maxprune.measure import parameters
from maxprune.networks import Maxout, lenet5
from maxprune.plan import KeepPlan, MaxoutPlan, keep_plan
from maxprune.surgery import apply

# network, F, baseline, then k = 4, 3, 2, 1: parameters and % removed (DESIGN section 1).
TABLE_1 = [
    ("MFC", 128, 129388, (128428, 102796, 77164, 51532), (0.74, 20.55, 40.36, 60.17)),
    ("MFC", 256, 233196, (231276, 180012, 128748, 77484), (0.82, 22.81, 44.79, 66.77)),
    ("MFC", 512, 440812, (436972, 334444, 231916, 129388), (0.87, 24.13, 47.39, 70.65)),
    ("MC", 128, 134486, (54614, 48101, 41588, 35075), (59.39, 64.23, 69.08, 73.92)),
    ("MC", 256, 242390, (82646, 76133, 69620, 63107), (65.90, 68.59, 71.28, 73.96)),
    ("MC", 512, 458198, (138710, 132197, 125684, 119171), (69.73, 71.15, 72.57, 73.99)),
]


def without_last(layer: str, units: int, k: int) -> KeepPlan:
    """Remove the last neuron of every unit."""
    keep = tuple(i for i in range(units * k) if i % k != k - 1)
    return keep_plan({layer: units * k}, {layer: keep}, "test")


@pytest.mark.parametrize(("kind", "fc", "baseline", "counts", "removed"), TABLE_1)
def test_parameters_of_table_1(
    kind: str, fc: int, baseline: int, counts: tuple[int, ...], removed: tuple[float, ...]
) -> None:
    layer, neurons = ("fc1", fc) if kind == "MFC" else ("conv2", 52)
    net: nn.Module = lenet5(fc) if kind == "MFC" else lenet5(fc, [20, 52], "conv")
    assert parameters(net) == baseline
    net = apply(net, MaxoutPlan(layer=layer, k=4))
    found = [parameters(net)]
    for k in (4, 3, 2):
        net = apply(net, without_last(layer, neurons // 4, k))
        found.append(parameters(net))
    assert tuple(found) == counts
    assert tuple(round(100 * (1 - n / baseline), 2) for n in found) == removed
    assert not any(isinstance(m, Maxout) for m in net.modules())


@pytest.mark.parametrize("dropout", ["fc", "conv"])
def test_runs_on_28_by_28_pictures(dropout: str) -> None:
    net = lenet5(fc=8, conv=(2, 3), dropout=dropout, classes=7)  # type: ignore[arg-type]
    assert net(torch.rand(2, 1, 28, 28)).shape == (2, 7)


def test_dropout_stands_where_the_maxout_comes() -> None:
    fc = [name for name, _ in lenet5(fc=8).named_children()]
    conv = [name for name, _ in lenet5(fc=8, dropout="conv").named_children()]
    assert fc[fc.index("dropout") - 1] == "relu"
    assert conv[conv.index("dropout") - 1] == "conv2"


def test_starts_from_xavier_weights_and_zero_biases() -> None:
    net = lenet5(fc=64)
    fc1 = net.get_submodule("fc1")
    assert isinstance(fc1, nn.Linear)
    bound = (6 / (800 + 64)) ** 0.5
    assert 0.99 * bound < float(fc1.weight.detach().abs().max()) <= bound
    assert all(not p.any() for name, p in net.named_parameters() if name.endswith("bias"))


def test_the_same_seed_gives_the_same_network() -> None:
    torch.manual_seed(3)
    one = lenet5(fc=8)
    torch.manual_seed(3)
    other = lenet5(fc=8)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_knows_how_it_was_built() -> None:
    assert lineage(lenet5(16, dropout="conv")) == Lineage(
        "maxprune.networks.lenet:lenet5", {"fc": 16, "dropout": "conv"}
    )


@pytest.mark.parametrize(
    "wrong", [{"fc": 0}, {"conv": (20,)}, {"conv": (20, 0)}, {"classes": 0}, {"dropout": "both"}]
)
def test_refuses_what_is_no_lenet(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        lenet5(**wrong)  # type: ignore[arg-type]
