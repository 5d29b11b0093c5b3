"""The largest share that costs nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from maxprune.errors import UsageError
from maxprune.plan import ZeroPlan
from maxprune.surgery import apply
from maxprune.weights import choose_share, prunable


def network(bias: bool = False) -> nn.Module:
    model = nn.Linear(10, 10, bias=bias)
    model.weight.data = torch.arange(1, 101).reshape(10, 10) / 100
    return model


def zeros(model: nn.Module) -> int:
    return sum(int((w == 0).sum()) for w in prunable(model))


def by_zeros(function: Callable[[int], float]) -> Callable[[nn.Module], float]:
    return lambda model: function(zeros(model))


def test_the_last_share_before_the_loss() -> None:
    plan = choose_share(network(), by_zeros(lambda n: 99.0 if n <= 37 else 98.99))
    assert (plan.share, plan.zeroed) == (0.37, 37)
    assert zeros(apply(network(), plan)) == 37


def test_the_largest_counts_even_where_a_smaller_one_is_worse_by_chance() -> None:
    plan = choose_share(network(), by_zeros(lambda n: 98.0 if 20 < n < 60 or n > 70 else 99.0))
    assert plan.share == 0.7


def test_better_is_good_too() -> None:
    assert choose_share(network(), by_zeros(lambda n: 90.0 + n)).share == 0.99


def test_nothing_is_free() -> None:
    plan = choose_share(network(), by_zeros(lambda n: 99.0 - n))
    assert plan == ZeroPlan(share=0.0, threshold=0.0, zeroed=0)


@pytest.mark.parametrize(("tolerance", "share"), [(0.0, 0.0), (0.02, 0.02), (0.1, 0.1), (0.5, 0.5)])
def test_the_tolerance_is_what_may_be_lost(tolerance: float, share: float) -> None:
    """98.98 - 0.02 is a hair more than 98.96 in floating point, which is no loss."""
    assert 98.98 - 0.02 > 98.96
    plan = choose_share(network(), by_zeros(lambda n: (9898 - n) / 100), tolerance=tolerance)
    assert plan.share == share


def test_only_the_given_shares_are_tried_in_any_order() -> None:
    tried: list[int] = []

    def accuracy(model: nn.Module) -> float:
        tried.append(zeros(model))
        return 99.0 if zeros(model) <= 30 else 90.0

    assert choose_share(network(), accuracy, shares=[0.5, 0.1, 0.3, 0.9]).share == 0.3
    assert tried == [0, 90, 50, 30]


def test_shares_that_take_every_weight_are_passed_over() -> None:
    """90 weights of 100 parameters: 0.9 would take all, and so would 0.893, rounded up."""
    model = nn.Linear(9, 10)
    assert choose_share(model, lambda _: 50.0).share == 0.89
    small = nn.Linear(5, 2)  # 10 weights of 12 parameters
    assert choose_share(small, lambda _: 50.0, shares=[0.8, 0.79, 0.5]).share == 0.5


def test_the_network_is_not_changed_and_the_candidates_are_copies() -> None:
    model = network(bias=True)
    before = [p.detach().clone() for p in model.parameters()]
    seen: list[nn.Module] = []

    def accuracy(candidate: nn.Module) -> float:
        seen.append(candidate)
        return 50.0

    choose_share(model, accuracy, shares=[0.5])
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), before, strict=True))
    assert seen[0] is model
    assert seen[1] is not model


def test_refuses_a_negative_tolerance_and_a_share_that_is_none() -> None:
    with pytest.raises(UsageError, match="at least 0, not -1"):
        choose_share(network(), lambda _: 50.0, tolerance=-1)
    for share in (1.0, -0.5):
        with pytest.raises(UsageError, match=r"lies in \[0, 1\)"):
            choose_share(network(), lambda _: 50.0, shares=[share])
