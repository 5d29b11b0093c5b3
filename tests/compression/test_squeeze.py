"""As small as it goes: ladders that are climbed until something fails, and the frontier."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import call
from quick import QUICK
from torch import nn

import maxprune
from maxprune import Compressed
from maxprune.compression.endings import BITS, SHARES
from maxprune.compression.fit import Trainer
from maxprune.compression.search import UNTRAINED
from maxprune.data import Dataset
from maxprune.data.spec import as_splits
from maxprune.errors import StructureError, TrainingDiverged, UsageError
from maxprune.measure import accuracy, loss_bound, nonzero
from maxprune.networks.anew import anew
from maxprune.report.frontier import frontier_plot, outermost
from maxprune.report.trials import summary
from maxprune.results import Point
from maxprune.train import Fitting, Teacher

SMALL: dict[str, Any] = {
    **QUICK, "share": 0.3, "fails": 1, "steps": 0, "final_epochs": 2, "retry": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def found(
    trained: nn.Module, data: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> Compressed:
    folder = tmp_path_factory.mktemp("squeezed")
    return maxprune.squeeze(trained, data, folder=folder, **SMALL)


def test_all_that_there_is_is_tried_in_its_order(found: Compressed) -> None:
    titles = [trial.title for trial in found.trials]
    kinds = ["channels", "trained on", "from nothing", "weights", "coded"]
    order = [next(i for i, kind in enumerate(kinds) if kind in title) for title in titles]
    assert order == sorted(order)
    assert set(order) == {*range(5)}


@pytest.mark.parametrize(
    ("kind", "rungs"),
    [
        ("weights", [f"weights {100 * share:g}%" for share in SHARES]),
        ("coded", [f"coded, {maxprune.plural.plural(bits, 'bit')}" for bits in BITS]),
    ],
)
def test_a_ladder_is_climbed_until_something_fails(
    kind: str, rungs: list[str], found: Compressed
) -> None:
    trials = [trial for trial in found.trials if kind in trial.title]
    assert [trial.title for trial in trials] == rungs[: len(trials)]
    assert all(trial.taken for trial in trials[:-1])
    assert not trials[-1].taken or len(trials) == len(rungs)
    if kind == "weights":
        assert [step.name for step in found.steps if kind in step.name] == [
            trial.step for trial in trials if trial.taken
        ]
    else:  # each from the network that is not coded
        assert sum(kind in step.name for step in found.steps) <= 1


def test_what_was_not_cut_is_not_trained_on_either(
    trained: nn.Module, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit(*_: object, **__: object) -> None:
        raise TrainingDiverged("the loss is not finite")

    monkeypatch.setattr(Trainer, "fit", fit)
    found = maxprune.squeeze(trained, data, **SMALL, zero=None, bits=None)
    assert [trial.title.split()[-1] for trial in found.trials] == ["channels"]


def test_from_nothing_learns_without_the_teacher(trained: nn.Module, data: Dataset) -> None:
    trainer = Trainer(as_splits(data), Fitting(iterations=10, rate=0.01), teacher=Teacher(trained))
    fresh, longer = trainer.longer(3, fresh=True), trainer.longer(3)
    assert (fresh.teacher, fresh.fitting.rate) == (None, Fitting().rate)
    assert (longer.teacher, longer.fitting.rate) == (trainer.teacher, 0.01)
    assert fresh.fitting.iterations == longer.fitting.iterations == 30


def test_the_long_training_is_taken_only_if_it_is_better(found: Compressed) -> None:
    place = next(i for i, trial in enumerate(found.trials) if trial.title == "trained on")
    trial, before = found.trials[place], [t for t in found.trials[:place] if t.taken]
    assert trial.accuracy_before_retraining == before[-1].accuracy
    assert trial.parameters == before[-1].parameters
    passed = trial.loss_bound < SMALL["keep_accuracy"]
    assert trial.taken == (passed and trial.accuracy > before[-1].accuracy)


@pytest.mark.parametrize("helps", [True, False])
def test_less_augmentation_stays_where_it_helped(
    helps: bool, trained: nn.Module, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    splits = as_splits(data)
    splits = replace(splits, train=replace(splits.train, crop=2))
    crops: list[int] = []
    fit = Trainer.fit

    def spoiled(self: Trainer, model: nn.Module, *rest: Any, **more: Any) -> Any:
        crops.append(self.data.train.crop)
        model, curve = fit(self, model, *rest, **more)
        if len(crops) == 2 or (len(crops) == 3 and not helps):
            with torch.no_grad():
                next(iter(model.parameters())).zero_()
        return model, curve

    monkeypatch.setattr(Trainer, "fit", spoiled)
    settings = SMALL | {"keep_accuracy": 100.0, "iterations": 1, "batch": 8}
    found = maxprune.compress(
        trained, splits, method="magnitude", anew=True, zero=0.3, bits=6, control=True, **settings
    )
    taken = {trial.title: trial.taken for trial in found.trials}
    assert list(taken)[1:4] == ["trained on", "augmented less", "from nothing"]
    assert (taken["trained on"], taken["augmented less"]) == (False, helps)
    mild = 1 if helps else 2
    assert crops[:6] == [2, 2, 1, mild, mild, mild]
    assert [step.name[3:] for step in found.steps][-2:] == ["weights 30%", "coded, 6 bits"]
    steps, search = found.steps, found.results.details.search
    kept = sum(trial.remark == UNTRAINED for trial in found.trials)  # its training was not taken
    fresh = sum(step.name.endswith("from nothing") for step in steps)  # as long as those before it
    assert search.control.retrainings == len(steps) - kept - fresh
    assert crops[6:] == [2] + [mild] * (len(steps) - kept - fresh - 1)  # the control, alike


def test_what_is_trained_from_nothing_is_taken_only_if_it_is_better(found: Compressed) -> None:
    place = next(i for i, trial in enumerate(found.trials) if trial.title == "from nothing")
    trial, before = found.trials[place], [t for t in found.trials[:place] if t.taken]
    assert trial.accuracy_before_retraining is None
    assert trial.parameters == before[-1].parameters
    passed = trial.loss_bound < SMALL["keep_accuracy"]
    assert trial.taken == (passed and trial.accuracy > before[-1].accuracy)


def test_the_frontier_has_everything_and_is_measured_on_the_test_set(
    found: Compressed, data: Dataset
) -> None:
    frontier = found.results.details.search.frontier
    assert [point.step for point in frontier] == ["unpruned", *(t.step for t in found.trials)]
    assert [point.taken for point in frontier[1:]] == [t.taken for t in found.trials]
    for step in found.steps:
        point = next(p for p in frontier if p.step == step.name)
        assert point.accuracy == step.accuracy == accuracy(found.models[step.name], data.test)
        assert (point.bytes, point.nonzero) == (step.bytes, nonzero(found.models[step.name]))
        assert point.p_value == step.p_value
    last = next(p for p in frontier if p.step == found.steps[-1].name)
    assert last.loss_bound == found.results.details.search.test_loss_bound
    same = torch.ones(len(data.test), dtype=torch.bool)
    assert frontier[0].loss_bound == loss_bound(same, same)


def test_it_is_shown_and_drawn(found: Compressed) -> None:
    shown = [getattr(part, "title", "") for part in summary(found.results)]
    assert any(str(title).startswith("squeeze: ") for title in shown)
    assert sum("The frontier" in str(title) for title in shown) == 1
    drawn = frontier_plot(found.results)
    assert drawn.startswith("<svg")
    assert "bytes of the file" in drawn
    assert "MIRACLE" not in drawn  # that is MNIST
    known = found.results.model_copy(update={"dataset": "mnist"})
    assert "MIRACLE" in frontier_plot(known)


def test_sizes_within_a_decade_have_figures_at_the_axis(found: Compressed) -> None:
    search = found.results.details.search
    points = [point(size, 90.0 + size / 10_000) for size in (4000, 3000, 1500)]
    details = found.results.details.model_copy(
        update={"search": search.model_copy(update={"frontier": points})}
    )
    drawn = frontier_plot(found.results.model_copy(update={"details": details}))
    assert drawn.count(">2,000<") == 2


def point(size: int, accuracy: float) -> Point:
    return Point(
        step=f"{size}", parameters=size, nonzero=size, macs=1, bytes=size, accuracy=accuracy,
        loss_bound=0.0, p_value=1.0, taken=True,
    )  # fmt: skip


def test_outermost_is_what_nothing_else_beats() -> None:
    points = [point(9, 90.0), point(5, 80.0), point(5, 70.0), point(7, 80.0), point(3, 60.0)]
    assert [p.step for p in outermost(points, lambda p: p.bytes)] == ["3", "5", "9"]


def test_weights_anew_are_others_and_always_the_same() -> None:
    net = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 2))
    with torch.no_grad():
        for value in net.parameters():
            value.fill_(7)
    net[1].running_mean.fill_(7)
    state = torch.get_rng_state()
    once, again, other = anew(net, 0), anew(net, 0), anew(net, 1)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(bool((v == 7).all()) for v in net.parameters())
    assert torch.equal(once[3].weight, again[3].weight)
    assert not torch.equal(once[3].weight, other[3].weight)
    assert float(once[3].weight.detach().abs().max()) <= 12**-0.5  # drawn for its own size
    assert once[1].running_mean.tolist() == [0, 0, 0]


def test_frozen_weights_are_not_drawn_anew() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2))
    net[0].requires_grad_(False)
    fresh = anew(net, 0)
    assert torch.equal(fresh[0].weight, net[0].weight)
    assert not torch.equal(fresh[2].weight, net[2].weight)


def test_weights_that_nobody_can_draw_are_refused() -> None:
    class Scale(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.factor = nn.Parameter(torch.ones(1))

    with pytest.raises(StructureError, match="nobody knows how '1' draws its weights"):
        anew(nn.Sequential(nn.Linear(2, 2), Scale()), 0)


def test_small_data_are_trained_on_long_enough(data: Dataset) -> None:
    each = data.train.iterations(32)
    short = Fitting.of_passes(2, data.train, batch=32)
    long = Fitting.of_passes(2, data.train, 10 * each, batch=32)
    assert (short.iterations, short.judge_every) == (2 * each, each)
    assert (long.iterations, long.judge_every) == (10 * each, 5 * each)
    assert Fitting.of_passes(2, data.train, each, batch=32) == short


def test_beside_a_training_of_ones_own_nothing_is_taught(trained: nn.Module, data: Dataset) -> None:
    def fit(model: nn.Module, _: object) -> None:
        """Nothing."""

    found = maxprune.squeeze(
        trained, data, keep_accuracy=8, fit=fit, bits=None, zero=None, iterations=1
    )
    assert [trial.title.split()[-1] for trial in found.trials] == ["channels"]
    with pytest.raises(UsageError, match="teacher does nothing beside a fit of your own"):
        maxprune.squeeze(trained, data, keep_accuracy=8, fit=fit, teacher=0.9)
    ours = {"teacher": 0.5, "scale_dropout": True, "anew": True, "final_epochs": 1}
    for name, value in ours.items():
        with pytest.raises(UsageError, match=f"{name} does nothing beside a fit of your own"):
            maxprune.compress(trained, data, iterations=1, fit=fit, **{name: value})


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--bits", "few"], "--bits is a whole number or 'fewest', not 'few'"),
        (
            ["--zero", "much"],
            "--zero is a percentage between 0 and 100 or 'auto' or 'most', not 'much'",
        ),
        (["--share", "2"], "--share is between 0 and 1 (0.2 for 20%), not 2"),
        (["--teacher", "2", "--keep-accuracy", "4"], "teacher"),
        (["--shift", "-1"], "pictures are shifted by 0 to 999 pixels, not -1"),
        (["--shift", "28"], "pictures of (28, 28) cannot be shifted by 28 pixels"),
        (["--shift", "1", "--augment", "turn"], "--shift is of crop, which is not in --augment"),
        (["--validation", "0"], "at most 50% of the training set is held out to judge by, not 0%"),
        (
            ["--validation", "3"],
            "give more of them (--validation, where they are held out of the training set)",
        ),
    ],
)
def test_bad_options_are_refused(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:  # fmt: skip
    shared = ["squeeze", "maxprune.networks:lenet5", "--data", "digits", "--out", tmp_path / "out"]
    code, _, said = call(monkeypatch, capsys, *shared, *words)
    assert (code, said.count("\n")) == (2, 1)
    assert says in said
    assert not (tmp_path / "out").exists()


def test_small_data_are_judged_by_more_samples(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    net = "maxprune.networks:lenet5", "--data", "digits", "--keep-accuracy", 5, "--dry-run"
    for how, judges in ((("squeeze",), 300), (("squeeze", "--validation", 10), 144)):
        code, said, _ = call(monkeypatch, capsys, *how, *net)
        assert code == 0
        assert f"{judges} to judge by" in " ".join(said.split())
    code, said, _ = call(monkeypatch, capsys, "compress", *net)
    assert "144 to judge by" in " ".join(said.split())


def test_a_network_that_was_trained_before_is_judged_by_what_it_was_not_trained_on(
    trained: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    maxprune.save(trained, tmp_path / "net")
    how = "squeeze", tmp_path / "net", "--data", "digits", "--keep-accuracy", 5, "--dry-run"
    code, said, error = call(monkeypatch, capsys, *how)
    assert code == 0, error
    assert "144 to judge by" in " ".join(said.split())


def test_how_far_pictures_are_shifted_is_the_users_to_say(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    net = "maxprune.networks:lenet5", "--data", "digits", "--keep-accuracy", 4, "--dry-run"
    code, said, _ = call(monkeypatch, capsys, "squeeze", *net)
    assert "half the augmentation" in " ".join(said.split())
    code, said, _ = call(monkeypatch, capsys, "squeeze", *net, "--shift", 1)  # there is no half
    assert code == 0
    assert "half the augmentation" not in " ".join(said.split())
