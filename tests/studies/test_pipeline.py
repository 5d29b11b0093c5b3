"""The method from end to end, on small networks and few pictures."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

import maxprune
from maxprune.data import Dataset, digits
from maxprune.errors import OutputError, StructureError, TrainingDiverged, UsageError
from maxprune.measure import randomization_test
from maxprune.networks import Maxout, lenet5
from maxprune.results import Results
from maxprune.runs.workspace import Memory, Workspace
from maxprune.studies.pipeline import Pipeline
from maxprune.studies.recipe import Recipe
from maxprune.train import Training

SHORT = Training(iterations=30, batch=32)
SMALL = Recipe(
    network="small", build=partial(lenet5, fc=16, conv=(4, 8)), layer="fc1", k=4,
    shares=(0.5, 0.9), training=SHORT, control=True,
)  # fmt: skip


@pytest.fixture(scope="module")
def data() -> Dataset:
    every = digits()
    some = torch.arange(400)
    return Dataset("digits", every.train.subset(some), every.test.subset(torch.arange(200)))


def without_times(results: Results) -> Results:
    def still(step):
        return None if step is None else step.model_copy(update={"seconds": 0.0})

    steps = [still(step) for step in results.steps]
    return results.model_copy(update={"steps": steps, "control": still(results.control)})


@pytest.fixture(scope="module")
def finished(data: Dataset):
    return Pipeline(SMALL, data, Memory()).run("test", {})


def test_steps_and_their_figures(finished, data: Dataset) -> None:
    results = finished.results
    names = ["maxout k=4", "maxout k=3", "maxout k=2", "maxout k=1", "weights 50%", "weights 90%"]
    assert [step.name for step in results.steps] == names
    assert [step.k for step in results.steps] == [4, 3, 2, 1, 1, 1]
    base = results.baseline
    assert base.parameters == sum(p.numel() for p in lenet5(16, (4, 8)).parameters())
    for step in results.steps:
        model = finished.models[step.name]
        count = sum(p.numel() for p in model.parameters())
        zeros = sum(int((p == 0).sum()) for p in model.parameters())
        assert step.parameters == count
        assert step.nonzero == count - zeros
        assert step.removed == pytest.approx(1 - count / base.parameters)
        assert step.zeroed == pytest.approx(zeros / count)
        assert step.accuracy == maxprune.measure.accuracy(model, data.test)
        if step.name.startswith("weights"):
            plans = [p for p in maxprune.lineage(model).plans if isinstance(p, maxprune.ZeroPlan)]
            assert step.name == f"weights {100 * plans[-1].share:g}%"
            assert plans[-1].zeroed == zeros
    assert results.steps[-1].zeroed >= 0.9
    assert results.steps[0].accuracy_before_retraining is None
    assert results.steps[1].accuracy_before_retraining is not None


def test_the_p_values_follow_from_the_wrong_samples(finished, data: Dataset) -> None:
    wrong = finished.results.details.wrong
    rights = {}
    for name, indices in wrong.items():
        rights[name] = torch.ones(len(data.test), dtype=torch.bool)
        rights[name][indices] = False
    for step in finished.results.steps:
        assert step.p_value == randomization_test(rights[step.name], rights["no maxout"])
        assert step.accuracy == pytest.approx(100 * (1 - len(wrong[step.name]) / len(data.test)))


def test_an_ordinary_small_network_is_left(finished) -> None:
    final = finished.models["maxout k=1"]
    assert not any(isinstance(m, Maxout) for m in final.modules())
    assert final.fc1.out_features == 4
    assert final.fc2.in_features == 4


def test_the_least_winning_neuron_of_every_unit_went(finished) -> None:
    for cut in finished.results.details.wins:
        k = len(cut.wins[0])
        for unit, wins in enumerate(cut.wins):
            gone = [i for i in range(k) if unit * k + i not in cut.keep]
            assert len(gone) == 1
            assert wins[gone[0]] == min(wins)


def test_the_control_is_the_same_architecture(finished, data: Dataset) -> None:
    control, pruned = finished.results.control, finished.results.steps[3]
    assert control.parameters == pruned.parameters
    assert control.macs == pruned.macs
    assert control.accuracy_before_retraining is None
    cycles = [name for name in finished.models if name.startswith("control")]
    assert cycles == [f"control {i}/4" for i in (1, 2, 3, 4)]  # as many as k = 4, 3, 2, 1 had
    details = finished.results.details
    assert "control" in details.wrong
    assert not set(cycles) & {*details.wrong, *(state.step for state in details.layers)}
    last = maxprune.measure.accuracy(finished.models["control 4/4"], data.test)
    assert control.accuracy == last


def test_same_seed_same_results_and_another_seed_others(finished, data: Dataset) -> None:
    short = replace(SMALL, shares=(), control=False)
    first = Pipeline(short, data, Memory()).run("test", {})
    kept = finished.results.model_copy(update={"steps": finished.results.steps[:4]})
    assert [s.accuracy for s in first.results.steps] == [s.accuracy for s in kept.steps]
    same = first.models["maxout k=1"].state_dict()
    for name, tensor in finished.models["maxout k=1"].state_dict().items():
        assert torch.equal(tensor, same[name])
    other = Pipeline(replace(short, seed=1), data, Memory()).run("test", {})
    assert not torch.equal(other.model.fc1.weight, first.model.fc1.weight)


class Killed(BaseException):
    """As sudden as a signal: no handler of ours catches it."""


@pytest.mark.parametrize("stop", [3, 7, 16, 18, 20, 24])
def test_resumed_results_are_those_of_a_run_never_stopped(
    finished, data: Dataset, tmp_path: Path, stop: int
) -> None:
    calls = 0

    def report(*_: object) -> None:
        nonlocal calls
        calls += 1
        if calls == stop:
            raise Killed

    folder = tmp_path / "run"
    with pytest.raises(Killed):
        Pipeline(SMALL, data, Workspace(folder, {"run": 1}), report).run("test", {})
    again = Pipeline(SMALL, data, Workspace(folder, {"run": 1}, resume=True)).run("test", {})
    assert without_times(again.results) == without_times(finished.results)


def test_a_damaged_step_is_made_again(data: Dataset, tmp_path: Path, finished) -> None:
    folder = tmp_path / "run"
    short = replace(SMALL, shares=(), control=False)
    first = Pipeline(short, data, Workspace(folder, {"run": 1})).run("test", {})
    weights = folder / "steps" / "maxout-k2" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-5] ^= 1
    weights.write_bytes(content)
    again = Pipeline(short, data, Workspace(folder, {"run": 1}, resume=True)).run("test", {})
    assert without_times(again.results) == without_times(first.results)


def test_folders_of_others_are_refused(tmp_path: Path) -> None:
    Workspace(tmp_path / "run", {"study": "a", "seed": 0})
    (tmp_path / "run" / "steps").mkdir(exist_ok=True)
    with pytest.raises(OutputError, match="--resume"):
        Workspace(tmp_path / "run", {"study": "a", "seed": 0})
    with pytest.raises(OutputError, match="of `maxprune a`, and this is one of `maxprune b`; name"):
        Workspace(tmp_path / "run", {"study": "b", "seed": 0}, resume=True)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("precious")
    with pytest.raises(OutputError, match="not empty"):
        Workspace(tmp_path / "full", {"study": "a"}, resume=True)
    assert [p.name for p in (tmp_path / "full").iterdir()] == ["thesis.tex"]
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        Workspace(tmp_path / "file", {"study": "a"})


def test_a_loss_that_is_no_number_stops(data: Dataset, tmp_path: Path) -> None:
    wild = replace(SMALL, training=Training(iterations=30, batch=32, rate=1e9))
    with pytest.raises(TrainingDiverged, match="iterations"):
        Pipeline(wild, data, Workspace(tmp_path / "run", {})).run("test", {})


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"k": 1}, UsageError, "at least k = 2"),
        ({"k": 99}, UsageError, "more than the"),
        ({"k": 9}, UsageError, "units of 8 at most: take k = 8"),
        ({"layer": "fc9"}, StructureError, "no layer 'fc9'"),
        ({"layer": "fc2"}, StructureError, "output layer"),
        ({"shares": (0.9, 0.5)}, UsageError, "must grow"),
        ({"shares": (1.0,)}, UsageError, "between 0 and 1"),
        ({"seed": -1}, UsageError, "seed"),
        ({"choose": True}, UsageError, "not both"),
    ],
)
def test_recipes_that_cannot_work_stop_before_training(
    data: Dataset, change: dict, error: type, words: str
) -> None:
    with pytest.raises(error, match=words):
        Pipeline(replace(SMALL, **change), data, Memory())


def test_the_chosen_share_never_sees_the_test_set(data: Dataset) -> None:
    """Other test pictures, same choice."""
    chosen = []
    for images in (data.test, data.test.subset(torch.arange(20))):
        recipe = replace(SMALL, shares=(), choose=True, control=False, k=2)
        result = Pipeline(recipe, Dataset("digits", data.train, images), Memory()).run("test", {})
        chosen.append((result.results.steps[-1].name, result.model.state_dict()))
    assert chosen[0][0] == chosen[1][0]
    for name, tensor in chosen[0][1].items():
        assert torch.equal(tensor, chosen[1][1][name])


def test_paths_may_be_text(finished, tmp_path: Path) -> None:
    finished.write(str(tmp_path))
    assert Results.read(str(tmp_path / "results.json")) == finished.results
    finished.results.write(str(tmp_path / "copy.json"))
    assert Results.read(tmp_path / "copy.json") == finished.results


def test_what_is_reported_are_the_steps_of_the_recipe(data: Dataset) -> None:
    recipe = replace(SMALL, shares=(), choose=True, control=False)
    heard: dict[str, int] = {}
    Pipeline(recipe, data, Memory(), lambda step, done, _: heard.update({step: done})).run("t", {})
    assert len(heard) == recipe.trainings()
    assert list(heard)[-1] == "weights chosen"
    assert set(heard.values()) == {30}
