"""What can be reached at all is known before any training."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import maxprune
from maxprune.compress import Run, check_settings
from maxprune.compression import Compression
from maxprune.compression.reach import is_met, way_down
from maxprune.data import Dataset
from maxprune.data.samples import Splits
from maxprune.data.spec import as_splits
from maxprune.errors import UsageError
from maxprune.measure import macs, parameters
from maxprune.networks import lenet5


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.inner = nn.Conv2d(1, 8, 5, stride=3), nn.Conv2d(8, 6, 3, padding=1)
        self.back, self.out = nn.Conv2d(6, 8, 3, padding=1), nn.Linear(8 * 64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.stem(x))
        return self.out((x + self.back(torch.relu(self.inner(x)))).flatten(1))


@pytest.fixture(scope="module")
def splits(data: Dataset) -> Splits:
    return as_splits(data)


def net() -> nn.Module:
    return lenet5(fc=8, conv=(2, 4))


def last(settings: Compression, splits: Splits, model: nn.Module) -> nn.Module:
    return list(way_down(settings, splits, model))[-1]


def widths(model: nn.Module) -> list[int]:
    return [model.conv1.out_channels, model.conv2.out_channels, model.fc1.out_features]


def test_the_end_of_the_way_has_one_channel_wherever_it_may_be_cut(splits: Splits) -> None:
    assert widths(last(Compression(), splits, net())) == [1, 1, 1]
    assert widths(last(Compression(skip=("conv2",)), splits, net())) == [1, 4, 1]
    maxout = Compression(method="maxout", k=4)
    assert widths(last(maxout, splits, net())) == [2, 2, 2]  # a maxout leaves two at least
    assert widths(last(maxout.model_copy(update={"rounds": 1}), splits, net())) == [2, 2, 2]
    once = maxout.model_copy(update={"rounds": 1, "k": 2})
    assert widths(last(once, splits, lenet5(fc=8, conv=(4, 4)))) == [2, 2, 4]


def test_parts_keep_one_channel_each_until_they_are_channels_of_their_own(splits: Splits) -> None:
    grouped = nn.Sequential(
        nn.Conv2d(1, 8, 5), nn.ReLU(), nn.Conv2d(8, 8, 5, groups=2), nn.Flatten(),
        nn.Linear(8 * 400, 10),
    )  # fmt: skip
    way = list(way_down(Compression(), splits, grouped))
    assert [(net[0].out_channels, net[2].groups) for net in way] == [(2, 2), (1, 1)]


@pytest.mark.parametrize("method", ["taylor", "maxout"])
def test_a_budget_out_of_reach_is_refused_and_the_smallest_named(
    splits: Splits, method: str
) -> None:
    settings = Compression(method=method)
    smallest = last(settings, splits, net())
    sizes = {
        "max_parameters": (parameters(smallest), "parameters"),
        "max_macs": (macs(smallest, splits.example), "MACs"),
    }
    for name, (reached, unit) in sizes.items():
        within = settings.model_copy(update={name: reached})
        check_settings(within, splits, net())
        below = settings.model_copy(update={name: reached - 1})
        says = rf"{method} cannot .* {reached - 1:,} {unit} \({reached:,} at least\)"
        with pytest.raises(UsageError, match=says):
            check_settings(below, splits, net())


def test_what_nobody_knows_is_left_to_the_search(splits: Splits) -> None:
    class Squeezed(Residual):
        """With one channel its outputs have another shape."""

        def forward(self, x: Tensor) -> Tensor:
            x = super().forward(x)
            if self.stem.out_channels == 1:
                raise IndexError("no such channel")
            return x

    check_settings(Compression(max_parameters=1), splits, Squeezed())


def test_it_is_refused_before_any_training(splits: Splits) -> None:
    told: list[Any] = []
    with pytest.raises(UsageError, match=r"bytes \(.* at least\)"):
        maxprune.compress(net(), splits, max_bytes=10, run=Run(lambda *a: told.append(a)))
    assert told == []


def test_what_does_not_follow_from_the_network_is_not_refused(splits: Splits) -> None:
    check_settings(Compression(max_latency_ms=1e-9), splits, net())
    check_settings(Compression(max_parameters=1, zero=0.5), splits, net())


def test_a_budget_that_is_met_is_known_before(splits: Splits) -> None:
    assert is_met(Compression(max_macs=10**9), splits, net())
    assert is_met(Compression(max_macs=10**9, max_latency_ms=1e6), splits, net())
    assert not is_met(Compression(max_macs=10**9, max_parameters=9), splits, net())
    assert not is_met(Compression(max_macs=10**9, zero=0.5), splits, net())
    assert not is_met(Compression(keep_accuracy=5), splits, net())


def test_what_hangs_together_goes_together(splits: Splits) -> None:
    smallest = last(Compression(), splits, Residual())
    assert (smallest.stem.out_channels, smallest.back.out_channels) == (1, 1)
    assert smallest.inner.out_channels == 1
