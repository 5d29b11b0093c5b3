"""The randomization test against scipy's exact one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import permutation_test

from maxprune.errors import UsageError
from maxprune.measure import randomization_test

Outcomes = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=8)


def difference(a: NDArray[np.float64], b: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    result: NDArray[np.float64] = np.sum(a, axis=axis) - np.sum(b, axis=axis)
    return result


@settings(deadline=None, max_examples=60, derandomize=True)
@given(pairs=Outcomes)
def test_equals_all_swaps_of_scipy(pairs: list[tuple[bool, bool]]) -> None:
    first, second = (np.array(side, dtype=float) for side in zip(*pairs, strict=True))
    expected = permutation_test(
        (first, second), difference, permutation_type="samples", n_resamples=np.inf, axis=0
    ).pvalue
    found = randomization_test(torch.tensor(first).bool(), torch.tensor(second).bool())
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("gained", "lost"), [(0, 1), (3, 0), (5, 2), (4, 4), (1, 9)])
def test_equals_all_swaps_by_hand(gained: int, lost: int) -> None:
    signs = [1] * gained + [-1] * lost
    swaps = list(itertools.product([1, -1], repeat=len(signs)))
    extreme = sum(abs(sum(swap)) >= abs(sum(signs)) for swap in swaps)
    first = torch.tensor([True] * gained + [False] * lost + [True, False])
    second = torch.tensor([False] * gained + [True] * lost + [True, False])
    assert randomization_test(first, second) == pytest.approx(extreme / len(swaps), rel=1e-12)
    assert randomization_test(second, first) == randomization_test(first, second)


def test_the_same_outcomes_differ_by_nothing() -> None:
    outcomes = torch.tensor([True, False, True])
    assert randomization_test(outcomes, outcomes) == 1.0


def test_a_clear_difference_on_many_samples() -> None:
    assert randomization_test(torch.ones(10000).bool(), torch.arange(10000) % 100 > 0) < 1e-20


def test_refuses_outcomes_of_different_samples() -> None:
    with pytest.raises(UsageError, match="outcomes of 3 and 2 samples are not paired"):
        randomization_test(torch.ones(3).bool(), torch.ones(2).bool())
