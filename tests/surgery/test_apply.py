"""Plans that do not fit, units of unequal size, and cuts of several layers."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_networks import CASES, Functional, nested, trained
from torch import nn

from maxprune.errors import StructureError
from maxprune.lineage import lineage
from maxprune.networks import Maxout, lenet5
from maxprune.plan import MaxoutPlan, ZeroPlan, keep_plan
from maxprune.scores import count_wins
from maxprune.surgery import apply, audit
from maxprune.units import least_winning
from maxprune.weights import zero_plan


def test_refuses_a_plan_for_another_number_of_neurons() -> None:
    plan = keep_plan({"fc1": 12}, {"fc1": (0, 1)}, "test")
    with pytest.raises(StructureError, match="plan is for 12 neurons of layer 'fc1', which has 8"):
        apply(lenet5(fc=8), plan)


@pytest.mark.parametrize("keep", [(0, 1, 2), (4, 5, 6, 7)])
def test_refuses_to_empty_a_unit(keep: tuple[int, ...]) -> None:
    model = apply(lenet5(fc=8, conv=(2, 2)), MaxoutPlan(layer="fc1", k=4))
    with pytest.raises(StructureError, match="every unit of 'fc1_maxout' must keep at least 1"):
        apply(model, keep_plan({"fc1": 8}, {"fc1": keep}, "test"))


def test_refuses_an_unknown_layer_with_the_known_ones() -> None:
    with pytest.raises(StructureError, match="no layer 'fc9'; it has conv1, conv2, fc1, fc2"):
        apply(lenet5(fc=8), keep_plan({"fc9": 8}, {"fc9": (0,)}, "test"))


def test_a_refused_plan_leaves_the_network_as_it_was() -> None:
    model = apply(lenet5(fc=8, conv=(2, 2)), MaxoutPlan(layer="fc1", k=4))
    before = str(model)
    with pytest.raises(StructureError):
        apply(model, keep_plan({"fc1": 8}, {"fc1": (0, 1, 2)}, "test"))
    assert str(model) == before
    assert len(lineage(model).plans) == 1


@pytest.mark.parametrize("build", [nested, Functional])
def test_cuts_several_layers_of_one_plan(build: type[nn.Module]) -> None:
    model = trained(build())
    names = ["features.conv1", "features.conv2", "classifier.0"]
    first, second, third = names if build is nested else ["conv1", "conv2", "fc1"]
    widths = {n: int(model.get_parameter(f"{n}.weight").shape[0]) for n in (first, second, third)}
    keep = {first: (1, 3), second: (0, 5, 11), third: tuple(range(2, 12))}
    plan = keep_plan(widths, keep, "test")
    smaller = apply(model, plan)
    assert audit(model, smaller, plan, torch.randn(6, 2, 8, 8)) <= 1e-5
    weights = [tuple(smaller.get_parameter(f"{n}.weight").shape[:2]) for n in keep]
    assert weights[:2] == [(2, 2), (3, 2)]
    assert weights[2][0] == 10


def test_the_kept_rows_are_the_right_ones_in_the_right_order() -> None:
    """The published Caffe code copies surviving rows over each other."""
    model = trained(lenet5(fc=12, conv=(2, 4)))
    keep = (1, 2, 7, 11)
    smaller = apply(model, keep_plan({"fc1": 12}, {"fc1": keep}, "test"))
    for name, dim in (("fc1.weight", 0), ("fc1.bias", 0), ("fc2.weight", 1)):
        expected = model.get_parameter(name).index_select(dim, torch.tensor(keep))
        assert torch.equal(smaller.get_parameter(name), expected)
    filters = apply(model, keep_plan({"conv2": 4}, {"conv2": (0, 3)}, "test"))
    expected = model.get_parameter("fc1.weight")[:, [*range(16), *range(48, 64)]]
    assert torch.equal(filters.get_parameter("fc1.weight"), expected)
    assert (filters.get_submodule("conv2").out_channels, filters.get_submodule("fc1").in_features
            ) == (2, 32)  # fmt: skip


def test_zeroes_exactly_the_planned_weights_of_a_copy() -> None:
    model = trained(lenet5(fc=8, conv=(2, 2)))
    plan = zero_plan(model, 0.5)
    before = [p.clone() for p in model.parameters()]
    pruned = apply(model, plan)
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), before, strict=True))
    zeros = sum(int((p == 0).sum()) for p in pruned.parameters())
    assert zeros == plan.zeroed
    assert lineage(pruned).plans == (plan,)
    assert isinstance(plan, ZeroPlan)


@settings(deadline=None, max_examples=25, derandomize=True)
@given(data=st.data())
def test_random_iterations_pass_the_audit(data: st.DataObject) -> None:
    case = data.draw(st.sampled_from(CASES[:12]))
    k = data.draw(st.sampled_from([d for d in (2, 3, 4, 6) if case.neurons % d == 0]))
    model = trained(case.build(), seed=data.draw(st.integers(0, 99)))
    model = apply(model, MaxoutPlan(layer=case.layer, k=k))
    x = case.inputs(8, seed=data.draw(st.integers(0, 99)))
    for _ in range(k - 1):
        plan = least_winning(case.layer, count_wins(model, case.layer, [x]).wins)
        smaller = apply(model, plan)
        assert audit(model, smaller, plan, x) <= 1e-5
        model = smaller
    assert not any(isinstance(m, Maxout) for m in model.modules())
