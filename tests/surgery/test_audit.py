"""The audit passes what is right, and is shown to fail for what is wrong."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from small_networks import CASES, Case
from torch import nn

from maxprune.errors import AuditError
from maxprune.plan import KeepPlan, MaxoutPlan, keep_plan
from maxprune.surgery import apply, audit, masked

EVERY = pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)


def cut(case: Case, k: int = 0) -> tuple[nn.Module, nn.Module, KeepPlan]:
    model = case.model()
    if k:
        model = apply(model, MaxoutPlan(layer=case.layer, k=k))
    keep = tuple(range(0, case.neurons, 2))
    plan = keep_plan({case.layer: case.neurons}, {case.layer: keep}, "test")
    return model, apply(model, plan), plan


@EVERY
@pytest.mark.parametrize("k", [0, 2, 4])
def test_another_choice_of_neurons_is_caught(case: Case, k: int) -> None:
    model, _, plan = cut(case, k)
    others = keep_plan(
        {case.layer: case.neurons}, {case.layer: tuple(range(1, case.neurons, 2))}, "test"
    )
    with pytest.raises(AuditError, match=f"cutting {case.layer} changed the outputs"):
        audit(model, apply(model, others), plan, case.inputs())


WRONG: dict[str, Callable[[nn.Linear], object]] = {
    "rows swapped": lambda fc: fc.weight.data.copy_(fc.weight.data.flip(0)),
    "bias forgotten": lambda fc: fc.bias.data.zero_(),
    "one weight": lambda fc: fc.weight.data[0, 0].add_(0.1),
    "not finite": lambda fc: fc.weight.data[0, 0].fill_(torch.nan),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
@pytest.mark.parametrize("layer", ["0", "2"])
def test_wrong_weights_are_caught(wrong: Callable[[nn.Linear], object], layer: str) -> None:
    model, smaller, plan = cut(CASES[0])
    module = smaller.get_submodule(layer)
    assert isinstance(module, nn.Linear)
    wrong(module)
    with pytest.raises(AuditError):
        audit(model, smaller, plan, CASES[0].inputs(64))


def test_a_batch_norm_with_the_wrong_statistics_is_caught() -> None:
    case = CASES[1]
    model, smaller, plan = cut(case, 2)
    smaller.get_buffer("bn.running_mean").copy_(smaller.get_buffer("bn.running_mean").flip(0))
    with pytest.raises(AuditError):
        audit(model, smaller, plan, case.inputs())


def test_outputs_of_another_shape_are_caught() -> None:
    model, _, plan = cut(CASES[0])
    with pytest.raises(AuditError, match=r"outputs were \[\(16, 5\)\] and are \[\(16, 4\)\]"):
        audit(model, nn.Linear(6, 4), plan, CASES[0].inputs())


def test_a_difference_up_to_the_tolerance_passes_and_is_returned() -> None:
    model, smaller, plan = cut(CASES[0])
    smaller.get_parameter("2.bias").data.add_(0.01)
    found = audit(model, smaller, plan, CASES[0].inputs(), tolerance=0.1)
    assert 1e-4 < found < 0.1
    with pytest.raises(AuditError):
        audit(model, smaller, plan, CASES[0].inputs(), tolerance=found / 2)


@EVERY
@pytest.mark.parametrize("k", [0, 2])
def test_leaves_no_hook_and_no_mode_behind(case: Case, k: int) -> None:
    model, smaller, plan = cut(case, k)
    for network in (model.train(), smaller.train()):
        network.requires_grad_(True)
    before = model.eval()(case.inputs())
    model.train()
    audit(model, smaller, plan, case.inputs())
    with masked(model, plan):
        assert any(m._forward_pre_hooks for m in model.modules())
    with pytest.raises(ZeroDivisionError), masked(model, plan):
        raise ZeroDivisionError
    assert not any(m._forward_pre_hooks for m in model.modules())
    assert all(m.training for m in model.modules())
    assert all(m.training for m in smaller.modules())
    assert torch.equal(model.eval()(case.inputs()), before)


def test_works_in_training_mode_with_dropout_and_batch_norm() -> None:
    case = CASES[1]
    model, smaller, plan = cut(case)
    statistics = model.get_buffer("bn.running_mean").clone()
    audit(model.train(), smaller.train(), plan, case.inputs())
    assert torch.equal(model.get_buffer("bn.running_mean"), statistics)
