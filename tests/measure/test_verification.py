"""The error rates of face verification: by hand, their algebra, and scikit-learn's."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_curve
from torch import Tensor

from maxprune.errors import UsageError
from maxprune.measure.verification import roc

# Few distinct values, so that many distances are equal.
Pairs = st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=2, max_size=40).filter(
    lambda pairs: len({same for _, same in pairs}) == 2
)
properties = settings(deadline=None, max_examples=100, derandomize=True)


def tensors(pairs: list[tuple[int, bool]]) -> tuple[Tensor, Tensor]:
    values, same = zip(*pairs, strict=True)
    return torch.tensor(values, dtype=torch.float64), torch.tensor(same)


def of(same: list[float], different: list[float]) -> tuple[Tensor, Tensor]:
    answers = torch.tensor([True] * len(same) + [False] * len(different))
    return torch.tensor([*same, *different], dtype=torch.float64), answers


@pytest.mark.parametrize(
    ("same", "different", "eer", "threshold"),
    [
        ([0.1, 0.2, 0.3], [0.4, 0.5], 0.0, 0.3),  # a gap between them
        ([4, 5], [1, 2, 3], 1.0, 3),  # the wrong way round
        ([1, 2, 4], [3, 5, 6], 1 / 3, 3),  # the rates are equal at 3 itself
        ([1, 2, 3, 6], [4, 5], 0.25, 4),  # FRR 1/4 where FAR jumps from 0 to 1/2
        ([7, 7, 7], [7, 7], 0.5, 7),  # one jump over everything
        ([1, 5], [5, 9], 0.25, 5),  # from (FAR 0, FRR 1/2) to (1/2, 0) at once
        ([1, 2, 5, 5], [5, 5, 5, 9], 0.3, 2),  # from (0, 1/2) to (3/4, 0): 2/5 of the way
    ],
)
def test_by_hand(same: list[float], different: list[float], eer: float, threshold: float) -> None:
    found = roc(*of(same, different))
    assert found.eer == pytest.approx(eer, abs=1e-15)
    assert found.eer_threshold == threshold


def test_every_point_by_hand() -> None:
    found = roc(*of([1, 2, 2, 5], [2, 4]))
    assert found.thresholds.tolist() == [-math.inf, 1, 2, 4, 5]
    assert found.far.tolist() == [0, 0, 0.5, 1, 1]
    assert found.frr.tolist() == [1, 0.75, 0.25, 0.25, 0]
    assert (found.same, found.different) == (4, 2)
    assert found.rates_at(0.99) == (0, 1)
    assert found.rates_at(2) == found.rates_at(3.9) == (0.5, 0.25)
    assert found.rates_at(math.inf) == (1, 0)
    assert found.rates_at(-math.inf) == (0, 1)


def test_the_true_acceptance_rate_at_a_false_acceptance_rate() -> None:
    found = roc(*of([1, 2, 6, 12], [5, 7, 8, 9, 10, 11, 13, 14, 15, 16]))
    assert found.tar_at(0.1) == 0.75  # one of ten different pairs is let in
    assert found.tar_at(0.59) == 0.75
    assert found.tar_at(0.6) == 1.0
    assert found.tar_at(1) == 1.0


def test_a_rate_that_the_pairs_cannot_show_is_none() -> None:
    generator = torch.Generator().manual_seed(0)
    fold = torch.rand(600, generator=generator), torch.arange(600) < 300
    assert roc(*fold).tar_at(1e-3) is None
    assert roc(*fold).tar_at(1e-2) is not None
    all_folds = torch.rand(6000, generator=generator), torch.arange(6000) < 3000
    assert roc(*all_folds).tar_at(1e-3) is not None
    barely = torch.rand(1010, generator=generator), torch.arange(1010) < 10
    assert roc(*barely).tar_at(1e-3) is not None
    assert roc(barely[0][:-1], barely[1][:-1]).tar_at(1e-3) is None


@properties
@given(Pairs)
def test_agrees_with_scikit_learn(pairs: list[tuple[int, bool]]) -> None:
    distances, same = tensors(pairs)
    far, tar, thresholds = roc_curve(same.numpy(), -distances.numpy(), drop_intermediate=False)
    found = roc(distances, same)
    assert found.thresholds.tolist() == (-thresholds).tolist()
    assert found.far.tolist() == pytest.approx(far.tolist(), abs=1e-15)
    assert (1 - found.frr).tolist() == pytest.approx(tar.tolist(), abs=1e-15)


@properties
@given(Pairs, st.floats(-1, 14), st.floats(0.01, 1))
def test_rates_are_shares_of_pairs(
    pairs: list[tuple[int, bool]], threshold: float, rate: float
) -> None:
    distances, same = tensors(pairs)
    found = roc(distances, same)
    accepted = distances <= threshold
    far, frr = found.rates_at(threshold)
    assert far == pytest.approx(float(accepted[~same].double().mean()), abs=1e-15)
    assert frr == pytest.approx(float((~accepted[same]).double().mean()), abs=1e-15)
    possible = [1 - r for f, r in zip(found.far.tolist(), found.frr.tolist(), strict=True)
                if f <= rate]  # fmt: skip
    expected = max(possible) if rate >= 1 / found.different else None
    assert found.tar_at(rate) == expected


@properties
@given(Pairs)
def test_the_rates_only_rise_and_fall_and_the_eer_lies_where_they_cross(
    pairs: list[tuple[int, bool]],
) -> None:
    found = roc(*tensors(pairs))
    assert (found.far.diff() >= 0).all()
    assert (found.frr.diff() <= 0).all()
    assert (found.far[0], found.frr[0], found.far[-1], found.frr[-1]) == (0, 1, 1, 0)
    after = int((found.far >= found.frr).nonzero()[0])
    assert found.far[after - 1] - 1e-12 <= found.eer <= found.far[after] + 1e-12
    assert found.frr[after] - 1e-12 <= found.eer <= found.frr[after - 1] + 1e-12
    gaps = (found.far - found.frr).abs()
    far, frr = found.rates_at(found.eer_threshold)
    assert abs(far - frr) == pytest.approx(float(gaps.min()), abs=1e-12)


@properties
@given(Pairs, st.permutations(range(13)), st.randoms(use_true_random=False))
def test_only_the_order_of_the_distances_matters(
    pairs: list[tuple[int, bool]], steps: list[int], random: object
) -> None:
    distances, same = tensors(pairs)
    increasing = torch.tensor(steps).double().add(0.5).cumsum(0)
    found = roc(distances, same)
    assert roc(increasing[distances.long()], same).eer == found.eer
    assert roc(distances.float().exp(), same).eer == found.eer
    order = list(range(len(pairs)))
    random.shuffle(order)  # type: ignore[attr-defined]
    assert roc(distances[order], same[order]).eer == found.eer


@properties
@given(Pairs)
def test_turned_round_the_eer_is_what_is_left_of_one(pairs: list[tuple[int, bool]]) -> None:
    """Accepting what was rejected turns FAR into 1 - FAR, and so the crossing."""
    distances, same = tensors(pairs)
    assert roc(-distances, same).eer == pytest.approx(1 - roc(distances, same).eer, abs=1e-12)
    assert roc(-distances, ~same).eer == pytest.approx(roc(distances, same).eer, abs=1e-12)


def test_pairs_without_rates_are_refused() -> None:
    distances, same = of([1, 2], [3])
    found = roc(distances, same)
    for rate in (0, -0.1, 1.1, math.nan):
        with pytest.raises(UsageError, match="between 0 and 1, not"):
            found.tar_at(rate)
    with pytest.raises(UsageError, match="threshold is not a number"):
        found.rates_at(math.nan)
    with pytest.raises(UsageError, match=r"not \(3,\) and \(2,\)"):
        roc(distances, same[:2])
    with pytest.raises(UsageError, match=r"is a bool, not torch\.int64"):
        roc(distances, same.long())
    with pytest.raises(UsageError, match="need same and different pairs; all 2 are same"):
        roc(distances[:2], same[:2])
    with pytest.raises(UsageError, match="all 1 are different"):
        roc(distances[2:], same[2:])
    for wrong in (math.nan, math.inf):
        with pytest.raises(UsageError, match="the distance of pair 1 is not finite"):
            roc(torch.tensor([1.0, wrong, wrong]), same)
