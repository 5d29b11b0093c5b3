"""The maxout layer against a plain loop, and its algebra."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from maxprune.errors import StructureError, UsageError
from maxprune.networks import Maxout
from maxprune.networks.maxout import unit_sizes


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


@pytest.mark.parametrize("k", [0, -2, (3, 0), ()])
def test_refuses_a_k_below_one(k: int | tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="at least 1 input"):
        Maxout(k)


def test_prints_its_k() -> None:
    assert repr(Maxout(3)) == "Maxout(k=3)"
    assert repr(Maxout((3, 3))) == "Maxout(k=3)"
    assert repr(Maxout((3, 1))) == "Maxout(k=(3, 1))"


SIZES = [(1, 3, 2), (4, 1), (2, 2, 1, 1), (5, 6, 5)]


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("space", [(), (5,), (3, 4)])
def test_units_may_differ_in_size(sizes: tuple[int, ...], space: tuple[int, ...]) -> None:
    x = torch.randn(7, sum(sizes), *space, requires_grad=True)
    wanted = torch.stack([part.amax(1) for part in x.split(list(sizes), 1)], 1)
    found = Maxout(sizes)(x)
    assert torch.equal(found, wanted)
    factors = torch.randn_like(found)
    slopes = [torch.autograd.grad((out * factors).sum(), x)[0] for out in (found, wanted)]
    torch.testing.assert_close(*slopes)
    moved = Maxout(sizes, dim=-1)(x.movedim(1, -1)) if len(space) < 2 else found.movedim(1, -1)
    assert torch.equal(moved, found.movedim(1, -1))


def test_units_of_other_sizes_are_no_weights_and_go_along() -> None:
    maxout = Maxout((3, 1, 2))
    assert not maxout.state_dict()
    assert copy.deepcopy(maxout).sizes == (3, 1, 2)
    x = torch.randn(2, 6).half()
    assert torch.equal(maxout.half()(x), maxout(x.float()).half())
    maxout.resize((2, 1, 1))
    assert maxout(torch.randn(2, 4)).shape == (2, 3)
    assert maxout.k == 2
    with pytest.raises(StructureError, match="the units have 4 inputs, the layer has 6 neurons"):
        maxout(x)
    maxout.resize(3)
    assert maxout.sizes is None
    assert maxout(x).shape == (2, 2)


@pytest.mark.parametrize(
    ("neurons", "k", "sizes"), [(8, 4, (4, 4)), (10, 4, (4, 3, 3)), (5, 4, (3, 2)), (3, 3, (3,))]
)
def test_units_are_as_equal_as_can_be(neurons: int, k: int, sizes: tuple[int, ...]) -> None:
    assert unit_sizes(neurons, k) == sizes


def test_over_the_last_dimension_it_is_that_over_the_second_moved() -> None:
    x = torch.randn(3, 5, 12)
    assert torch.equal(Maxout(4, dim=-1)(x), Maxout(4)(x.transpose(1, 2)).transpose(1, 2))
    with pytest.raises(StructureError, match="does not divide the 12 neurons"):
        Maxout(5, dim=-1)(x)
