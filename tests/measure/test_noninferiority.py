"""Tango's bound: published values, its algebra, and that it covers."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from maxprune.errors import UsageError
from maxprune.measure import loss_bound
from maxprune.measure.noninferiority import statistic


def outcomes(n: int, lost: int, gained: int) -> tuple[torch.Tensor, torch.Tensor]:
    first, second = torch.ones(n, dtype=torch.bool), torch.ones(n, dtype=torch.bool)
    second[:lost] = False
    first[lost : lost + gained] = False
    return first, second


def test_without_any_difference_the_bound_has_a_closed_form() -> None:
    """With no discordant pair T = -sqrt(n m / (1 - m)), so the bound is z^2 / (n + z^2)."""
    z = float(norm.ppf(0.95))
    for n in (20, 500, 10_000):
        assert loss_bound(*outcomes(n, 0, 0)) == pytest.approx(100 * z * z / (n + z * z), rel=1e-6)


def test_at_a_margin_of_zero_it_is_mcnemars_statistic() -> None:
    for lost, gained in [(3, 1), (20, 35), (7, 7)]:
        expected = (lost - gained) / (lost + gained) ** 0.5
        assert statistic(200, lost, gained, 0.0) == pytest.approx(expected)


def test_the_nuisance_parameter_is_the_constrained_maximum_of_the_likelihood() -> None:
    n, lost, gained, margin = 120, 9, 4, 0.07
    grid = torch.linspace(1e-6, 0.4, 400_001, dtype=torch.float64)
    rest = 1 - 2 * grid - margin
    likelihood = (
        lost * (grid + margin).log() + gained * grid.log() + (n - lost - gained) * rest.log()
    )
    p21 = float(grid[likelihood.argmax()])
    expected = (lost - gained - n * margin) / (n * (2 * p21 + margin * (1 - margin))) ** 0.5
    assert statistic(n, lost, gained, margin) == pytest.approx(expected, rel=1e-4)


@given(st.integers(1, 2000), st.data())
def test_the_bound_is_where_the_test_turns(n: int, data: st.DataObject) -> None:
    lost = data.draw(st.integers(0, n))
    gained = data.draw(st.integers(0, n - lost))
    bound = loss_bound(*outcomes(n, lost, gained)) / 100
    assert (lost - gained) / n <= bound <= 1
    if bound < 1 - 1e-6:
        assert statistic(n, lost, gained, bound) == pytest.approx(norm.ppf(0.05), abs=1e-6)
        assert statistic(n, lost, gained, bound + (1 - bound) / 2) < norm.ppf(0.05)


def test_it_covers_the_true_loss_as_often_as_it_says() -> None:
    """At a true loss of 2 points, 95% of the bounds lie above it; 4,000 draws, so within 1.5%."""
    generator = torch.Generator().manual_seed(0)
    n, p_lost, p_gained = 400, 0.05, 0.03
    draws = torch.rand(4000, n, generator=generator)
    lost = (draws < p_lost).sum(1)
    gained = ((draws >= p_lost) & (draws < p_lost + p_gained)).sum(1)
    refuted = [
        statistic(n, int(a), int(b), p_lost - p_gained) < norm.ppf(0.05)
        for a, b in zip(lost, gained, strict=True)
    ]
    assert sum(refuted) / len(refuted) == pytest.approx(0.05, abs=0.015)


def test_more_samples_and_fewer_losses_lower_it() -> None:
    assert loss_bound(*outcomes(1000, 10, 5)) < loss_bound(*outcomes(500, 10, 5))
    assert loss_bound(*outcomes(1000, 10, 5)) < loss_bound(*outcomes(1000, 12, 5))
    assert loss_bound(*outcomes(1000, 10, 5)) > loss_bound(*outcomes(1000, 10, 8))
    assert loss_bound(*outcomes(1000, 0, 40)) < 0
    assert loss_bound(*outcomes(30, 30, 0)) == pytest.approx(100)


def test_bad_outcomes_and_levels_are_refused() -> None:
    one = torch.ones(3, dtype=torch.bool)
    with pytest.raises(UsageError, match="3 and 2 samples are not paired"):
        loss_bound(one, one[:2])
    with pytest.raises(UsageError, match="not paired"):
        loss_bound(one[:0], one[:0])
    with pytest.raises(UsageError, match=r"between 0 and 0\.5, not 0\.7"):
        loss_bound(one, one, level=0.7)
