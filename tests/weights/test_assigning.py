"""Weights that find their value while they are trained."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from maxprune.data import digits
from maxprune.data.images import Images
from maxprune.errors import UsageError
from maxprune.measure import accuracy
from maxprune.networks import lenet5
from maxprune.train import Fitting, Training, Watch, train
from maxprune.weights import prunable, share_plan
from maxprune.weights.assigning import BUFFER, FREE, Assigning
from maxprune.weights.sharing import hold_shared, share_values


def layer(*weights: float) -> nn.Linear:
    found = nn.Linear(len(weights), 1, bias=False)
    with torch.no_grad():
        found.weight.copy_(torch.tensor([weights]))
    return found


def test_a_pass_sees_the_values_and_the_step_moves_the_weights() -> None:
    net = layer(0.0, 0.9, 1.1, 3.0)
    values = Assigning(net, 1)
    with values.at_values():
        assert net.weight.tolist() == [[0.0, 1.0, 1.0, 3.0]]
        net(torch.tensor([[5.0, 1.0, 2.0, 1.0]])).sum().backward()
    assert net.weight.tolist() == [[0.0, pytest.approx(0.9), pytest.approx(1.1), 3.0]]
    assert net.weight.grad.tolist() == [[5.0, 1.0, 2.0, 1.0]]  # straight through


def test_a_weight_goes_over_and_its_value_follows() -> None:
    net = layer(0.0, 0.9, 1.1, 3.0)
    values = Assigning(net, 1)
    with torch.no_grad():
        net.weight[0, 2] = 2.5
    with values.at_values():
        assert net.weight.tolist() == [[0.0, 1.0, 3.0, 3.0]]
    # a tenth of the way, from 1 to 0.9, and from 3 to the mean of 2.5 and 3
    assert getattr(net, BUFFER).tolist() == pytest.approx([0.99, 2.975])
    values.settle()
    assert net.weight.tolist() == [[0.0, pytest.approx(0.99), *[pytest.approx(2.975)] * 2]]
    values.end()
    assert list(net.state_dict()) == ["weight"]


def test_an_error_inside_leaves_the_weights_as_they_were() -> None:
    net = layer(0.9, 1.1, 3.0)
    before = net.weight.detach().clone()
    with pytest.raises(KeyError), Assigning(net, 1).at_values():
        raise KeyError
    assert torch.equal(net.weight, before)


@pytest.fixture(scope="module")
def trained() -> tuple[nn.Module, Images, Images]:
    every = digits()
    torch.manual_seed(0)
    model = lenet5(fc=16, conv=(4, 8))
    fitting = Fitting.of_epochs(12, 1437, batch=64).model_copy(update={"judge_every": 0})
    train(model, every.train, fitting, zeroed=0.6)
    return model, every.train, every.test


def test_in_a_training_every_layer_has_so_many_values(
    trained: tuple[nn.Module, Images, Images],
) -> None:
    model, images, _ = trained
    net, judged = copy.deepcopy(model), []
    fitting = Fitting(iterations=100, batch=32, rate=0.02, judge_every=10)

    def judge(network: nn.Module) -> float:
        judged.append([len(torch.unique(w[w != 0])) for w in prunable(network)])
        return float(len(judged))

    train(net, images, fitting, watch=Watch(judge=judge), shared=2)
    assert net.state_dict().keys() == model.state_dict().keys()
    assert len(judged) == 10 - FREE * 10  # what is judged is what is kept
    assert all(max(one) <= 4 for one in judged)
    moved = 0
    for before, after in zip(prunable(model), prunable(net), strict=True):
        assert torch.equal(before == 0, after == 0)
        assert len(torch.unique(after[after != 0])) == 4
        order = before[before != 0].argsort()
        moved += int((after[after != 0][order].diff() < 0).sum())
    assert moved > 20  # k-means alone would keep their order


def test_with_few_values_it_is_better_than_places_held_from_the_start(
    trained: tuple[nn.Module, Images, Images],
) -> None:
    model, images, tested = trained
    fitting = Fitting(iterations=400, batch=32, rate=0.02)
    free, held = copy.deepcopy(model), copy.deepcopy(model)
    train(free, images, fitting, shared=1)
    share_values(held, share_plan(held, 1))
    with hold_shared(held):
        train(held, images, fitting)
    assert accuracy(free, tested) > accuracy(held, tested) + 1


def test_the_mean_of_weights_is_not_taken_over_values() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    train(net, digits().train, Training(iterations=30, batch=16, average=0.9), shared=1)
    assert len(torch.unique(net[1].weight)) == 2


def test_bits_out_of_range_are_refused_before_anything_is_changed() -> None:
    net = lenet5(fc=4, conv=(2, 2))
    before = copy.deepcopy(net.state_dict())
    with pytest.raises(UsageError, match="bits from 1 to 12, not 0"):
        train(net, digits().train, Training(iterations=2, batch=16), shared=0)
    assert all(torch.equal(net.state_dict()[name], t) for name, t in before.items())
