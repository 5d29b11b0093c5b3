"""Plans: checked once, readable, the same after JSON."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from maxprune.errors import StoreError, UsageError
from maxprune.plan import (
    KeepPlan,
    MaxoutPlan,
    Plan,
    ZeroPlan,
    keep_plan,
    least_winning,
    maxout_plan,
    read_plan,
)
from maxprune.scores import WinCounts

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


@settings(deadline=None, max_examples=80, derandomize=True)
@given(data=st.data(), units=st.integers(1, 5), k=st.integers(2, 5))
def test_least_winning_takes_one_neuron_of_each_unit(
    data: st.DataObject, units: int, k: int
) -> None:
    few = st.integers(0, 2)  # so that ties are the rule
    wins = [[data.draw(few) for _ in range(k)] for _ in range(units)]
    plan = least_winning("a", torch.tensor(wins))
    expected = []
    for unit, row in enumerate(wins):
        last = max(i for i, count in enumerate(row) if count == min(row))
        expected.append(unit * k + last)
    assert plan.removed("a") == tuple(expected)
    assert plan.neurons == {"a": units * k}


def test_among_equals_the_last_goes() -> None:
    assert least_winning("a", torch.tensor([[0, 0, 0, 0], [0, 3, 0, 1]])).removed("a") == (3, 6)


def test_refuses_units_of_one() -> None:
    with pytest.raises(UsageError, match="layer a: units of 1 input have none to spare"):
        least_winning("a", torch.tensor([[5], [3]]))


def test_large_counts_are_compared_exactly() -> None:
    big = 2**60
    assert least_winning("a", torch.tensor([[big + 1, big, big + 2]])).removed("a") == (1,)


@pytest.mark.parametrize(
    "wins",
    [[[1, 2]], torch.zeros(4), torch.tensor([[1.0, float("nan")]]), WinCounts(torch.ones(1, 2), 2)],
)
def test_wins_that_are_none_are_refused(wins: object) -> None:
    with pytest.raises(UsageError, match=r"layer fc1: .*shape \(units, k\)"):
        least_winning("fc1", wins)  # type: ignore[arg-type]
