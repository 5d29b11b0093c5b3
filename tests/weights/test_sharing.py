"""Few values for the weights: nearest ones, found by k-means, that stay shared in any training."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans
from small_networks import nested, trained
from torch import nn
from torch.nn.utils import parametrizations

from maxprune.errors import StructureError, UsageError
from maxprune.plan import SharePlan
from maxprune.surgery import apply
from maxprune.weights import prunable, zero_plan
from maxprune.weights.sharing import centroids, hold_shared, round_to_halves, share_plan

OPTIMIZERS: list[Callable[[nn.Module], torch.optim.Optimizer]] = [
    lambda m: torch.optim.SGD(m.parameters(), 0.01, momentum=0.9, weight_decay=1e-3),
    lambda m: torch.optim.AdamW(m.parameters(), 1e-2),
]


def shared(bits: int = 2) -> nn.Module:
    """Half of the weights are zero, the others have four values a layer."""
    torch.manual_seed(0)
    model = nn.Sequential(
        OrderedDict[str, nn.Module](
            conv=nn.Conv2d(2, 4, 3), tanh1=nn.Tanh(), flatten=nn.Flatten(),
            fc1=nn.Linear(144, 12), tanh2=nn.Tanh(), fc2=nn.Linear(12, 5),
        )
    )  # fmt: skip
    model = apply(model, zero_plan(model, 0.5))
    return apply(model, share_plan(model, bits))


def groups(weight: torch.Tensor) -> torch.Tensor:
    """Which weights are equal to which."""
    flat = weight.detach().flatten()
    return flat[:, None] == flat


@settings(deadline=None, derandomize=True, max_examples=40)
@given(st.integers(2, 400), st.integers(1, 16), st.integers(0, 99))
def test_centroids_are_where_kmeans_of_scikit_learn_stays(n: int, count: int, seed: int) -> None:
    numbers = torch.randn(n, generator=torch.Generator().manual_seed(seed))
    found = centroids(numbers, count)
    assert 1 <= len(found) <= count
    assert bool((found.diff() > 0).all())
    if n <= count:
        assert found.tolist() == numbers.sort().values.tolist()
        return
    start = found.double().numpy()[:, None]
    wide = numbers.double().numpy()[:, None]
    theirs = KMeans(len(found), init=start, n_init=1, tol=0, algorithm="lloyd").fit(wide)
    np.testing.assert_allclose(theirs.cluster_centers_, start, atol=1e-6)


def test_every_weight_gets_the_nearest_value_and_zeros_stay() -> None:
    model = trained(nested(), 0)
    model = apply(model, zero_plan(model, 0.5))
    plan = share_plan(model, 2)
    again = apply(model, plan)
    for (name, values), before, after in zip(
        plan.values.items(), prunable(model), prunable(again), strict=True
    ):
        assert len(values) == 4, name
        assert torch.equal(before == 0, after == 0)
        had, has = before[before != 0], after[after != 0]
        every = torch.tensor(values)
        assert set(has.tolist()) <= set(every.tolist())
        nearest = (had[:, None] - every).abs().min(1).values
        torch.testing.assert_close((had - has).abs(), nearest)
    assert torch.equal(model.classifier[0].bias, again.classifier[0].bias)
    assert share_plan(again, 2) == plan  # shared already: nothing changes


def test_a_shared_weight_is_shared_once() -> None:
    model = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
    model[1].weight = model[0].weight
    plan = share_plan(model, 1)
    assert list(plan.values) == ["0"]
    again = apply(model, plan)
    assert again[0].weight is again[1].weight
    assert len(torch.unique(again[0].weight)) == 2


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_equal_weights_stay_equal_and_zeros_zero(
    optimizer: Callable[[nn.Module], torch.optim.Optimizer],
) -> None:
    model = shared()
    before = [(groups(w), w.detach().clone()) for w in prunable(model)]
    steps = optimizer(model)
    x, y = torch.rand(16, 2, 8, 8), torch.arange(16) % 5
    with hold_shared(model):
        for _ in range(20):
            steps.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            steps.step()
    for (which, weight), after in zip(before, prunable(model), strict=True):
        assert torch.equal(groups(after), which)
        assert torch.equal(weight == 0, after == 0)
        assert not torch.equal(weight, after)
    steps.zero_grad()
    nn.functional.cross_entropy(model(x), y).backward()
    steps.step()
    assert len(torch.unique(prunable(model)[-1].detach())) > 5  # free again


class Apart(torch.optim.Optimizer):
    """Its step moves a single row of weights by as little as there is."""

    def __init__(self, weight: torch.Tensor, row: int) -> None:
        super().__init__([weight], {})
        self.row = weight.data[row]

    def step(self, closure: None = None) -> None:
        self.row.copy_(self.row.nextafter(torch.tensor(9.0)))


def test_weights_that_a_step_rounds_apart_are_equal_behind_it() -> None:
    model = shared()
    weight = model.fc1.weight
    which, steps = groups(weight), [Apart(weight, 0), Apart(weight, -1)]
    with hold_shared(model):
        for step in steps:
            step.step()
            assert torch.equal(groups(weight), which)
        taken = copy.deepcopy(model)
        weight.data[0] *= 2
    assert torch.equal(groups(weight), which)
    steps[0].step()
    assert not torch.equal(groups(weight), which)  # free again
    assert torch.equal(groups(taken.fc1.weight), which)


def test_a_value_gets_the_mean_of_the_gradients_of_its_weights() -> None:
    """The gradient by a value itself, as autograd has it where the weights are looked up."""
    model = shared()
    x, y = torch.rand(8, 2, 8, 8), torch.arange(8) % 5
    weight = model.fc1.weight
    values, which = torch.unique(weight.detach(), return_inverse=True)
    looked = values.clone().requires_grad_()
    state = {**dict(model.named_parameters()), "fc1.weight": looked[which]}
    out = torch.func.functional_call(model, state, (x,))
    nn.functional.cross_entropy(out, y).backward()
    assert looked.grad is not None
    model.zero_grad()
    with hold_shared(model):
        nn.functional.cross_entropy(model(x), y).backward()
    expected = looked.grad * (values != 0) / torch.bincount(which.flatten())
    torch.testing.assert_close(weight.grad, expected[which])


def test_rounding_keeps_what_16_bits_cannot_say() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.BatchNorm1d(2))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[0.3, -1.7], [0.0, 100.1]]))
        model[0].bias.copy_(torch.tensor([1.0, 1e-9]))
        model[1].weight.copy_(torch.tensor([[1e-7, 1.1], [0.1, 0.2]]))
        model[1].bias.copy_(torch.tensor([1e5, 0.1]))
    before = {n: t.clone() for n, t in model.state_dict().items()}
    round_to_halves(model)
    after = model.state_dict()
    assert torch.equal(after["0.weight"], before["0.weight"].half().float())
    assert after["0.bias"].tolist() == [1.0, 0.0]
    for name in ("1.weight", "1.bias", "2.num_batches_tracked"):
        assert torch.equal(after[name], before[name]), name


@pytest.mark.parametrize("bits", [0, 13, 2.5, True])
def test_bits_out_of_range_are_refused(bits: int) -> None:
    with pytest.raises(UsageError, match="with bits from 1 to 12, not"):
        share_plan(nested(), bits)


def test_a_parametrized_layer_is_refused() -> None:
    model = nn.Sequential(parametrizations.weight_norm(nn.Linear(2, 2)))
    with pytest.raises(StructureError, match="parametrized"):
        share_plan(model)


def test_a_plan_that_lies_is_refused() -> None:
    for values, says in (
        ((), "has 0 values"), ((1.0, 2.0, 3.0), "has 3 values"), ((2.0, 1.0), "must ascend"),
        ((0.0, 1.0), "not be zero"), ((float("nan"),), "finite"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=says):
            SharePlan(bits=1, values={"fc1": values})
