"""One threshold over the whole network, exact counts, and zeros that stay zero."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_networks import nested, trained
from torch import nn
from torch.nn.utils import parametrizations

from maxprune.errors import StructureError, UsageError
from maxprune.measure import nonzero, parameters
from maxprune.networks import lenet5
from maxprune.surgery import apply
from maxprune.weights import hold_zeros, prunable, zero_plan


def network() -> nn.Module:
    """63 weights of different magnitudes, 0.01 to 0.63, and 9 biases that are smaller."""
    model = nn.Sequential(nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, 1, bias=False))
    order = torch.randperm(63, generator=torch.Generator().manual_seed(0)) + 1
    values = order.float() / 100 * torch.where(order % 2 == 0, 1.0, -1.0)
    model[0].weight.data = values[:54].reshape(9, 6)
    model[2].weight.data = values[54:].reshape(1, 9)
    model[0].bias.data.fill_(0.001)
    return model


def test_the_share_is_of_all_parameters_and_the_count_exact() -> None:
    model = network()
    assert parameters(model) == 72
    for share, count in [(0.0, 0), (0.01, 1), (0.25, 18), (0.5, 36), (1 / 3, 24), (0.85, 62)]:
        plan = zero_plan(model, share)
        assert plan.zeroed == count
        assert nonzero(apply(model, plan)) == 72 - count
        assert plan.threshold == pytest.approx(count / 100)


def test_a_share_that_floating_point_makes_a_hair_too_large_is_exact() -> None:
    assert 0.07 * 100 > 7
    model = nn.Linear(9, 10)
    assert zero_plan(model, 0.07).zeroed == 7
    assert zero_plan(model, 0.071).zeroed == 8


@settings(deadline=None, max_examples=50, derandomize=True)
@given(share=st.floats(0, 0.85), seed=st.integers(0, 99))
def test_the_smallest_go_over_the_whole_network(share: float, seed: int) -> None:
    model = trained(nested(), seed)
    plan = zero_plan(model, share)
    pruned = apply(model, plan)
    weights = torch.cat([w.detach().flatten() for w in prunable(model)])
    left = torch.cat([w.detach().flatten() for w in prunable(pruned)])
    wanted = share * parameters(model)
    assert wanted - 1e-3 <= plan.zeroed <= wanted + 2  # a tie of two at most
    assert int((left == 0).sum()) == plan.zeroed
    assert torch.equal(left[left != 0], weights[left != 0])
    gone, stay = weights[left == 0].abs(), weights[left != 0].abs()
    assert gone.numel() == 0 or float(gone.max()) < float(stay.min())


def test_biases_and_batch_norms_are_never_zeroed() -> None:
    model = trained(nested())
    pruned = apply(model, zero_plan(model, 0.8))
    weights = {id(w) for w in prunable(pruned)}
    old = dict(model.named_parameters())
    others = [n for n, p in pruned.named_parameters() if id(p) not in weights]
    assert len(others) == 5
    assert all(torch.equal(pruned.get_parameter(n), old[n]) for n in others)


def test_weights_of_the_same_magnitude_all_go() -> None:
    model = nn.Linear(6, 1, bias=False)
    model.weight.data = torch.tensor([[0.5, -0.5, 1.0, 0.5, 2.0, -3.0]])
    plan = zero_plan(model, 0.2)
    assert (plan.threshold, plan.zeroed) == (0.5, 3)
    assert apply(model, plan).get_parameter("weight").tolist() == [[0, 0, 1, 0, 2, -3]]


def test_zeros_that_are_there_count() -> None:
    model = nn.Linear(4, 1, bias=False)
    model.weight.data = torch.tensor([[0.0, 0.0, 1.0, 2.0]])
    assert (zero_plan(model, 0.0).zeroed, zero_plan(model, 0.5).zeroed) == (2, 2)
    assert zero_plan(model, 0.75).zeroed == 3


def test_shared_weights_count_once() -> None:
    model = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
    model[1].weight = model[0].weight
    assert len(prunable(model)) == 1
    assert zero_plan(model, 0.25).zeroed == 4


@pytest.mark.parametrize("share", [-0.1, 1.0, 1.5, float("nan")])
def test_refuses_a_share_outside_its_range(share: float) -> None:
    with pytest.raises(UsageError, match=r"lies in \[0, 1\)"):
        zero_plan(network(), share)


@pytest.mark.parametrize("share", [0.87, 0.875, 0.99])
def test_refuses_to_zero_every_weight(share: float) -> None:
    with pytest.raises(UsageError, match="takes every weight: 9 of 72 parameters are biases"):
        zero_plan(network(), share)


def test_refuses_a_network_without_weights_to_zero() -> None:
    with pytest.raises(StructureError, match="no linear or convolution layer"):
        zero_plan(nn.Sequential(nn.BatchNorm1d(3)), 0.5)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_refuses_weights_that_are_not_finite(value: float) -> None:
    model = network()
    model.get_parameter("0.weight").data[0, 0] = value
    with pytest.raises(StructureError, match="not finite"):
        zero_plan(model, 0.5)


def test_refuses_weights_that_are_computed() -> None:
    model = network()
    parametrizations.weight_norm(model[0])  # type: ignore[index]
    with pytest.raises(StructureError, match="'0' is parametrized"):
        zero_plan(model, 0.5)
    with pytest.raises(StructureError, match="'0' is parametrized"), hold_zeros(model):
        pass


OPTIMIZERS: dict[str, Callable[[nn.Module], torch.optim.Optimizer]] = {
    "sgd": lambda m: torch.optim.SGD(m.parameters(), 0.1, momentum=0.9, weight_decay=5e-2),
    "nesterov": lambda m: torch.optim.SGD(m.parameters(), 0.1, momentum=0.9, nesterov=True),
    "adamw": lambda m: torch.optim.AdamW(m.parameters(), 0.05, weight_decay=0.1),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("held", [True, False])
def test_zeros_are_held_and_the_rest_is_trained(name: str, held: bool) -> None:
    model = trained(lenet5(fc=8, conv=(2, 2)))
    model = apply(model, zero_plan(model, 0.6))
    masks = [w == 0 for w in prunable(model)]
    before = [w.detach().clone() for w in prunable(model)]
    optimizer = OPTIMIZERS[name](model)
    x = torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(0))

    def steps() -> None:
        for _ in range(5):
            optimizer.zero_grad()
            for _ in range(2):  # gradients may add up before a step
                model(x).square().mean().backward()
            optimizer.step()

    if held:
        with hold_zeros(model):
            steps()
        assert all(bool((w[m] == 0).all()) for w, m in zip(prunable(model), masks, strict=True))
    else:
        steps()
        assert not all(bool((w[m] == 0).all()) for w, m in zip(prunable(model), masks, strict=True))
    moved = zip(prunable(model), before, strict=True)
    assert all(not torch.equal(w, old) for w, old in moved)


def hooks(model: nn.Module) -> int:
    return sum(len(p._post_accumulate_grad_hooks or ()) for p in model.parameters())


def test_hooks_are_removed_afterwards_also_after_an_error() -> None:
    model = network()
    model = apply(model, zero_plan(model, 0.5))
    with hold_zeros(model):
        assert hooks(model) == 2
    assert hooks(model) == 0
    with pytest.raises(ZeroDivisionError), hold_zeros(model):
        raise ZeroDivisionError
    assert hooks(model) == 0
    model(torch.ones(1, 6)).sum().backward()
    gradient = model.get_parameter("2.weight").grad
    assert gradient is not None
    assert bool((gradient != 0).any())


def test_a_gradient_that_is_not_finite_does_not_reach_a_zero() -> None:
    layer = nn.Linear(2, 1)
    layer.weight.data = torch.tensor([[0.0, 1.0]])
    with hold_zeros(layer):
        (layer(torch.ones(1, 2)) * float("inf")).sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad[0, 0] == 0


def test_frozen_weights_need_no_hook() -> None:
    model = network().requires_grad_(False)
    model = apply(model, zero_plan(model, 0.5))
    with hold_zeros(model):
        assert hooks(model) == 0
