"""What dropout a network has in a search, as it gets smaller."""

from __future__ import annotations

import pytest
from torch import nn

import maxprune
from maxprune.compression.fit import Trainer
from maxprune.data import Dataset
from maxprune.data.spec import as_splits
from maxprune.errors import TrainingDiverged
from maxprune.measure import parameters
from maxprune.train import Fitting


@maxprune.factory
def dropping() -> nn.Sequential:
    layers = [nn.Flatten(), nn.Linear(784, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 10)]
    return nn.Sequential(*layers)


@pytest.mark.parametrize(("times", "ratio"), [(None, 0.5), (1, 0.5), (4, 0.25), (0.5, 0.5)])
def test_it_shrinks_with_what_is_left_of_the_network(
    times: float | None, ratio: float, data: Dataset
) -> None:
    model, seen = dropping(), []
    model[3].register_forward_pre_hook(
        lambda layer, _: seen.append(layer.p) if layer.training else None
    )
    whole = None if times is None else round(times * parameters(model))
    splits = as_splits(data)
    trainer = Trainer(splits, Fitting.of_epochs(1, len(splits.train)), whole=whole)
    trainer.fit(model, 0, None, lambda *_: None)
    assert seen
    assert set(seen) == {ratio}
    assert model[3].p == 0.5


def test_squeeze_shrinks_it_and_compress_does_not(
    monkeypatch: pytest.MonkeyPatch, data: Dataset
) -> None:
    wholes = []

    def fit(self: Trainer, model: nn.Module, *_: object) -> tuple[nn.Module, object]:
        wholes.append(self.whole)
        raise TrainingDiverged("enough")

    monkeypatch.setattr(Trainer, "fit", fit)
    changes = {"epochs": 1, "keep_accuracy": 8.0, "fails": 1, "zero": None}
    model = dropping()
    maxprune.squeeze(model, data, bits=None, **changes)
    maxprune.compress(model, data, method="magnitude", **changes)
    assert wholes == [parameters(model), None]
