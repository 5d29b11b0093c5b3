"""Which neurons of maxout units go: of every unit, all at once, or by their rank over all."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from maxprune.errors import UsageError
from maxprune.planner import NothingToCutError
from maxprune.scores import WinCounts
from maxprune.units import UnitScores, least_relevant, least_winning, most_winning

Rows = list[list[int]]
ROWS = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=4), min_size=1, max_size=4)


def padded(rows: Rows, behind: int = 0) -> tuple[torch.Tensor, tuple[int, ...]]:
    """Rows of other lengths as a tensor, with something in the entries that are nobody's."""
    k = max(map(len, rows))
    return torch.tensor([r + [behind] * (k - len(r)) for r in rows]), tuple(map(len, rows))


def going(row: list[int]) -> list[int]:
    """The neurons of a unit in the order in which they go: the least first, of equals the last."""
    return sorted(range(len(row)), key=lambda i: (row[i], -i))


def flat(rows: Rows, stay: list[list[int]]) -> tuple[int, ...]:
    """The indices in the layer of the neurons of units that stay."""
    starts = itertools.accumulate(map(len, rows), initial=0)
    return tuple(first + i for first, own in zip(starts, stay, strict=False) for i in sorted(own))


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


@settings(deadline=None, max_examples=80, derandomize=True)
@given(rows=ROWS, behind=st.sampled_from([-7, 0, 7]))
def test_of_uneven_units_the_largest_lose_one(rows: Rows, behind: int) -> None:
    wins, sizes = padded(rows, behind)
    k = max(sizes)
    if k == 1:
        return
    plan = least_winning("a", wins, sizes=sizes)
    assert plan.keep["a"] == flat(rows, [going(row)[len(row) == k :] for row in rows])
    assert plan.neurons == {"a": sum(sizes)}


@settings(deadline=None, max_examples=80, derandomize=True)
@given(rows=ROWS, stay=st.integers(1, 3), behind=st.sampled_from([-7, 7]))
def test_in_one_step_the_most_winning_stay(rows: Rows, stay: int, behind: int) -> None:
    wins, sizes = padded(rows, behind)
    plan = most_winning("a", wins, stay, sizes=sizes)
    assert plan.keep["a"] == flat(rows, [going(row)[-stay:] for row in rows])


@settings(deadline=None, max_examples=150, derandomize=True)
@given(
    layers=st.lists(ROWS, min_size=1, max_size=3),
    remove=st.integers(1, 20),
    behind=st.sampled_from([-7, 0, 7]),
)
def test_over_all_units_the_least_go_one_after_the_other(
    layers: list[Rows], remove: int, behind: int
) -> None:
    scores = {}
    for name, rows in zip("abc", layers, strict=False):
        wins, sizes = padded(rows, behind)
        scores[name] = UnitScores(wins.double(), sizes)
    left = [[set(range(len(row))) for row in rows] for rows in layers]
    for _ in range(remove):
        free = [
            (layers[layer][unit][i], -layer, -unit, -i)
            for layer, units in enumerate(left)
            for unit, stay in enumerate(units)
            if len(stay) > 1
            for i in stay
        ]
        if not free:
            break
        _, layer, unit, i = min(free)
        left[-layer][-unit].discard(-i)
    if all(len(row) == 1 for rows in layers for row in rows):
        with pytest.raises(NothingToCutError, match="every unit has one neuron"):
            least_relevant(scores, remove)
        return
    plan = least_relevant(scores, remove)
    for name, rows, stay in zip("abc", layers, left, strict=False):
        expected = flat(rows, [list(one) for one in stay])
        if sum(map(len, stay)) < sum(map(len, rows)):
            assert plan.keep[name] == expected
        else:
            assert name not in plan.keep


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UsageError, match="at least 1 neuron, not 0"):
        most_winning("a", torch.ones(2, 2), 0)
    with pytest.raises(UsageError, match="at least 1 neuron goes, not 0"):
        least_relevant({"a": UnitScores(torch.ones(2, 2), (2, 2))}, 0)
    for sizes in ((2,), (2, 3), (0, 2)):
        with pytest.raises(UsageError, match=r"shape \(2, 2\) are not those of units with"):
            UnitScores(torch.ones(2, 2), sizes)
    with pytest.raises(UsageError, match="not a finite number"):
        UnitScores(torch.tensor([[1.0, float("inf")]]), (2,))
