"""Zeros that grow: the cubic, its ends, and what is refused."""

import itertools

import pytest
import torch
from torch import nn

from maxprune.errors import UsageError
from maxprune.weights import growing_zeros


def network(zeros: int = 0) -> nn.Linear:
    layer = nn.Linear(10, 10, bias=False)
    with torch.no_grad():
        layer.weight.fill_(1.0).view(-1)[:zeros] = 0
    return layer


def test_the_cubic_of_the_paper() -> None:
    # Zhu and Gupta 2017, eq. 1 by hand: 0.9 - 0.8 (1 - j / 4)^3.
    shares = growing_zeros(network(zeros=10), 0.9, iterations=20, parts=4)
    assert list(shares) == [0, 5, 10, 15]
    assert list(shares.values()) == pytest.approx([0.5625, 0.8, 0.8875, 0.9])


@pytest.mark.parametrize("iterations", [0, 1, 3, 9, 10, 11, 137, 5000])
def test_it_begins_at_once_grows_and_ends_in_time_with_the_whole_share(iterations: int) -> None:
    shares = growing_zeros(network(zeros=20), 0.98, iterations)
    assert min(shares) == 0
    assert len(shares) == max(1, min(10, iterations))
    assert max(shares) < max(1, iterations)
    values = list(shares.values())
    assert values[0] > 0.2
    assert all(a < b for a, b in itertools.pairwise(values))
    assert values[-1] == 0.98  # to the bit: the count of zeros depends on it


def test_a_network_with_more_zeros_than_that_keeps_them() -> None:
    assert set(growing_zeros(network(zeros=60), 0.5, 100).values()) == {0.5}


@pytest.mark.parametrize("share", [-0.1, 1.0, 0.999, float("nan")])
def test_a_share_that_cannot_be_is_refused(share: float) -> None:
    with pytest.raises(UsageError, match="share"):
        growing_zeros(network(), share, 100)


@pytest.mark.parametrize(("iterations", "parts"), [(-1, 10), (10, 0)])
def test_stretches_that_are_none_are_refused(iterations: int, parts: int) -> None:
    with pytest.raises(UsageError, match="stretches"):
        growing_zeros(network(), 0.5, iterations, parts)
