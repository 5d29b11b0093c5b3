"""The user's own loaders and training function."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from quick import QUICK
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import maxprune
from maxprune.compress import Run
from maxprune.data import Dataset
from maxprune.data.loaded import Loaded
from maxprune.data.samples import Splits
from maxprune.errors import UsageError
from maxprune.lineage import lineage
from maxprune.measure import accuracy
from maxprune.networks import lenet5
from maxprune.plan import KeepPlan
from maxprune.report import render_page
from maxprune.report.trials import conclusion
from maxprune.train import Fitting


def own_splits(data: Dataset, test: bool = True) -> Splits:
    def loader(images: Any, shuffle: bool) -> Loaded:
        x, y = images.batch(torch.arange(len(images)))
        return Loaded(DataLoader(TensorDataset(x, y), 64, shuffle=shuffle), "own", 10)

    rest, validation = data.holdout(300, 0)
    return Splits(
        "own", loader(rest, True), loader(validation, False),
        loader(data.test, False) if test else None, data.input_shape,
    )  # fmt: skip


def test_loaders_and_no_test_set(trained: nn.Module, data: Dataset) -> None:
    splits = own_splits(data, test=False)
    found = maxprune.compress(trained, splits, method="magnitude", **QUICK)
    again = maxprune.compress(trained, splits, method="magnitude", **QUICK)
    assert found.trials == again.trials
    assert len(found.trials) > 2
    search = found.results.details.search
    assert search.test_loss_bound is None
    assert search.samples == 300
    without, best = found.results.details.notes
    assert best.startswith("The best epoch of every training was chosen on the validation data")
    assert "There is no test set" in without
    assert found.results.tested == "validation"
    said, page = found.table(), render_page(found.results)
    assert "validation accuracy" in said
    assert "validation accuracy" in page
    for text in ("test accuracy", "on the test set", "test samples", "test set plays"):
        assert text not in said + page
    assert found.results.details.training["validation samples"] == 300
    assert found.steps[-1].accuracy == accuracy(found.model, splits.validation)


def ruin(model: nn.Module, splits: Splits) -> None:
    model.get_submodule("conv1").weight.data.fill_(torch.nan)


@pytest.mark.parametrize(
    ("fit", "error", "says"),
    [
        (lambda model, data: 1 / 0, UsageError, "your fit function failed: ZeroDivisionError"),
        (lambda model, data: 3, UsageError, "your fit function gives an int"),
        (lambda model, data: nn.Linear(2, 2), UsageError, "changed the shape or the type"),
        (lambda model, data: model.double(), UsageError, "changed the shape or the type"),
        (lambda model, data: sys.exit("no"), UsageError, "fit function failed: SystemExit: no"),
    ],
)  # fmt: skip
def test_a_fit_function_that_misbehaves(
    trained: nn.Module, data: Dataset, fit: Callable[..., Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        maxprune.compress(trained, data, fit=fit, keep_accuracy=5.0)


def test_a_retraining_that_breaks_off_is_a_trial_that_was_not_taken(
    trained: nn.Module, data: Dataset
) -> None:
    calls = iter(range(99))

    def fit(model: nn.Module, splits: Splits) -> None:
        if next(calls) == 1:
            ruin(model, splits)

    found = maxprune.compress(
        trained, data, method="magnitude", fit=fit, keep_accuracy=100, share=0.3, fails=2
    )
    broken = found.trials[1]
    assert (broken.taken, broken.accuracy, broken.loss_bound) == (False, None, None)
    assert "conv1.weight is not finite" in broken.reason
    assert f"Broke off: {broken.step}: {broken.reason}." in conclusion(found.results)
    assert found.trials[0].taken
    assert len(found.trials) > 2


def test_the_epoch_is_chosen_on_other_samples_than_the_networks(data: Dataset) -> None:
    splits = maxprune.data.spec.of_dataset(data)
    sets = [splits.train, splits.validation, splits.stopping]
    assert [len(s) for s in sets] == [1228, 144, 65]
    pictures = [{bytes(p.numpy()) for p in s.images.pixels} for s in sets]
    assert not pictures[1] & pictures[2]
    judged = []

    class Counted:
        def __init__(self, samples: Any, name: str) -> None:
            self.samples, self.name = samples, name

        def __getattr__(self, name: str) -> Any:
            return getattr(self.samples, name)

        def __len__(self) -> int:
            return len(self.samples)

        def batches(self, *args: Any) -> Any:
            judged.append(self.name)
            return self.samples.batches(*args)

    from dataclasses import replace

    watched = replace(
        splits, validation=Counted(splits.validation, "v"), stopping=Counted(splits.stopping, "s")
    )
    torch.manual_seed(0)
    maxprune.compress(
        lenet5(fc=8, conv=(2, 4)), watched, layers=["fc1"], method="maxout", k=2, rounds=1,
        epochs=3, keep_accuracy=100,
    )  # fmt: skip
    assert judged.count("s") == 6
    assert judged.count("v") <= 6  # before and after each of two steps, and the start


@pytest.mark.parametrize("part", ["validation", "test"])
def test_samples_whose_order_changes_are_refused(
    trained: nn.Module, data: Dataset, part: str
) -> None:
    from dataclasses import replace

    splits = own_splits(data)
    shuffled = Loaded(
        DataLoader(TensorDataset(*data.test.batch(torch.arange(300))), 64, shuffle=True), "x", 10
    )
    with pytest.raises(UsageError, match=f"the {part} data differ between two passes"):
        maxprune.compress(trained, replace(splits, **{part: shuffled}), keep_accuracy=5.0)


def test_loaders_and_names_are_data(trained: nn.Module, data: Dataset) -> None:
    own = own_splits(data)
    loaders = own.train.loader, own.validation.loader, own.test.loader
    how = {**QUICK, "method": "random", "iterations": 1, "keep_accuracy": None, "epochs": 0.1}
    as_tuple = maxprune.compress(trained, loaders, **how)
    named = dict(zip(("train", "val", "test"), loaders, strict=True))
    assert maxprune.compress(trained, named, **how).trials == as_tuple.trials
    assert "chosen on the validation data" in as_tuple.results.details.notes[0]
    assert maxprune.compress(trained, "digits", **how).results.dataset == "digits"
    with pytest.raises(UsageError, match="the data: a Tensor is no"):
        maxprune.compress(trained, torch.zeros(3), **how)


class Words(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.hidden, self.out = nn.Embedding(9, 8), nn.Linear(32, 12), nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.relu(self.hidden(self.table(x).flatten(1))))


@pytest.mark.parametrize("method", ["maxout", "magnitude", "pls"])
def test_a_network_on_whole_numbers(method: str) -> None:
    def words(count: int, seed: int) -> DataLoader:
        x = torch.randint(0, 9, (count, 4), generator=torch.Generator().manual_seed(seed))
        return DataLoader(TensorDataset(x, x[:, 0] % 3), 32)

    loaders = words(128, 0), words(128, 1), words(64, 2)
    found = maxprune.compress(Words(), loaders, method=method, keep_accuracy=100, epochs=0.5)
    assert found.steps[-1].macs < found.results.baseline.macs == 32 * 12 + 12 * 3


def test_what_an_own_training_gives_back_keeps_its_origin(data: Dataset) -> None:
    """Results name the function, and no training that was not."""

    def anew(model: nn.Module, splits: Splits) -> nn.Module | None:
        if model.fc1.out_features < 16:
            return None
        other = lenet5.__wrapped__(fc=16, conv=(2, 4))  # as the user's own class has it
        other.load_state_dict(model.state_dict())
        return other

    how = {"method": "random", "layers": ["fc1"], "share": 0.5, "iterations": 1}
    found = maxprune.compress(lenet5(fc=16, conv=(2, 4)), own_splits(data), fit=fits, **how)
    assert found.results.details.notes == []  # the function alone knows which epoch is the best
    assert [type(plan) for plan in found.plans] == [KeepPlan]
    training = found.results.details.training
    assert training.keys() == {"by", "test samples"}
    assert training["by"].endswith("fits")
    start = Run(first=Fitting.of_epochs(1, 10))
    found = maxprune.compress(lenet5(fc=16, conv=(2, 4)), data, fit=anew, run=start, **how)
    assert lineage(found.models["unpruned"]).factory == "maxprune.networks.lenet:lenet5"


def fits(model: nn.Module, splits: Splits) -> None:
    pass
