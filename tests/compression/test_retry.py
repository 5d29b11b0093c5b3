"""What fails by little is trained for longer before it is taken back."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import maxprune
from maxprune.compression import Compressed
from maxprune.compression.fit import Trainer
from maxprune.compression.search import Search
from maxprune.data import Dataset, digits
from maxprune.errors import UsageError
from maxprune.networks import lenet5
from maxprune.runs.measured import Measured

HOW: dict[str, Any] = {
    "method": "magnitude", "share": 0.2, "growth": 2.0, "fails": 1, "keep_accuracy": 20.0,
    "final_epochs": 3.0, "epochs": 1.0, "batch": 32, "retry": True, "iterations": 3,
}  # fmt: skip
LITTLE, MUCH = 30.0, 50.0  # points that may be lost: less and more than twice 20


@pytest.fixture(scope="module")
def data() -> Dataset:
    every = digits()
    return Dataset("digits", every.train.subset(torch.arange(600)), every.test)


@pytest.fixture
def search(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A search whose trials may lose what is said, by their numbers, else nothing."""

    def searched(bounds: dict[int, float], **changes: Any) -> tuple[Compressed, list[int]]:
        def bound(_: Search, measured: Measured, last: bool = False) -> float:
            return (
                bounds.get(int(measured.name.split(":")[0]), 0.0) if ":" in measured.name else 0.0
            )

        lengths: list[int] = []
        fit = Trainer.fit

        def told(self: Trainer, model: nn.Module, *rest: Any, **more: Any) -> Any:
            lengths.append(self.fitting.iterations)
            return fit(self, model, *rest, **more)

        monkeypatch.setattr(Search, "_bound", bound)
        monkeypatch.setattr(Trainer, "fit", told)
        torch.manual_seed(0)
        found = maxprune.compress(lenet5(fc=32, conv=(4, 8)), data, **HOW | changes)
        return found, lengths

    return searched


def of(found: Compressed) -> list[tuple[str, bool]]:
    """What was tried, without the number of channels, and whether it was taken."""
    return [(trial.title.split()[-1], trial.taken) for trial in found.trials]


def test_what_a_longer_training_heals_is_taken(search: Any) -> None:
    found, lengths = search({2: LITTLE}, control=True)
    first = [("channels", True), ("channels", False), ("on", True), ("channels", True)]
    assert of(found)[:4] == first
    each = lengths[0]
    assert lengths[:4] == [each, each, 3 * each, each]
    assert [step.name for step in found.steps] == [t.step for t in found.trials if t.step != "x"]
    assert found.trials[2].parameters == found.trials[1].parameters
    retrained = [length for length in lengths if length]
    assert found.results.details.search.control.retrainings == len(found.steps)
    assert retrained[-len(found.steps) :] == [each, each, 3 * each, *lengths[3 : len(found.steps)]]


def test_the_share_does_not_grow_where_that_was_needed(search: Any) -> None:
    def cut(found: Compressed) -> list[int]:
        titles = [trial.title for trial in found.trials if "channel" in trial.title]
        return [int(title[1:].split()[0]) for title in titles]

    usual, _ = search({})
    healed, _ = search({2: LITTLE})
    assert cut(usual)[:2] == cut(healed)[:2] == [8, 14]  # 20% of 44, 40% of 36
    assert cut(usual)[2] > cut(healed)[2] == 8  # half of 22, and 40% of them


def test_what_it_does_not_heal_is_taken_back(search: Any) -> None:
    found, _ = search({2: LITTLE, 3: LITTLE})
    assert of(found)[:3] == [("channels", True), ("channels", False), ("on", False)]
    assert found.trials[3].parameters == found.trials[0].parameters  # the end, of what is left


def test_the_end_does_not_train_again_what_was_just_trained(search: Any) -> None:
    found, _ = search({2: LITTLE}, iterations=2)
    assert [title for title, _ in of(found)].count("on") == 1


@pytest.mark.parametrize(
    ("bound", "changes"),
    [(MUCH, {}), (LITTLE, {"retry": False}), (LITTLE, {"final_epochs": 1.0})],
    ids=["hopeless", "not asked for", "no longer than usual"],
)
def test_nothing_is_tried_twice(bound: float, changes: dict[str, Any], search: Any) -> None:
    found, _ = search({2: bound}, **changes)
    assert [taken for _, taken in of(found)][:2] == [True, False]
    assert found.trials[2].parameters == found.trials[0].parameters  # the end, of what is left


def test_zeros_and_coded_files_are_trained_for_longer(search: Any) -> None:
    found, lengths = search({3: LITTLE, 5: LITTLE}, iterations=1, zero=0.5, bits=3)
    assert of(found)[2:] == [("50%", False), ("on", True), ("bits", False), ("longer", True)]
    each = lengths[0]
    assert lengths[2:] == [each, 3 * each, each, 3 * each]
    assert found.steps[-1].zeroed >= 0.5
    assert [trial.last for trial in found.trials[-4:]] == [True] * 4  # also the longer training


def test_it_is_refused_beside_a_function_of_ones_own(search: Any) -> None:
    with pytest.raises(UsageError, match="retry does nothing beside a fit of your own"):
        search({}, fit=lambda *_: None, final_epochs=0.0)
