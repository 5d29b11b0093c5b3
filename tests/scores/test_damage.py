"""Damage: what other scores propose, cut and measured, in one order over all layers."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import maxprune
from maxprune.data.samples import Pictures
from maxprune.errors import UsageError
from maxprune.measure import parameters
from maxprune.plan import ChannelGroup
from maxprune.planner import cut_plan, in_turn, lowest
from maxprune.scores import magnitude, named
from maxprune.scores.damage import PARTS, damage
from maxprune.scores.readers import Scores
from maxprune.surgery import apply
from maxprune.surgery.trial import channel_groups

Batches = list[tuple[Tensor, Tensor]]


@pytest.fixture
def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(216, 40),
        nn.ReLU(), nn.Linear(40, 3),
    ).eval()  # fmt: skip


@pytest.fixture
def groups(net: nn.Module) -> tuple[ChannelGroup, ...]:
    return channel_groups(net, torch.rand(2, 1, 8, 8))


@pytest.fixture
def batches() -> Batches:
    torch.manual_seed(1)
    return [(torch.rand(n, 1, 8, 8), torch.randint(3, (n,))) for n in (20, 7)]


def by_lot(groups: tuple[ChannelGroup, ...], seed: int) -> Scores:
    generator = torch.Generator().manual_seed(seed)
    return {g.name: torch.rand(g.channels, generator=generator) for g in groups if not g.reason}


def loss(net: nn.Module, batches: Batches) -> float:
    x, y = (torch.cat(parts) for parts in zip(*batches, strict=True))
    with torch.no_grad():
        return float(F.cross_entropy(net(x), y))


def test_the_first_to_go_is_the_cheapest_of_all_proposals(
    net: nn.Module, groups: tuple[ChannelGroup, ...], batches: Batches
) -> None:
    proposals = {"one": by_lot(groups, 1), "other": by_lot(groups, 2)}
    found = damage(net, groups, proposals, batches, parameters)
    prices = {}
    for name, scores in proposals.items():
        for group in groups:
            if group.reason:
                continue
            goes = in_turn(group, scores)[0].flatten()[: max(1, group.channels // PARTS)].tolist()
            keep = [i for i in range(group.channels) if i not in goes]
            cut = apply(net, cut_plan(groups, {group.name: keep}))
            saved = parameters(net) - parameters(cut)
            grown = loss(cut, batches) - loss(net, batches)
            prices[name, group.name] = grown / saved, goes
    price, goes = min(prices.values())
    layer = next(key[1] for key, value in prices.items() if value[0] == price)
    assert found[layer].argsort()[: len(goes)].tolist() == goes
    assert all(float(s.min()) >= len(goes) for name, s in found.items() if name != layer)


def test_every_channel_has_a_place_and_all_can_go_but_one(
    net: nn.Module, groups: tuple[ChannelGroup, ...], batches: Batches
) -> None:
    found = damage(net, groups, {"one": by_lot(groups, 1)}, batches, parameters)
    free = [group for group in groups if not group.reason]
    assert found.keys() == {group.name for group in free}
    assert all(bool((scores >= 0).all()) for scores in found.values())
    plan = lowest(free, found, 0.97)
    assert sum(map(len, plan.keep.values())) == 2


def test_what_is_useless_goes_before_all_else(
    net: nn.Module, groups: tuple[ChannelGroup, ...], batches: Batches
) -> None:
    """One score knows which neurons nobody reads, the other which filters."""
    with torch.no_grad():
        net[6].weight[:, :8] = 0
        net[4].weight.view(40, 6, 36)[:, 4] = 0
    knows = {
        "neurons": {"4": torch.tensor([0.0] * 8 + [1.0] * 32), "0": torch.rand(6)},
        "filters": {"4": torch.rand(40), "0": torch.tensor([1.0, 1, 1, 1, 0, 1])},
    }
    found = damage(net, groups, knows, batches, parameters)
    last = max(float(found["4"][:8].max()), float(found["0"][4]))
    others = torch.cat([found["4"][8:], found["0"][[0, 1, 2, 3, 5]]])
    helps = int((others < last).sum())  # a channel may do harm, and then goes before
    plan = lowest([g for g in groups if not g.reason], found, (9 + helps) / 46)
    assert set(range(8)) <= set(plan.removed("4"))
    assert 4 in plan.removed("0")
    assert helps < 15


def test_of_what_does_harm_the_largest_goes_first(
    net: nn.Module, groups: tuple[ChannelGroup, ...], batches: Batches
) -> None:
    """Both layers have a channel that only does harm; a filter saves more than a neuron."""
    with torch.no_grad():
        for module in (net[4], net[6]):
            module.weight.zero_()
        net[4].weight.view(40, 6, 36)[39, 5] = 1.0
        net[6].weight[0, 39] = 50.0
        net[6].bias.zero_()
    spared = [(x, torch.ones_like(y)) for x, y in batches]
    knows = {"lot": {"0": torch.tensor([1.0] * 5 + [0]), "4": torch.tensor([1.0] * 39 + [0])}}
    found = damage(net, groups, knows, spared, parameters)
    assert float(found["0"][5]) == 0


def test_parts_lose_equally_many(batches: Batches) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=2), nn.ReLU(), nn.Flatten(),
        nn.Linear(128, 3),
    ).eval()  # fmt: skip
    groups = channel_groups(net, torch.rand(2, 1, 8, 8))
    proposals = {"magnitude": magnitude(net, groups), "lot": by_lot(groups, 1)}
    found = damage(net, groups, proposals, batches, parameters)
    plan = lowest([group for group in groups if not group.reason], found, 0.4)
    apply(net, plan)
    split = next(group for group in groups if group.parts == 2)
    for row in in_turn(split, found)[0]:
        assert float(found[split.name][row[0]]) == float(found[split.name][row[1]])


def test_a_size_of_another_kind_gives_another_order(
    net: nn.Module, groups: tuple[ChannelGroup, ...], batches: Batches
) -> None:
    one, other = (
        damage(net, groups, {"one": by_lot(groups, 1)}, batches, size)
        for size in (parameters, lambda network: float(network[0].out_channels))
    )
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_nothing_to_go_by_is_refused(
    net: nn.Module, groups: tuple[ChannelGroup, ...], batches: Batches
) -> None:
    with pytest.raises(UsageError, match="no score has anything to say"):
        damage(net, groups, {"none": {}}, batches, parameters)
    with pytest.raises(UsageError, match="no samples to score on"):
        damage(net, groups, {"one": by_lot(groups, 1)}, [], parameters)


def test_no_more_is_put_in_order_than_is_to_be_cut(
    net: nn.Module, groups: tuple[ChannelGroup, ...], batches: Batches
) -> None:
    proposals = {"one": by_lot(groups, 1), "other": by_lot(groups, 2)}
    seen = []

    def size(network: nn.Module) -> int:
        seen.append(network)
        return parameters(network)

    free = [group for group in groups if not group.reason]
    whole = damage(net, free, proposals, batches, parameters)
    part = damage(net, free, proposals, batches, size, reach=0.2)
    few = len(seen)
    damage(net, free, proposals, batches, size)
    assert few < (len(seen) - few) / 2
    assert lowest(free, part, 0.2).keep == lowest(free, whole, 0.2).keep


def test_damage_is_measured_on_pictures_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """However they are augmented: a network that was not trained on such would look broken."""
    seen: list[Tensor] = []

    def watched(model: nn.Module, groups: object, proposals: object, batches: Batches, *_: object):
        seen.extend(x for x, _ in batches)
        return {}

    monkeypatch.setattr(named, "damage", watched)
    images = maxprune.data.load("digits").train
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 4), nn.ReLU(), nn.Linear(4, 10))
    groups = channel_groups(model, images.batch(torch.arange(2))[0])
    named.SCORES["damage"].of(
        model, groups, Pictures(images, crop=3, noise=0.5, flip=True), named.Scoring()
    )
    known = {row.numpy().tobytes() for row in images.batch(torch.arange(len(images)))[0]}
    rows = torch.cat(seen)
    assert len(rows) == min(named.MEASURED, len(images) // named.BATCH * named.BATCH)
    assert all(row.numpy().tobytes() in known for row in rows)
