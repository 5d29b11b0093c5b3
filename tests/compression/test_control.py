"""The control of a search: what the additional training brings without any cut."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import maxprune
from maxprune import Compressed
from maxprune.compress import Run
from maxprune.compression.settings import UNCUT
from maxprune.data import Dataset
from maxprune.data.samples import Splits
from maxprune.errors import TrainingDiverged
from maxprune.measure import correct, parameters, randomization_test
from maxprune.networks import lenet5
from maxprune.report.trials import conclusion
from maxprune.results import Results
from maxprune.train import Fitting

HOW: dict[str, Any] = {"method": "random", "iterations": 2, "epochs": 1, "batch": 32}


def untrained() -> nn.Module:
    torch.manual_seed(0)
    return lenet5(fc=8, conv=(2, 4))


@pytest.fixture(scope="module")
def found(data: Dataset) -> Compressed:
    return maxprune.compress(untrained(), data, control=True, **HOW)


def test_the_control_is_whole_and_was_retrained_as_often(found: Compressed) -> None:
    results, control = found.results, found.results.control
    assert control is not None
    assert (control.name, control.removed, control.zeroed) == (UNCUT, 0, 0)
    assert control.parameters == results.baseline.parameters > results.steps[-1].parameters
    assert control.accuracy > results.baseline.accuracy
    search = results.details.search
    assert search is not None
    assert search.control is not None
    assert search.control.retrainings == len(results.steps) == 2
    right = {name: correct(net, found.samples) for name, net in found.models.items()}
    last = results.steps[-1]
    assert search.control.difference == last.accuracy - control.accuracy
    assert search.control.p_value == randomization_test(right[last.name], right[UNCUT])
    assert control.p_value == randomization_test(right[UNCUT], right["unpruned"])
    assert not any(trial.step.startswith(UNCUT) for trial in found.trials)


def test_each_retraining_is_like_its_counterpart(found: Compressed, data: Dataset) -> None:
    """Where nothing is cut, the steps and the control are one network."""
    calls: list[tuple[int, int]] = []

    def fit(model: nn.Module, splits: Splits) -> None:
        calls.append((parameters(model), int(torch.randint(10**6, ()))))

    maxprune.compress(untrained(), data, control=True, fit=fit, method="random", iterations=2)
    sizes, draws = zip(*calls, strict=True)
    assert sizes[0] > sizes[1]
    assert sizes[2:] == (parameters(untrained()),) * 2
    assert draws[:2] == draws[2:]


def test_tables_page_and_conclusion_name_the_control(found: Compressed, tmp_path: Path) -> None:
    control, last = found.results.control, found.results.steps[-1]
    search = found.results.details.search
    assert control is not None
    assert search is not None
    assert search.control is not None
    points = f"{search.control.difference:+.2f}".replace("-", "\N{MINUS SIGN}")
    said = " ".join(found.table().split())
    says = (
        "The control, the unpruned network retrained as often (2 times), has "
        f"{control.accuracy:.2f}% test accuracy, the pruned one {last.accuracy:.2f}% "
        f"({points} points, p = {search.control.p_value:.4f})."
    )
    assert says in said
    assert "uncut: the unpruned network, retrained as often" in said
    assert "additional training, of which" not in said
    found.write(tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert says in page
    assert 'data-row="control"' in page
    assert "trained from random weights" not in page
    assert Results.read(tmp_path / "results.json") == found.results


def test_a_gain_without_a_control_is_not_credited_to_the_cuts(
    found: Compressed, data: Dataset
) -> None:
    plain = maxprune.compress(untrained(), data, **HOW)
    assert plain.results.control is None
    assert plain.steps == [
        step.model_copy(update={"seconds": plain.steps[i].seconds})
        for i, step in enumerate(found.steps)
    ]
    assert plain.steps[-1].accuracy > plain.results.baseline.accuracy
    says = "Part of the gain may come from the additional training"
    assert any(sentence.startswith(says) for sentence in conclusion(plain.results))
    worse = plain.results.steps[-1].model_copy(update={"accuracy": 0.0})
    lost = plain.results.model_copy(update={"steps": [worse]})
    assert not any(sentence.startswith(says) for sentence in conclusion(lost))


def test_it_goes_on_after_a_kill_and_may_be_asked_for_later(
    found: Compressed, data: Dataset, tmp_path: Path
) -> None:
    plain = maxprune.compress(untrained(), data, folder=tmp_path, **HOW)
    assert plain.results.control is None

    def kill(step: str, done: int, total: int) -> None:
        if step == "uncut 2" and done > total // 2:
            raise KeyboardInterrupt

    run = Run(report=kill)
    with pytest.raises(KeyboardInterrupt):
        maxprune.compress(untrained(), data, folder=tmp_path, control=True, run=run, **HOW)
    told: list[str] = []
    run = Run(report=lambda step, *_: told.append(step))
    again = maxprune.compress(untrained(), data, folder=tmp_path, control=True, run=run, **HOW)
    assert set(told) == {"uncut 2"}
    for name, value in found.models[UNCUT].state_dict().items():
        assert torch.equal(value, again.models[UNCUT].state_dict()[name])


def test_why_there_is_no_control(data: Dataset) -> None:
    calls = iter(range(9))

    def fit(model: nn.Module, splits: Splits) -> None:
        if next(calls) == 2:
            raise TrainingDiverged("the loss is not finite")

    how = {"method": "random", "iterations": 2, "control": True}
    broken = maxprune.compress(untrained(), data, fit=fit, **how)
    assert "There is no control: uncut 1: the loss is not finite." in broken.results.details.notes
    uncut = maxprune.compress(untrained(), data, max_macs=10**9, control=True)
    assert uncut.results.control is None
    assert "There is no control, since nothing was cut" in uncut.results.details.notes[-1]


def test_zeros_are_no_part_of_the_control(data: Dataset) -> None:
    first = Run(first=Fitting.of_epochs(1, 1000, batch=32))
    how = {**HOW, "iterations": 1, "zero": 0.5, "control": True, "run": first}
    control = maxprune.compress(untrained(), data, **how).results.control
    assert control is not None
    assert control.zeroed < 0.01
