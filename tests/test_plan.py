"""Plans: checked once, readable, the same after JSON."""

from __future__ import annotations

import json

import pytest
import torch
from pydantic import ValidationError

from maxprune.errors import StoreError, UsageError
from maxprune.plan import KeepPlan, MaxoutPlan, Plan, ZeroPlan, keep_plan, maxout_plan, read_plan

PLANS: list[Plan] = [
    MaxoutPlan(layer="features.conv5_3", k=4),
    KeepPlan(neurons={"a": 3, "b.c": 2}, keep={"a": (0, 2), "b.c": (1,)}, method="wins"),
    ZeroPlan(share=0.1, threshold=float(torch.tensor(0.1)), zeroed=17),
]


@pytest.mark.parametrize("plan", PLANS, ids=lambda p: p.kind)
def test_json_and_back(plan: Plan) -> None:
    assert read_plan(json.loads(json.dumps(plan.model_dump(mode="json")))) == plan
    assert read_plan(json.loads(plan.model_dump_json())) == plan


def test_a_plan_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        PLANS[0].layer = "other"  # type: ignore[union-attr,misc]


KEEPS = [
    ({"a": 3}, {"a": ()}, "layer a would lose all of its 3 neurons"),
    ({"a": 3}, {"a": (0, 3)}, "layer a: an index is outside 0 to 2"),
    ({"a": 3}, {"a": (-1, 0)}, "layer a: an index is outside 0 to 2"),
    ({"a": 3}, {"a": (2, 1)}, "layer a: the indices that stay must ascend"),
    ({"a": 3}, {"a": (1, 1)}, "layer a: the indices that stay must ascend"),
    ({"a": 3}, {"b": (1,)}, "neurons and keep name different layers"),
    ({"a": 3, "b": 2}, {"a": (1,)}, "neurons and keep name different layers"),
]


@pytest.mark.parametrize(("neurons", "keep", "reason"), KEEPS)
def test_refuses_what_keeps_nothing_sensible(
    neurons: dict[str, int], keep: dict[str, tuple[int, ...]], reason: str
) -> None:
    with pytest.raises(UsageError, match=f"^KeepPlan: {reason}$"):
        keep_plan(neurons, keep, "test")
    with pytest.raises(UsageError, match=f"^KeepPlan: {reason}$"):
        KeepPlan(neurons=neurons, keep=keep)
    with pytest.raises(StoreError, match=f"^not a plan: .*{reason}$"):
        read_plan({"kind": "keep", "neurons": neurons, "keep": keep})


WRONG: list[tuple[object, str]] = [
    ({"kind": "maxout", "layer": "a", "k": 1}, "k: .*greater than or equal to 2"),
    ({"kind": "maxout", "layer": "a"}, "k: Field required"),
    ({"kind": "maxout", "layer": "a", "k": 2, "more": 1}, "more: Extra inputs"),
    ({"kind": "other", "layer": "a"}, "'other'"),
    ({"layer": "a"}, "kind"),
    ({"kind": "zero", "share": 1.0, "threshold": 0, "zeroed": 0}, "share: .*less than 1"),
    ({"kind": "zero", "share": 0.5, "threshold": -1, "zeroed": 0}, "threshold: "),
    ({"kind": "zero", "share": 0.5, "threshold": 1, "zeroed": -1}, "zeroed: "),
    ([], "valid dictionary"),
    (None, "valid dictionary"),
]


@pytest.mark.parametrize(("content", "reason"), WRONG, ids=str)
def test_refuses_a_stored_plan_that_is_none(content: object, reason: str) -> None:
    with pytest.raises(StoreError, match=reason) as error:
        read_plan(content)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("k", [1, 0, -4, 2.5])
def test_refuses_a_maxout_over_fewer_than_two(k: int) -> None:
    with pytest.raises(UsageError, match=f"at least k = 2 neurons, not {k}"):
        maxout_plan("fc1", k)
    with pytest.raises(UsageError, match=f"^MaxoutPlan: k: .*, not {k}$"):
        MaxoutPlan(layer="fc1", k=k)
    assert maxout_plan("fc1", 2) == MaxoutPlan(layer="fc1", k=2)


def test_removed_is_the_rest() -> None:
    assert keep_plan({"a": 5}, {"a": (1, 3)}, "test").removed("a") == (0, 2, 4)
