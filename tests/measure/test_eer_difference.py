"""The randomization test over pairs: all swaps, its level and its power."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata
from torch import Tensor

from maxprune.errors import UsageError
from maxprune.measure import eer_difference as module
from maxprune.measure.eer_difference import eer_difference_p_value, eers
from maxprune.measure.verification import roc


def two_networks(
    seed: int, same: int, different: int, distance: float, other: float, spread: float = 1.0
) -> tuple[Tensor, Tensor, Tensor]:
    """Distances of two networks that see the same pairs, on scales of their own.

    Args:
        seed: of the draw.
        same: pairs of the same person.
        different: pairs of different people.
        distance: of the means of the same and the different pairs for the first network.
        other: for the second.
        spread: the standard deviation of the same pairs, of the different ones it is 1.
    """
    generator = torch.Generator().manual_seed(seed)
    shared, first, second = torch.randn(3, same + different, generator=generator)
    answers = torch.arange(same + different) < same
    found = []
    for own, far in ((first, distance), (second, other)):
        noise = 0.8 * shared + 0.6 * own
        found.append(torch.where(answers, spread * noise - far, noise))
    return found[0], (3 * found[1] + 5).exp(), answers


@settings(deadline=None, max_examples=100, derandomize=True)
@given(
    st.lists(st.integers(1, 15), min_size=1, max_size=12),
    st.lists(st.integers(1, 15), min_size=1, max_size=12),
)
def test_eers_without_sorting_are_those_of_the_curve(same: list[int], different: list[int]) -> None:
    ranks = np.array([different + same, [16 - r for r in different + same]], dtype=np.int32)
    answers = torch.arange(ranks.shape[1]) >= len(different)
    expected = [roc(torch.tensor(row).double(), answers).eer for row in ranks]
    assert eers(ranks, len(different)).tolist() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("ties", [False, True])
def test_equals_all_swaps(seed: int, ties: bool) -> None:
    first, second, same = two_networks(seed, 4, 5, 2.0, 0.3)
    if ties:
        first, second = first.round(), second.log().div(3).round()
    ranks = torch.tensor(np.stack([rankdata(first.numpy()), rankdata(second.numpy())]))

    def difference(swap: Tensor) -> float:
        a, b = torch.where(swap, ranks.flip(0), ranks)
        return abs(roc(a, same).eer - roc(b, same).eer)

    observed = difference(torch.zeros(9, dtype=torch.bool))
    swaps = [torch.tensor(s) for s in itertools.product([False, True], repeat=9)]
    exact = sum(difference(swap) >= observed - 1e-12 for swap in swaps) / len(swaps)
    found = eer_difference_p_value(first, second, same, rounds=20_000, seed=seed)
    assert found == pytest.approx(exact, abs=4 * (exact * (1 - exact) / 20_000) ** 0.5 + 1e-4)


@pytest.mark.parametrize(
    ("first", "second", "different"),
    [
        ([1, 1, 1, 1, 2], [0, 5, 5, 5, 2], 4),  # mean ranks that are no whole numbers
        ([0, 1, 0, 1, 1, 2, 0, 0, 3, 3], [3, 6, 3, 4, 0, 3, 3, 2, 4, 8], 7),  # EERs of thirds
    ],
)
def test_every_swap_is_as_large(first: list[int], second: list[int], different: int) -> None:
    same = torch.arange(len(first)) >= different
    distances = (torch.tensor(side).double() for side in (first, second))
    assert eer_difference_p_value(*distances, same, rounds=200) == 1.0


def p_values(draws: int, same: int, different: int, **others: float) -> Tensor:
    return torch.tensor(
        [
            eer_difference_p_value(
                *two_networks(seed, same, different, **others), rounds=199, seed=seed
            )
            for seed in range(draws)
        ]
    )


@pytest.mark.parametrize(
    ("same", "different", "spread"), [(150, 150, 1.0), (50, 250, 1.0), (150, 150, 3.0)]
)
def test_equal_networks_differ_as_often_as_the_level_says(
    same: int, different: int, spread: float
) -> None:
    """Of 400 draws 5% have p <= 0.05, give or take 1.1%, a little less where EERs are often equal.

    With the outcomes at each network's EER threshold swapped in place of the ranks it is 11% of
    the draws where different pairs are five times as many.
    """
    distance = 1.2 * (1 + spread)
    found = p_values(400, same, different, distance=distance, other=distance, spread=spread)
    for level, low, high in ((0.05, 0.02, 0.07), (0.2, 0.14, 0.24), (0.5, 0.4, 0.55)):
        assert low <= float((found <= level).double().mean()) <= high


def test_a_real_difference_is_found() -> None:
    """EERs of 12% and 7%: of 100 draws of 600 pairs more than 80 show it at the level of 5%."""
    found = p_values(100, 300, 300, distance=2.35, other=2.95)
    assert float((found <= 0.05).double().mean()) > 0.8


def test_neither_scale_nor_order_nor_which_is_first_matters() -> None:
    first, second, same = two_networks(3, 40, 60, 2.0, 2.6)
    found = eer_difference_p_value(first, second, same, rounds=500, seed=7)
    assert 0.002 < found < 0.9
    assert eer_difference_p_value(first * 100 - 3, second.log(), same, rounds=500, seed=7) == found
    assert eer_difference_p_value(second, first, same, rounds=500, seed=7) == found
    assert eer_difference_p_value(first, second, same, rounds=500, seed=8) != found


def test_it_is_never_zero_and_one_for_the_same_network() -> None:
    same = torch.arange(200) < 100
    right, wrong = torch.where(same, 0.0, 1.0), torch.where(same, 1.0, 0.0)
    assert eer_difference_p_value(right, wrong, same, rounds=99) == 1 / 100
    assert eer_difference_p_value(right, right.exp(), same, rounds=99) == 1.0


def test_few_rounds_are_held_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    networks = two_networks(1, 30, 30, 1.5, 2.2)
    sizes: list[tuple[int, ...]] = []

    def watched(ranks: np.ndarray, different: int) -> np.ndarray:  # type: ignore[type-arg]
        sizes.append(ranks.shape)
        return eers(ranks, different)

    monkeypatch.setattr(module, "eers", watched)
    monkeypatch.setattr(module, "_NUMBERS", 60 * 40 + 5)
    assert eer_difference_p_value(*networks, rounds=100) > 1 / 101
    assert sizes == [*[(1, 60)] * 2, *[(40, 60)] * 4, (20, 60), (20, 60)]


def test_what_does_not_fit_is_refused() -> None:
    first, second, same = two_networks(0, 3, 3, 1.0, 1.0)
    with pytest.raises(UsageError, match=r"not \(5,\) and \(6,\)"):
        eer_difference_p_value(first, second[:5], same)
    with pytest.raises(UsageError, match="the distance of pair 2 is not finite"):
        eer_difference_p_value(first, torch.where(torch.arange(6) == 2, torch.nan, second), same)
    with pytest.raises(UsageError, match="all 3 are same"):
        eer_difference_p_value(first[:3], second[:3], same[:3])
    with pytest.raises(UsageError, match="at least 1, not 0"):
        eer_difference_p_value(first, second, same, rounds=0)
    with pytest.raises(UsageError, match="4 fold numbers do not fit 6 pairs"):
        eer_difference_p_value(first, second, same, fold=torch.zeros(4, dtype=torch.int64))
    with pytest.raises(UsageError, match="all 3 are same"):
        eer_difference_p_value(first, second, same, fold=torch.arange(6) // 3)


def test_folds_are_compared_each_for_itself() -> None:
    """Every swap of two folds of four pairs, and no comparison of their distances."""
    one, other = (two_networks(seed, 2, 2, 1.5, 0.5) for seed in (3, 8))
    first, second, same = (torch.cat(both) for both in zip(one, other, strict=True))
    first[4:] += 1000  # a fold's distances may lie anywhere
    fold = torch.arange(8) // 4
    gaps = []
    for swap in itertools.product([False, True], repeat=8):
        swapped = torch.tensor(swap)
        gap = 0.0
        for number in range(2):
            chosen = fold == number
            ranks = [torch.from_numpy(rankdata(d[chosen])) for d in (first, second)]
            pair = [torch.where(swapped[chosen], *two) for two in (ranks, ranks[::-1])]
            gap += roc(pair[0], same[chosen]).eer - roc(pair[1], same[chosen]).eer
        gaps.append(abs(gap))
    exact = sum(gap >= gaps[0] - 1e-9 for gap in gaps) / len(gaps)
    found = eer_difference_p_value(first, second, same, rounds=20_000, fold=fold)
    assert found == pytest.approx(exact, abs=0.015)
    assert exact != pytest.approx(eer_difference_p_value(first, second, same), abs=0.05)
