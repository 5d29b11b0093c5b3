"""Distances of descriptors against scipy's, and where scipy says nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import distance as scipy_distance
from torch import Tensor

from maxprune.errors import UsageError
from maxprune.measure import distances as module
from maxprune.measure.distances import DISTANCES, distances, pair_distances


def hellinger(x: np.ndarray, y: np.ndarray) -> float:
    """By the Bhattacharyya coefficient of the shares."""
    return math.sqrt(1 - np.sqrt(x / x.sum() * y / y.sum()).sum())


EXPECTED = {
    "bray-curtis": scipy_distance.braycurtis,
    "euclidean": scipy_distance.euclidean,
    "l1": scipy_distance.cityblock,
    "cosine": scipy_distance.cosine,
    "hellinger": hellinger,
}


def rows(n: int, features: int = 7, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, features, generator=generator).relu().add(0.01).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("kind", DISTANCES)
@pytest.mark.parametrize("sign", [1.0, -0.3], ids=["as after a ReLU", "both signs"])
def test_agrees_with_scipy(kind: str, dtype: torch.dtype, sign: float) -> None:
    a, b = rows(40, dtype=dtype), rows(40, seed=1, dtype=dtype) * sign
    expected = [
        EXPECTED[kind](x, y) for x, y in zip(a.double().numpy(), b.double().numpy(), strict=True)
    ]
    found = distances(a, b, kind)
    assert found.dtype == torch.float64
    assert found.tolist() == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_by_hand() -> None:
    a, b = torch.tensor([[1.0, 3.0, 0.0]]), torch.tensor([[2.0, 0.0, 2.0]])
    assert distances(a, b, "bray-curtis").item() == 6 / 8
    assert distances(a, b, "l1").item() == 6
    assert distances(a, b, "euclidean").item() == pytest.approx(14**0.5)
    assert distances(a, b, "cosine").item() == pytest.approx(1 - 2 / 80**0.5)


@pytest.mark.parametrize("kind", DISTANCES)
def test_descriptors_of_zeros(kind: str) -> None:
    zero, other = torch.zeros(1, 3), torch.tensor([[0.0, 3.0, 4.0]])
    expected = {"euclidean": 5.0, "l1": 7.0}
    assert distances(zero, zero, kind).item() == 0
    assert distances(zero, other, kind).item() == expected.get(kind, 1.0)
    assert distances(other, zero, kind).item() == expected.get(kind, 1.0)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.integers(0, 10_000), st.sampled_from(DISTANCES))
def test_symmetric_not_negative_and_zero_for_the_same(seed: int, kind: str) -> None:
    a, b = rows(5, seed=seed), rows(5, seed=seed + 1)
    found = distances(a, b, kind)
    assert torch.equal(found, distances(b, a, kind))
    assert (found > 0).all()
    assert distances(a, a, kind).tolist() == pytest.approx([0] * 5, abs=1e-12)
    if kind in ("bray-curtis", "cosine", "hellinger"):
        assert (found <= 1).all()
        scaled = distances(4 * a, 4 * b, kind)
        assert scaled.tolist() == pytest.approx(found.tolist(), rel=1e-9)


def test_the_cosine_of_very_large_and_very_small_descriptors() -> None:
    a, b = (torch.tensor(x, dtype=torch.float64) for x in ([[3e200, 4e200]], [[4e-200, 3e-200]]))
    assert distances(a, b, "cosine").item() == pytest.approx(1 - 24 / 25)


def test_the_cosine_never_leaves_its_range() -> None:
    """Without a bound rounding takes some of these 1,000 out of it."""
    a = rows(1000)
    assert (distances(a, 3 * a, "cosine") >= 0).all()
    assert (distances(a, -3 * a, "cosine") <= 2).all()


@pytest.mark.parametrize("kind", DISTANCES)
def test_pairs_name_their_rows(kind: str) -> None:
    all_rows = rows(9)
    places = torch.tensor([[0, 8], [3, 3], [8, 0], [5, 1]])
    expected = distances(all_rows[places[:, 0]], all_rows[places[:, 1]], kind)
    assert torch.equal(pair_distances(all_rows, places, kind), expected)
    assert pair_distances(all_rows, places[:0], kind).tolist() == []


def test_few_pairs_are_held_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    all_rows, places = rows(9), torch.randint(0, 9, (50, 2))
    whole = pair_distances(all_rows, places, "l1")
    seen: list[int] = []

    def watched(a: Tensor, b: Tensor) -> Tensor:
        seen.append(len(a))
        return (a - b).abs().sum(1)

    monkeypatch.setitem(module._FORMULAS, "l1", watched)
    monkeypatch.setattr(module, "_NUMBERS", 3 * 7 + 1)
    assert torch.equal(pair_distances(all_rows, places, "l1"), whole)
    assert seen == [3] * 16 + [2]


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("kind", DISTANCES)
def test_the_first_row_that_is_not_finite_is_named(kind: str, wrong: float) -> None:
    a, b = rows(6), rows(6, seed=1)
    b[3, 2] = b[5, 0] = wrong
    with pytest.raises(UsageError, match=r"row 3 of the second descriptors .* not finite"):
        distances(a, b, kind)
    with pytest.raises(UsageError, match=r"row 3 of the first descriptors .* not finite"):
        distances(b, a, kind)
    with pytest.raises(UsageError, match=r"row 3 of the descriptors .* not finite"):
        pair_distances(b, torch.tensor([[0, 1]]), kind)


def test_opposites_have_no_bray_curtis_distance() -> None:
    a = torch.tensor([[1.0, 2.0], [1.0, -2.0]])
    b = torch.tensor([[1.0, 2.0], [-1.0, 2.0]])
    with pytest.raises(UsageError, match="pair 1 has no finite bray-curtis distance"):
        distances(a, b, "bray-curtis")
    assert distances(a, b, "cosine").tolist() == pytest.approx([0, 2])


def test_both_signs_have_no_hellinger_distance() -> None:
    a = torch.tensor([[1.0, 2.0], [2.0, -1.0]])
    with pytest.raises(UsageError, match="pair 1 has no finite hellinger distance"):
        distances(a, a.flip(1), "hellinger")


def test_what_does_not_fit_is_refused() -> None:
    a = rows(3)
    with pytest.raises(UsageError, match="no distance 'hamming'; choose one of bray-curtis, "):
        distances(a, a, "hamming")
    with pytest.raises(UsageError, match=r"shapes \(3, 7\) and \(2, 7\) do not pair"):
        distances(a, a[:2], "l1")
    with pytest.raises(UsageError, match="not rows of floating-point features"):
        distances(a.long(), a.long(), "l1")
    with pytest.raises(UsageError, match="not rows of floating-point features"):
        distances(a[:, :0], a[:, :0], "l1")
    for outside in (3, -1):
        with pytest.raises(UsageError, match=rf"pair 1 names the rows \[2, {outside}\] of 3 desc"):
            pair_distances(a, torch.tensor([[0, 2], [2, outside]]), "l1")
    with pytest.raises(UsageError, match="two row numbers each"):
        pair_distances(a, torch.tensor([0, 2]), "l1")
