"""The maxout layer against a plain loop, and its algebra."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from maxprune.errors import StructureError, UsageError
from maxprune.networks import Maxout


def by_loop(x: Tensor, k: int) -> Tensor:
    units = []
    for first in range(0, x.shape[1], k):
        best = x[:, first]
        for other in range(first + 1, first + k):
            best = torch.where(x[:, other] > best, x[:, other], best)
        units.append(best)
    return torch.stack(units, 1)


@pytest.mark.parametrize("k", [1, 2, 3, 4, 6, 12])
@pytest.mark.parametrize("space", [(), (5,), (3, 4), (2, 3, 2)])
def test_is_the_maximum_over_adjacent_neurons(k: int, space: tuple[int, ...]) -> None:
    x = torch.randn(7, 12, *space)
    assert torch.equal(Maxout(k)(x), by_loop(x, k))


def test_of_one_input_is_the_identity() -> None:
    x = torch.randn(3, 5, 2)
    assert torch.equal(Maxout(1)(x), x)


@pytest.mark.parametrize("k", [2, 4])
def test_relu_may_stand_on_either_side(k: int) -> None:
    x = torch.randn(5, 8, 3, 3)
    assert torch.equal(Maxout(k)(F.relu(x)), F.relu(Maxout(k)(x)))


@pytest.mark.parametrize("k", [2, 4])
def test_max_pooling_may_stand_on_either_side(k: int) -> None:
    x = torch.randn(5, 8, 6, 6)
    assert torch.equal(Maxout(k)(F.max_pool2d(x, 2)), F.max_pool2d(Maxout(k)(x), 2))


def test_average_pooling_may_not() -> None:
    x = torch.randn(5, 8, 6, 6)
    assert not torch.allclose(Maxout(2)(F.avg_pool2d(x, 2)), F.avg_pool2d(Maxout(2)(x), 2))


def test_the_gradient_goes_to_the_winner() -> None:
    x = torch.tensor([[1.0, 3.0, -1.0, -2.0]], requires_grad=True)
    Maxout(2)(x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[0.0, 1.0, 1.0, 0.0]]


def test_refuses_what_k_does_not_divide() -> None:
    with pytest.raises(StructureError, match="k = 4 does not divide the 6 neurons"):
        Maxout(4)(torch.zeros(1, 6))


@pytest.mark.parametrize("k", [0, -2])
def test_refuses_a_k_below_one(k: int) -> None:
    with pytest.raises(UsageError, match="at least 1 input"):
        Maxout(k)


def test_prints_its_k() -> None:
    assert repr(Maxout(3)) == "Maxout(k=3)"


def test_over_the_last_dimension_it_is_that_over_the_second_moved() -> None:
    x = torch.randn(3, 5, 12)
    assert torch.equal(Maxout(4, dim=-1)(x), Maxout(4)(x.transpose(1, 2)).transpose(1, 2))
    with pytest.raises(StructureError, match="does not divide the 12 neurons"):
        Maxout(5, dim=-1)(x)
