"""Passes that only read take smaller batches where memory is out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch_pruning
from torch import Tensor, fx, nn

from maxprune.data import Dataset
from maxprune.errors import OutOfMemory
from maxprune.halving import in_halves
from maxprune.measure import correct, descriptors, parameters
from maxprune.measure.accuracy import answers, predict
from maxprune.networks import Maxout
from maxprune.scores import apoz, count_wins, library, magnitude, skeletonization, taylor, vip
from maxprune.scores.damage import damage
from maxprune.scores.readers import Scores
from maxprune.surgery import channel_groups


@fx.wrap
def enough(x: Tensor, most: int) -> Tensor:
    """The same, where there are not too many samples."""
    if len(x) > most:
        raise torch.OutOfMemoryError("CUDA out of memory.")
    return x


class Hungry(nn.Module):
    """Needs more memory than there is for more samples than these; counts its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.most, self.calls = 10**9, 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return enough(x, self.most)


@pytest.fixture
def network() -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return nn.Sequential(
            nn.Conv2d(1, 4, 5, 3), nn.ReLU(), nn.Flatten(), Hungry(), nn.Linear(256, 12),
            nn.ReLU(), Maxout(3), nn.Linear(4, 10),
        ).eval()  # fmt: skip


def test_what_is_counted_and_measured_is_the_same(network: nn.Sequential, data: Dataset) -> None:
    test, hungry = data.test, network[3]
    inputs = [x for x, _ in test.batches(100)]

    def found() -> list[Tensor]:
        wins = count_wins(network, "4", inputs)
        return [
            predict(network, test), *answers(network, test), correct(network, test), wins.wins,
            torch.tensor(wins.positions), descriptors(network, "5", inputs),
        ]  # fmt: skip

    expected = found()
    hungry.most, hungry.calls = 17, 0
    for one, other in zip(found(), expected, strict=True):
        if one.is_floating_point():
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)
        else:
            assert torch.equal(one, other)
    # 360, 180, 90, 45 and 23 are too many; then each 45 is 12, 11, 12 and 10.
    hungry.calls = 0
    correct(network, test)
    assert hungry.calls == 5 + 8 * 4


def magnitude_of_gradients(net: nn.Module, groups: Any, batches: Any) -> Scores:
    """A score of Torch-Pruning, which wants the gradients of the mean loss."""
    return library(net, groups, batches, torch_pruning.importance.GroupTaylorImportance())


def by_damage(net: nn.Module, groups: Any, batches: Any) -> Scores:
    """What magnitude proposes, measured."""
    return damage(net, groups, {"magnitude": magnitude(net, groups)}, batches, parameters)


def test_importance_is_the_same(data: Dataset) -> None:
    torch.manual_seed(3)
    hungry = Hungry()
    net = nn.Sequential(
        nn.Conv2d(1, 6, 5, 3), nn.ReLU(), hungry, nn.Flatten(), nn.Linear(384, 10)
    ).eval()
    groups = channel_groups(net, torch.rand(2, 1, 28, 28))
    expected = vip(net, groups, data.test.batches(200))
    hungry.most = 50
    found = vip(net, groups, data.test.batches(200))
    for name, score in expected.items():
        torch.testing.assert_close(found[name], score, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    "score", [skeletonization, taylor, apoz, magnitude_of_gradients, by_damage]
)
def test_what_goes_by_gradients_and_zeros_is_the_same(score: Callable[..., Scores]) -> None:
    torch.manual_seed(3)
    hungry = Hungry()
    net = nn.Sequential(
        nn.Conv2d(1, 6, 5, 3), nn.ReLU(), hungry, nn.Flatten(), nn.Linear(384, 10)
    ).eval()
    batches = [(torch.rand(20, 1, 28, 28), torch.randint(10, (20,))) for _ in range(3)]
    groups = channel_groups(net, torch.rand(2, 1, 28, 28))
    expected = score(net, groups, batches)
    hungry.most = 6
    found = score(net, groups, batches)
    assert expected
    assert found.keys() == expected.keys()
    for name, one in expected.items():
        torch.testing.assert_close(found[name], one, atol=1e-7, rtol=1e-5)


def test_all_samples_are_seen_once_and_in_their_order() -> None:
    def look(part: tuple[Tensor]) -> list[int]:
        if len(part[0]) > 3:
            raise MemoryError
        return part[0].tolist()

    def batches() -> Iterator[tuple[Tensor]]:
        yield from zip(torch.arange(23).split(10), strict=True)

    seen = list(in_halves(batches(), look))
    assert [one for part in seen for one in part] == [*range(23)]
    assert max(map(len, seen)) == 3


def test_a_sample_that_does_not_fit_is_refused(network: nn.Sequential, data: Dataset) -> None:
    network[3].most = 0
    with pytest.raises(OutOfMemory, match="out of memory with 1 sample at a time: take smaller"):
        correct(network, data.test)


def test_another_error_is_passed_on() -> None:
    with pytest.raises(RuntimeError, match="mine"):
        list(in_halves([(torch.zeros(4),)], lambda _: (_ for _ in ()).throw(RuntimeError("mine"))))
