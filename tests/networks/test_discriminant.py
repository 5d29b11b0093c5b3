"""The discriminant on rows whose scatter is known."""

from __future__ import annotations

import pytest
import torch

from maxprune.errors import UsageError
from maxprune.measure import pair_distances, roc
from maxprune.networks import discriminant

PEOPLE, EACH, FEATURES = 400, 5, 12
SPREAD = torch.tensor([3.0, 2.0, 1.0] + [0.0] * 9)  # of people; of their pictures 1
TURN = torch.linalg.qr(torch.randn(12, 12, generator=torch.Generator().manual_seed(3)))[0]


def people(seed: int, count: int = PEOPLE) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of people, some directions of which tell them apart, turned and moved."""
    generator = torch.Generator().manual_seed(seed)
    middles = torch.randn(count, FEATURES, generator=generator) * SPREAD
    labels = torch.arange(count).repeat_interleave(EACH)
    noise = torch.randn(len(labels), FEATURES, generator=generator)
    return (middles[labels] + noise) @ TURN + 7, labels


def eer(rows: torch.Tensor, labels: torch.Tensor) -> float:
    pairs = torch.combinations(torch.arange(len(rows)))
    apart = pair_distances(rows, pairs, "euclidean")
    return roc(apart, labels[pairs[:, 0]] == labels[pairs[:, 1]]).eer


def test_the_directions_and_weights_are_those_of_the_scatter() -> None:
    found = discriminant(*people(0), dimensions=3)
    directions = torch.nn.functional.normalize(found.linear.weight.detach() @ TURN.T, dim=1)
    assert directions.abs().diagonal().min() > 0.98
    e = SPREAD[:3] ** 2
    assert torch.allclose(found.weights, e / (2 * e + 1).sqrt(), rtol=0.25)
    rows = found.linear(people(0)[0]).detach()
    assert torch.allclose(rows.mean(0), torch.zeros(3), atol=1e-3)
    assert torch.allclose(rows.std(0), torch.ones(3), rtol=0.1)


def test_people_it_never_saw_are_told_apart() -> None:
    """What says nothing, and is large, is left aside."""
    (rows, labels), (seen, names) = people(1, 60), people(0)
    loud = torch.tensor([1.0] * 3 + [4.0] * 9)
    rows, seen = ((x @ TURN.T * loud) @ TURN for x in (rows, seen))
    found = discriminant(seen, names, dimensions=3)
    assert eer(found(rows).detach(), labels) < 0.7 * eer(rows, labels)


def test_of_many_features_the_principal_components_are_looked_at() -> None:
    rows, labels = people(0)
    wide = torch.cat([rows, 0.01 * torch.randn(len(rows), 30)], 1)
    found, again = (discriminant(wide, labels, 3, components=12, seed=4) for _ in range(2))
    assert torch.equal(found.linear.weight, again.linear.weight)
    whole = discriminant(rows, labels, 3)
    assert torch.allclose(found(wide).abs(), whole(rows).abs(), atol=0.05)


@pytest.mark.parametrize(
    ("count", "dimensions", "says"),
    [
        (3, 3, "3 dimensions cannot be had from 15 rows of 12 features of 3 people"),
        (30, 13, "13 dimensions cannot be had"),
        (30, 0, "0 dimensions cannot be had"),
    ],
)
def test_what_cannot_be_had_is_refused(count: int, dimensions: int, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        discriminant(*people(0, count), dimensions=dimensions)


@pytest.mark.parametrize("zeros", [-0.1, 1.0, float("nan")])
def test_a_share_of_zeros_that_cannot_be(zeros: float) -> None:
    with pytest.raises(UsageError, match=r"the share of zeros lies in \[0, 1\)"):
        discriminant(*people(0, 30), dimensions=3, zeros=zeros)


def test_pictures_that_are_alike_are_refused() -> None:
    labels = torch.tensor([0, 0, 1, 1])
    with pytest.raises(UsageError, match="no person has two pictures that differ"):
        discriminant(torch.eye(2)[labels], labels, 1)
    with pytest.raises(UsageError, match="cannot be had from 2 rows"):
        discriminant(torch.eye(2), torch.tensor([0, 1]), 1)


def test_a_map_with_zeros_gives_nearly_the_same() -> None:
    """Half of the features are noise, which the map does not need."""
    rows, labels = people(0)
    noise = torch.randn(rows.shape, generator=torch.Generator().manual_seed(5))
    wide = torch.cat([rows, noise], 1)
    whole, sparse = (discriminant(wide, labels, 3, zeros=zeros) for zeros in (0.0, 0.5))
    assert (sparse.linear.weight == 0).sum(1).tolist() == [12, 12, 12]
    assert not (whole.linear.weight == 0).any()
    apart = whole.linear(wide) - sparse.linear(wide)  # of numbers of unit variance
    assert apart.square().mean() < 0.02
    assert torch.equal(whole.weights, sparse.weights)
