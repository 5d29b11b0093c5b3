"""The size of weights, and what every score must hold: the planner's side of the contract."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from maxprune.errors import UsageError
from maxprune.plan import ChannelGroup, KeepPlan, Member
from maxprune.planner import cut_plan, lowest
from maxprune.scores import magnitude, random_scores
from maxprune.surgery.trial import channel_groups


def group(name: str, channels: int, parts: int = 1, reason: str = "") -> ChannelGroup:
    member = Member(name=name, side="out")
    return ChannelGroup(name=name, channels=channels, members=(member,), parts=parts, reason=reason)


def numbers(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_the_norms_are_those_of_the_filters_relative_to_their_mean() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, (1, 2)), nn.ReLU(), nn.Conv2d(2, 1, 1))
    net[0].weight.data = torch.tensor([[[[3.0, -4.0]]], [[[0.0, 1.0]]]])
    groups = channel_groups(net, torch.randn(2, 1, 4, 4))
    assert magnitude(net, groups)["0"].tolist() == pytest.approx([7 / 4, 1 / 4])
    assert magnitude(net, groups, norm=2)["0"].tolist() == pytest.approx([5 / 3, 1 / 3])
    assert magnitude(net, groups).keys() == {"0"}
    with pytest.raises(UsageError, match="1 or 2, not 3"):
        magnitude(net, groups, norm=3)


def test_a_transposed_convolution_is_read_by_its_outputs() -> None:
    net = nn.Sequential(nn.ConvTranspose2d(4, 6, 1, groups=2), nn.Conv2d(6, 2, 1))
    with torch.no_grad():
        for channel in range(6):
            net[0].weight[channel // 3 * 2 : channel // 3 * 2 + 2, channel % 3] = channel + 1.0
    scores = magnitude(net, channel_groups(net, torch.randn(2, 4, 3, 3)))["0"]
    assert scores.tolist() == pytest.approx([i / 3.5 for i in range(1, 7)])


def test_dead_weights_give_scores_of_zero() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    nn.init.zeros_(net[0].weight)
    assert magnitude(net, channel_groups(net, torch.randn(2, 2)))["0"].tolist() == [0, 0, 0]


def test_random_scores_depend_on_their_seed_alone() -> None:
    groups = [group("a", 5), group("b", 4, reason="no")]
    assert torch.equal(random_scores(groups, 3)["a"], random_scores(groups, 3)["a"])
    assert not torch.equal(random_scores(groups, 3)["a"], random_scores(groups, 4)["a"])
    assert random_scores(groups).keys() == {"a"}


def test_the_lowest_of_all_groups_together_go() -> None:
    groups = [group("a", 3), group("b", 3)]
    scores = {"a": numbers(1, 2, 3), "b": numbers(10, 0.5, 30)}
    plan = lowest(groups, scores, 0.5, method="test")
    assert plan.keep == {"a": (2,), "b": (0, 2)}
    assert plan.method == "test"
    assert plan.members == {"a": groups[0].members, "b": groups[1].members}


def test_the_lowest_of_each_group_go() -> None:
    groups = [group("a", 4), group("b", 3)]
    scores = {"a": numbers(4, 3, 2, 1), "b": numbers(10, 5, 30)}
    assert lowest(groups, scores, 0.5, over="each").keep == {"a": (0, 1), "b": (0, 2)}


def test_among_equal_scores_the_earlier_goes_first() -> None:
    groups = [group("a", 4), group("b", 4)]
    scores = {"a": numbers(1, 1, 1, 1), "b": numbers(1, 1, 1, 1)}
    assert lowest(groups, scores, 0.5).keep == {"a": (3,), "b": (1, 2, 3)}


def test_a_group_is_never_emptied_and_the_share_is_made_up_elsewhere() -> None:
    groups = [group("a", 4), group("b", 4)]
    scores = {"a": numbers(0, 0, 0, 0), "b": numbers(5, 6, 7, 8)}
    assert lowest(groups, scores, 0.5).keep == {"a": (3,), "b": (1, 2, 3)}
    assert lowest(groups, scores, 0.99).keep == {"a": (3,), "b": (3,)}


def test_every_part_of_a_group_keeps_equally_many() -> None:
    groups = [group("a", 6, parts=2)]
    scores = {"a": numbers(1, 2, 3, 30, 20, 10)}
    assert lowest(groups, scores, 0.4).keep == {"a": (1, 2, 3, 4)}
    with pytest.raises(UsageError, match=r"nothing is left to cut: 0\.2 of the channels"):
        lowest(groups, scores, 0.2)


@pytest.mark.parametrize(
    ("scores", "share", "says"),
    [
        ({}, 0.5, "'a' needs one score for each of its 3 channels"),
        ({"a": numbers(1, 2)}, 0.5, "'a' needs one score for each of its 3 channels"),
        ({"a": numbers(1, float("nan"), 2)}, 0.5, "a score of 'a' is not a finite number"),
        ({"a": numbers(1, 2, 3)}, 1.0, "between 0 and 1, not 1.0"),
        ({"a": numbers(1, 2, 3)}, 0.0, "between 0 and 1, not 0.0"),
    ],
)
def test_bad_scores_and_shares_are_refused(scores, share, says) -> None:
    with pytest.raises(UsageError, match=says):
        lowest([group("a", 3)], scores, share)


def test_nothing_to_cut_is_said() -> None:
    with pytest.raises(UsageError, match="nothing is left to cut"):
        lowest([group("a", 3, reason="no")], {}, 0.5)


def test_a_plan_by_hand_names_groups_that_can_be_cut() -> None:
    groups = [group("a", 3), group("b", 3, reason="it is an output of the network")]
    assert cut_plan(groups, {"a": [0, 2]}).keep == {"a": (0, 2)}
    with pytest.raises(UsageError, match="no group 'c'; there are a, b"):
        cut_plan(groups, {"c": [0]})
    with pytest.raises(UsageError, match="'b' cannot be cut: it is an output"):
        cut_plan(groups, {"b": [0]})
    with pytest.raises(UsageError, match="would lose all"):
        cut_plan(groups, {"a": []})


@given(
    st.lists(st.tuples(st.integers(1, 5), st.integers(1, 4)), min_size=1, max_size=5),
    st.floats(0.01, 0.99),
    st.integers(0, 100),
    st.sampled_from(["all", "each"]),
)
def test_the_share_is_never_exceeded(shapes, share, seed, over) -> None:
    groups = [group(f"g{i}", each * parts, parts) for i, (each, parts) in enumerate(shapes)]
    total = sum(g.channels for g in groups)
    try:
        plan: KeepPlan = lowest(groups, random_scores(groups, seed), share, over)
    except UsageError:
        return
    removed = sum(len(plan.removed(name)) for name in plan.keep)
    assert 0 < removed <= share * total
    for g in groups:
        if g.name in plan.keep:
            each = g.channels // g.parts
            stay = torch.bincount(torch.tensor(plan.keep[g.name]) // each, minlength=g.parts)
            assert bool((stay == stay[0]).all())


def test_a_share_is_rounded_down_in_decimals() -> None:
    groups = [group("a", 100)]
    scores = {"a": torch.arange(100.0)}
    for share, gone in ((0.29, 29), (0.57, 57), (0.285, 28)):
        plan = lowest(groups, scores, share)
        assert len(plan.removed("a")) == gone
    with pytest.raises(UsageError, match="over 'all' or 'each', not 'global'"):
        lowest(groups, scores, 0.5, over="global")
