"""What holds for every network and every layer that can be cut."""

from __future__ import annotations

import copy

import pytest
import torch
from small_networks import CASES, Case
from torch import Tensor, fx, nn

from maxprune.lineage import Lineage, factory, lineage
from maxprune.measure import parameters
from maxprune.networks import Maxout
from maxprune.plan import KeepPlan, MaxoutPlan, keep_plan, read_plan
from maxprune.scores import count_wins
from maxprune.surgery import apply, audit
from maxprune.units import least_winning

EVERY = pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)


def state(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


def maxouts(model: nn.Module) -> list[str]:
    return [name for name, module in model.named_modules() if isinstance(module, Maxout)]


def every_other(case: Case) -> KeepPlan:
    keep = (0, *range(1, case.neurons, 2))
    return keep_plan({case.layer: case.neurons}, {case.layer: keep}, "test")


@EVERY
def test_insertion_changes_a_copy_only(case: Case) -> None:
    model = case.model()
    before, printed = state(model), str(model)
    wide = apply(model, MaxoutPlan(layer=case.layer, k=4))
    assert same(state(model), before)
    assert str(model) == printed
    assert maxouts(wide) == [case.maxout]
    ours = {p.data_ptr() for p in model.parameters()}
    assert all(p.data_ptr() not in ours for p in wide.parameters())


@EVERY
@pytest.mark.parametrize("k", [2, 4])
def test_insertion_keeps_names_outputs_and_the_rest_of_the_weights(case: Case, k: int) -> None:
    model = case.model()
    wide = apply(model, MaxoutPlan(layer=case.layer, k=k))
    assert model.eval()(case.inputs()).shape == wide.eval()(case.inputs()).shape
    old, new = state(model), state(wide)
    assert old.keys() == new.keys()
    changed = {name for name in old if old[name].shape != new[name].shape}
    for name in changed:
        dim = 1 if new[name].dim() > 1 else 0
        assert new[name].shape[dim] * k == old[name].shape[dim]
    assert any(name.endswith("weight") for name in changed)
    assert all(torch.equal(old[n], new[n]) for n in old.keys() - changed)


@EVERY
def test_insertion_of_identical_neurons_changes_nothing(case: Case) -> None:
    """If the k neurons of a unit are one neuron k times, a maxout and summed weights are exact."""
    model = case.model()
    twins = copy.deepcopy(model)
    chain_of_twins(twins, case)
    wide = apply(twins, MaxoutPlan(layer=case.layer, k=2))
    reader = next(n for n in state(twins) if state(twins)[n].shape != state(wide)[n].shape
                  and state(twins)[n].dim() > 1)  # fmt: skip
    wide.get_parameter(reader).data.mul_(2)
    x = case.inputs()
    assert torch.allclose(twins.eval()(x), wide.eval()(x), atol=1e-5)


def chain_of_twins(model: nn.Module, case: Case) -> None:
    """Make neuron 2i + 1 a twin of neuron 2i, in the layer and in the batch norms behind it."""

    def pair(values: Tensor) -> None:
        each = values.shape[0] // case.neurons
        pairs = values.unflatten(0, (case.neurons // 2, 2, each))
        pairs[:, 1] = pairs[:, 0]

    with torch.no_grad():
        for name, module in model.named_modules():
            same_width = isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and (
                module.num_features % case.neurons == 0
            )
            if name == case.layer or same_width:
                for value in (*module.parameters(recurse=False), *module.buffers(recurse=False)):
                    if value.dim():
                        pair(value)


@EVERY
def test_goes_down_to_one_and_no_maxout_is_left(case: Case) -> None:
    built = factory(lambda: case.model())()
    model = apply(built, MaxoutPlan(layer=case.layer, k=4))
    x = case.inputs()
    total = parameters(model)
    for k in (4, 3, 2):
        counts = count_wins(model, case.layer, x.split(4))
        assert counts.wins.shape == (case.neurons // 4, k)
        plan = least_winning(case.layer, counts.wins)
        smaller = apply(model, plan)
        assert audit(model, smaller, plan, x) <= 1e-5
        assert parameters(smaller) < total
        model, total = smaller, parameters(smaller)
    assert maxouts(model) == []
    if isinstance(model, fx.GraphModule):
        model.graph.lint()
        assert "maxout" not in model.code
    kept = lineage(model).kept()[case.layer]
    assert [i // 4 for i in kept] == list(range(case.neurons // 4))
    old, new = built.get_submodule(case.layer), model.get_submodule(case.layer)
    assert isinstance(old.weight, Tensor)
    assert isinstance(new.weight, Tensor)
    assert torch.equal(old.weight[list(kept)], new.weight)


@EVERY
def test_can_be_pruned_twice(case: Case) -> None:
    """A maxout may come again where one has gone, and the names of the modules do not collide."""
    plan = MaxoutPlan(layer=case.layer, k=2)
    model = apply(case.model(), plan)
    model = apply(model, every_second(case.layer, case.neurons))
    again = apply(model, plan)
    assert maxouts(again) == [case.maxout]
    once = apply(again, every_second(case.layer, case.neurons // 2))
    assert maxouts(once) == []
    assert once.get_parameter(f"{case.layer}.weight").shape[0] == case.neurons // 4
    assert torch.isfinite(once.eval()(case.inputs())).all()


def every_second(layer: str, neurons: int) -> KeepPlan:
    return keep_plan({layer: neurons}, {layer: tuple(range(0, neurons, 2))}, "test")


@EVERY
def test_a_never_winning_neuron_goes_without_a_trace(case: Case) -> None:
    model = apply(case.model(), MaxoutPlan(layer=case.layer, k=4))
    never = torch.arange(1, case.neurons, 4)
    make_never_win(model, case, never)
    x = case.inputs(40)
    counts = count_wins(model, case.layer, [x])
    assert counts.wins[:, 1].tolist() == [0] * (case.neurons // 4)
    smaller = apply(model, without(case, never))
    assert torch.allclose(model.eval()(x), smaller.eval()(x), atol=1e-5)


def rounded(_: nn.Module, args: tuple[Tensor]) -> tuple[Tensor]:
    return ((args[0].clamp(-8, 8) * 16).round() / 16,)


@EVERY
def test_and_to_the_bit_where_the_products_are_exact(case: Case) -> None:
    """The matrix product may round otherwise at another width, so here it has nothing to round."""
    model = case.model()
    layer = model.get_submodule(case.layer)
    layer.register_forward_pre_hook(rounded)
    for parameter in layer.parameters():
        parameter.data = (parameter.data * 64).round() / 64
    for k in (2, 3, 4):
        if case.neurons % k:
            continue
        wide = apply(model, MaxoutPlan(layer=case.layer, k=k))
        never = torch.arange(1, case.neurons, k)
        make_never_win(wide, case, never)
        x = case.inputs(40)
        assert not count_wins(wide, case.layer, [x]).wins[:, 1].any()
        smaller = apply(wide, without(case, never))
        assert torch.equal(wide.eval()(x), smaller.eval()(x))


def without(case: Case, never: Tensor) -> KeepPlan:
    keep = tuple(i for i in range(case.neurons) if i not in never.tolist())
    return keep_plan({case.layer: case.neurons}, {case.layer: keep}, "test")


def make_never_win(model: nn.Module, case: Case, never: Tensor) -> None:
    """Let these neurons be what the neuron before each is, and a little less."""
    layer = model.get_submodule(case.layer)
    assert isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d)
    with torch.no_grad():
        layer.weight[never] = layer.weight[never - 1]
        if layer.bias is not None:
            layer.bias[never] = layer.bias[never - 1] - 0.5
        for module in model.modules():
            wide = isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)
            if wide and module.num_features == case.neurons:
                for value in (*module.parameters(), *module.buffers()):
                    if value.dim():
                        value[never] = value[never - 1]
                module.bias[never] -= 0.5


@EVERY
def test_masked_equals_cut_without_a_maxout(case: Case) -> None:
    model, plan = case.model(), every_other(case)
    before = state(model)
    smaller = apply(model, plan)
    assert audit(model, smaller, plan, case.inputs()) <= 1e-5
    assert same(state(model), before)
    assert smaller.get_parameter(f"{case.layer}.weight").shape[0] == len(plan.keep[case.layer])
    assert lineage(smaller) == Lineage(plans=(plan,)) or lineage(smaller).plans == (plan,)


@EVERY
def test_the_same_inputs_give_the_same_plan_and_a_stored_plan_the_same_network(case: Case) -> None:
    plans, networks = [], []
    for _ in range(2):
        model = apply(case.model(), MaxoutPlan(layer=case.layer, k=4))
        plan = least_winning(case.layer, count_wins(model, case.layer, [case.inputs()]).wins)
        plans.append(plan)
        networks.append(apply(model, read_plan(plan.model_dump(mode="json"))))
    assert plans[0] == plans[1]
    assert same(state(networks[0]), state(networks[1]))


@EVERY
def test_gradients_flow_and_training_steps_work_after_the_cut(case: Case) -> None:
    model = apply(case.model(), MaxoutPlan(layer=case.layer, k=2)).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    model(case.inputs()).square().sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    optimizer.step()


@EVERY
def test_frozen_parameters_stay_frozen(case: Case) -> None:
    model = case.model().requires_grad_(False)
    for plan in (MaxoutPlan(layer=case.layer, k=2), every_other(case)):
        assert not any(p.requires_grad for p in apply(model, plan).parameters())


@EVERY
def test_the_modes_stay(case: Case) -> None:
    for training in (True, False):
        model = case.model().train(training)
        wide = apply(model, MaxoutPlan(layer=case.layer, k=2))
        assert all(m.training == training for m in model.modules())
        leaves = [m for m in wide.modules() if not list(m.children())]
        assert all(m.training == training for m in leaves)
