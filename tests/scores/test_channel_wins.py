"""Wins of channels among their neighbours, where no maxout stands in the network."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from maxprune.errors import StructureError, UsageError
from maxprune.scores import channel_wins, count_wins
from maxprune.surgery import apply
from maxprune.surgery.trial import channel_groups

Batches = list[tuple[Tensor, Tensor]]


@pytest.fixture
def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 6, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(54, 8), nn.ReLU(),
        nn.Linear(8, 3),
    ).eval()  # fmt: skip


@pytest.fixture
def batches() -> Batches:
    torch.manual_seed(1)
    return [(torch.randn(n, 1, 8, 8), torch.zeros(n, dtype=torch.long)) for n in (20, 7)]


def found_in(net: nn.Sequential, batches: Batches, **how: int) -> dict[str, Tensor]:
    return channel_wins(net, channel_groups(net, torch.rand(2, 1, 8, 8)), batches, **how)


def by_hand(values: Tensor, k: int) -> list[float]:
    """Of (samples, channels, positions), one position after the other."""
    scores = []
    for start in range(0, values.shape[1], k):
        unit = values[:, start : start + k].movedim(1, -1).reshape(-1, len(values[0, start:][:k]))
        won = [int(row.argmax()) for row in unit if float(row.max()) > 0]
        mean = max(1, len(won)) / unit.shape[1]
        scores += [won.count(i) / mean for i in range(unit.shape[1])]
    return scores


def test_wins_are_those_counted_by_hand_in_front_of_the_pooling(
    net: nn.Sequential, batches: Batches
) -> None:
    x = torch.cat([x for x, _ in batches])
    with torch.no_grad():
        maps, rows = net[:2](x).flatten(2), net[:6](x)[:, :, None]
    found = found_in(net, batches)
    assert found["0"].tolist() == pytest.approx(by_hand(maps, 3))  # two units, no one and a half
    assert found["4"].tolist() == pytest.approx(by_hand(rows, 4))
    assert found["0"].sum() == pytest.approx(6)  # the mean of each unit is 1


def test_they_rank_as_a_maxout_in_the_network_does(net: nn.Sequential, batches: Batches) -> None:
    from maxprune.plan import maxout_plan

    inserted = apply(net, maxout_plan("4", 4))
    wins = count_wins(inserted, "4", batches).wins.double()
    share = 4 * wins / wins.sum(1, keepdim=True)
    assert found_in(net, batches)["4"].tolist() == pytest.approx(share.flatten().tolist())


def test_a_unit_that_is_never_active_has_nothing_to_say(
    net: nn.Sequential, batches: Batches
) -> None:
    with torch.no_grad():
        net[4].weight[:4] = 0
        net[4].bias[:4] = -1
    assert found_in(net, batches)["4"][:4].tolist() == [0, 0, 0, 0]


def test_parts_of_other_processes_add_up(net: nn.Sequential, batches: Batches) -> None:
    groups = channel_groups(net, torch.rand(2, 1, 8, 8))
    both = channel_wins(net, groups, batches * 2)
    doubled = channel_wins(net, groups, batches, reduce=lambda counts: 2 * counts)
    assert doubled["0"].tolist() == both["0"].tolist()


def test_what_cannot_work_is_refused(net: nn.Sequential, batches: Batches) -> None:
    with pytest.raises(UsageError, match="a unit has at least 2 channels, not 1"):
        found_in(net, batches, k=1)
    with pytest.raises(UsageError, match="no samples to score on"):
        found_in(net, [])
    with torch.no_grad():
        net[0].weight[0] = torch.nan
    with pytest.raises(StructureError, match="layer '0' gives NaN or infinity"):
        found_in(net, batches)
