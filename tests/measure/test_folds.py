"""Thresholds chosen on one set of pairs and tested on another."""

from __future__ import annotations

import itertools
import math
import statistics

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from maxprune.errors import UsageError
from maxprune.measure import percent
from maxprune.measure.folds import (
    choose_threshold,
    fold_accuracies,
    mean_and_standard_error,
    verified,
)


def of(same: list[float], different: list[float]) -> tuple[Tensor, Tensor]:
    answers = torch.tensor([True] * len(same) + [False] * len(different))
    return torch.tensor([*same, *different], dtype=torch.float64), answers


@pytest.mark.parametrize(
    ("same", "different", "threshold"),
    [
        ([1, 2], [4, 5], 3),  # the middle of the gap
        ([1, 2, 3, 8], [6, 10, 11, 12], 4.5),  # 3..6 and 8..10 are as good: the lower of two
        ([2, 5, 8], [4, 7, 10], 6),  # of 2..4, 5..7 and 8..10 the middle one
        ([0, 1, 3, 5, 7, 8, 10, 12, 15], [2, 4, 6, 9, 11, 13, 14, 16, 17], 10.5),  # by rounding
        ([2, 3, 4], [1], 4),  # accept all: the largest
        ([4], [1, 2, 3], math.nextafter(1, 0)),  # accept none: just under the smallest
    ],
)
def test_by_hand(same: list[float], different: list[float], threshold: float) -> None:
    assert choose_threshold(*of(same, different)) == threshold


Pairs = st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=2, max_size=40).filter(
    lambda pairs: len({same for _, same in pairs}) == 2
)


@settings(deadline=None, max_examples=100, derandomize=True)
@given(Pairs)
def test_no_threshold_is_better(pairs: list[tuple[int, bool]]) -> None:
    distances, same = (torch.tensor(side) for side in zip(*pairs, strict=True))
    found = percent(verified(distances.float(), same, choose_threshold(distances.float(), same)))
    every = [percent((distances <= t - 0.5) == same) for t in range(15)]
    assert found == max(every)


def test_between_two_neighbouring_numbers_there_is_a_threshold() -> None:
    numbers = [1.0, math.nextafter(1.0, 2), math.nextafter(math.nextafter(1.0, 2), 2)]
    for low, high in itertools.pairwise(numbers):  # their middle is rounded down, then up
        distances, same = of([low, low], [high, high])
        assert verified(distances, same, choose_threshold(distances, same)).all()
    single = torch.tensor([1.0, float(torch.nextafter(torch.tensor(1.0), torch.tensor(2.0)))])
    assert single.dtype == torch.float32
    answers = torch.tensor([True, False])
    assert verified(single, answers, choose_threshold(single, answers)).all()


def test_the_threshold_comes_from_the_other_folds() -> None:
    """The folds lie at different places, so each is tested with what is wrong for it."""
    distances, same = of([1, 1, 11, 11], [3, 3, 13, 13])
    fold = torch.tensor([7, 7, -2, -2] * 2)
    assert fold_accuracies(distances, same, fold).tolist() == [50.0, 50.0]
    assert percent(verified(distances[fold == 7], same[fold == 7], 2)) == 100


def test_folds_are_in_the_order_of_their_numbers() -> None:
    distances = torch.tensor([1.0, 1, 9, 9, 1, 1, 9, 9, 9, 1, 9, 9])
    same = torch.tensor([True, True, False, False] * 3)
    fold = torch.tensor([3] * 4 + [10] * 4 + [1] * 4)
    assert fold_accuracies(distances, same, fold).tolist() == [75.0, 100.0, 100.0]


def test_a_fold_never_chooses_its_own_threshold() -> None:
    generator = torch.Generator().manual_seed(0)
    distances, same = torch.rand(600, generator=generator), torch.arange(600) % 2 == 0
    fold = torch.arange(600) // 60
    expected = []
    for number in range(10):
        others = fold != number
        threshold = choose_threshold(distances[others], same[others])
        expected.append(percent((distances[~others] <= threshold) == same[~others]))
    assert fold_accuracies(distances, same, fold).tolist() == expected


def test_the_standard_error_over_folds() -> None:
    values = [84.0, 86.5, 83.0, 85.0, 88.0, 84.5, 83.5, 86.0, 85.5, 84.0]
    mean, error = mean_and_standard_error(values)
    assert mean == pytest.approx(85.0)
    assert error == pytest.approx(statistics.stdev(values) / 10**0.5)
    assert mean_and_standard_error([81.5]) == (81.5, None)
    assert mean_and_standard_error(torch.tensor([80.0, 82.0]).tolist()) == (81.0, 1.0)
    with pytest.raises(UsageError, match="no folds"):
        mean_and_standard_error([])


def test_what_does_not_fit_is_refused() -> None:
    distances, same = of([1, 2], [3, 4])
    with pytest.raises(UsageError, match="3 fold numbers do not fit 4 pairs"):
        fold_accuracies(distances, same, torch.tensor([0, 1, 0]))
    with pytest.raises(UsageError, match="one fold leaves no pairs"):
        fold_accuracies(distances, same, torch.zeros(4, dtype=torch.long))
    with pytest.raises(UsageError, match="need same and different pairs; all 2 are different"):
        fold_accuracies(distances, same, torch.tensor([0, 0, 1, 1]))
    with pytest.raises(UsageError, match=r"not \(4,\) and \(3,\)"):
        verified(distances, same[:3], 1.0)
    with pytest.raises(UsageError, match="not a number"):
        verified(distances, same, math.nan)
    with pytest.raises(UsageError, match="not a number"):
        verified(torch.tensor([1, math.nan, 1, 1]), same, 1.0)
