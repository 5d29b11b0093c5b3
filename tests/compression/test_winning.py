"""Rules by which neurons of maxout units go, each at the paper's sizes."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

import maxprune
from maxprune.compression.winning import PAPER, MaxoutRule, without_last, without_least_winning
from maxprune.data import Dataset
from maxprune.networks import Maxout, lenet5
from maxprune.scores import WinCounts
from maxprune.surgery import apply

COUNTS = WinCounts(
    torch.tensor([[5, 1, 0], [90, 40, 50]]), 200,
    margins=torch.tensor([[0.1, 9.0, 0.2], [1.0, 2.0, 3.0]]),
)  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "keep"),
    [
        (PAPER, (0, 1, 3, 5)),
        (MaxoutRule(relevance="share"), (0, 1, 3, 5)),
        (MaxoutRule(relevance="margin"), (1, 2, 4, 5)),
        (MaxoutRule(units="uneven"), (0, 3, 4, 5)),
        (MaxoutRule(units="uneven", relevance="share"), (0, 3, 4, 5)),
        (MaxoutRule(units="uneven", relevance="margin"), (1, 3, 4, 5)),
        (MaxoutRule(one_step=True), (0, 3)),
        (MaxoutRule(one_step=True, relevance="margin"), (1, 5)),
    ],
)
def test_what_goes(rule: MaxoutRule, keep: tuple[int, ...]) -> None:
    assert rule.plan("fc1", COUNTS).keep["fc1"] == keep


def test_uneven_units_are_as_large_on_average_as_even_ones(data: Dataset) -> None:
    """Also where k does not divide the neurons; the last step leaves one neuron of each."""
    torch.manual_seed(0)
    start = apply(lenet5(fc=18, conv=(2, 2)), maxprune.maxout_plan("fc1", 4)).eval()
    even, uneven, rule = start, start, MaxoutRule(units="uneven")
    widths = []
    while any(isinstance(module, Maxout) for module in even.modules()):
        even = without_last(even, "fc1")
        uneven, wins = without_least_winning(uneven, "fc1", data.train, rule=rule)
        widths.append(uneven.get_submodule("fc1").out_features)
        assert widths[-1] == even.get_submodule("fc1").out_features == len(wins.keep)
    assert widths == [15, 10, 5]
    assert not any(isinstance(module, Maxout) for module in uneven.modules())


@pytest.mark.parametrize(
    "how", [{"units": "uneven", "relevance": "margin"}, {"one_step": True}], ids=str
)
def test_a_search_goes_by_the_rule(
    trained: nn.Module, data: Dataset, how: dict[str, object]
) -> None:
    found = maxprune.compress(
        trained, data, method="maxout", layers=["fc1"], rounds=1, epochs=0.1, keep_accuracy=100,
        **how,
    )  # fmt: skip
    titles = [trial.title for trial in found.trials]
    assert titles == [f"fc1 k={k}" for k in ((4, 1) if "one_step" in how else (4, 3, 2, 1))]
    assert found.model.get_submodule("fc1").out_features == 8
    plans = [p for p in maxprune.lineage(found.model).plans if isinstance(p, maxprune.KeepPlan)]
    assert all(("one step" if "one_step" in how else "margin, over all") in p.method for p in plans)
    left = [len(plan.keep["fc1"]) for plan in plans]
    assert all(b < a for a, b in itertools.pairwise([32, *left]))
