"""The more networks that lose too much are tried, the more strictly the last one is judged."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from scipy.stats import norm
from torch import nn

import maxprune
from maxprune.compression import Compression
from maxprune.compression.search import UNPRUNED, Search
from maxprune.compression.sizes import Sizes
from maxprune.compression.tried import Tried
from maxprune.data import Dataset, digits
from maxprune.errors import UsageError
from maxprune.measure import loss_bound
from maxprune.networks import lenet5
from maxprune.report.trials import conclusion, trial_cells, trials_table
from maxprune.results import Results
from maxprune.runs.measured import Measured

HOW: dict[str, Any] = {
    "method": "magnitude", "share": 0.4, "keep_accuracy": 100.0, "epochs": 1.0, "batch": 32,
    "iterations": 1, "zero": 0.3,
}  # fmt: skip


def cut(looks: int, **changes: Any) -> Results:
    every = digits()
    data = Dataset("digits", every.train.subset(torch.arange(600)), every.test)
    torch.manual_seed(0)
    network = lenet5(fc=32, conv=(4, 8))
    return maxprune.compress(network, data, **HOW | changes, looks=looks).results


def failing(results: Results, count: int) -> Results:
    """The same, as if so many networks had lost too much."""
    found = results.details.search
    assert found is not None
    bad = found.trials[-1].model_copy(update={"taken": False, "loss_bound": 101.0})
    search = found.model_copy(update={"trials": [*found.trials, *[bad] * count]})
    details = results.details.model_copy(update={"search": search})
    return results.model_copy(update={"details": details})


def test_what_may_be_the_last_network_is_judged_over_all_looks() -> None:
    one, ten = (cut(looks).details.search for looks in (1, 10))
    assert one is not None
    assert ten is not None
    (cut_alone, alone), (cut_shared, shared) = one.trials, ten.trials
    assert cut_alone == cut_shared
    assert (cut_shared.last, shared.last) == (False, True)
    assert alone.accuracy == shared.accuracy
    assert alone.loss_bound is not None
    assert shared.loss_bound is not None
    assert alone.loss_bound < shared.loss_bound
    caption = str(trials_table(ten).caption)
    assert "over 10 looks, each at 99.5%" in caption
    assert "looks" not in str(trials_table(one).caption)
    starred = [trial_cells(trial, ten)[-2].endswith("*") for trial in ten.trials]
    assert starred == [False, True]
    assert "with 95% confidence over 10 looks" in ten.goal


@pytest.mark.parametrize("passes", [0, 1, 2])
def test_the_smallest_that_passes_over_all_looks_goes_on(
    passes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bound(_: Search, measured: Measured, last: bool = False) -> float:
        number = 0 if ":" not in measured.name else int(measured.name.split(":")[0])
        return 101.0 if last and number > passes else 1.0

    monkeypatch.setattr(Search, "_bound", bound)
    results = cut(10, iterations=2, zero=None, keep_accuracy=50.0)
    assert len(results.steps) == passes
    assert results.details.search is not None
    assert all(trial.taken for trial in results.details.search.trials)
    told = [note for note in results.details.notes if "but not over 10 looks" in note]
    assert len(told) == (passes < 2)


def proven(networks: dict[str, tuple[int, float]], name: str) -> str:
    """Which of them goes on, by their parameters and what they may lose over all looks."""
    nothing: Any = None
    settings = Compression(looks=10, keep_accuracy=4)
    search = Search(settings, nothing, nothing, nothing, nothing, nothing)
    for one, (count, _) in networks.items():
        measured: Any = one
        search.taken[one] = Tried(measured, 0, nn.Identity(), "")
        search.sizes[one] = Sizes(count, 0, 0, None)
    return search._proven(name)


@pytest.mark.parametrize(
    ("name", "goes_on"),
    [("4", "3"), ("5", "3"), ("6", "6"), ("2", "2"), (UNPRUNED, UNPRUNED)],
)
def test_of_equally_large_networks_the_one_that_surely_loses_least_goes_on(
    name: str, goes_on: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    networks = {
        UNPRUNED: (900, 2.2), "1": (500, 3.0), "2": (400, 3.9), "3": (300, 2.8), "4": (300, 4.5),
        "5": (200, 5.0), "6": (100, 3.0),
    }  # fmt: skip

    def bound(_: Search, measured: str, last: bool) -> float:
        assert last
        return networks[measured][1]

    monkeypatch.setattr(Search, "_bound", bound)
    assert proven(networks, name) == goes_on


def test_a_cut_within_the_budget_may_be_the_last_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def bound(_: Search, measured: Measured, last: bool = False) -> float:
        return 101.0 if last and measured.name != UNPRUNED else 1.0

    monkeypatch.setattr(Search, "_bound", bound)
    results = cut(10, iterations=2, zero=None, keep_accuracy=50.0, max_parameters=1500)
    assert results.details.search is not None
    first, second = results.details.search.trials
    assert (first.last, first.taken) == (False, True)
    assert second.parameters <= 1500
    assert (second.last, second.taken) == (True, False)


def test_too_few_samples_for_so_many_looks_are_refused() -> None:
    with pytest.raises(UsageError, match=r"60 validation samples .* leave 9.96; .*\(looks=1\)"):
        cut(10, keep_accuracy=7.0)
    assert cut(1, keep_accuracy=7.0).details.search is not None


def test_the_level_is_that_of_tango_s_test() -> None:
    same = torch.ones(300, dtype=torch.bool)
    z2 = norm.ppf(1 - 0.05 / 7) ** 2  # of equal answers the bound is z^2 / (n + z^2)
    assert abs(loss_bound(same, same, Compression(looks=7).level()) - 100 * z2 / (300 + z2)) < 1e-6


def test_more_failures_than_looks_are_told() -> None:
    told = "networks failed, more than"
    results = cut(looks=3)
    assert not any(told in note for note in conclusion(failing(results, 3)))
    assert any(note.startswith(f"4 {told} the 3 ") for note in conclusion(failing(results, 4)))
    assert not any(told in note for note in conclusion(failing(cut(looks=1), 4)))
