"""One's own network made smaller: what is taken, what is taken back, what is never looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from quick import QUICK
from safetensors.torch import save as save_bytes
from torch import nn

import maxprune
from maxprune import Compressed, Compression
from maxprune.compress import Run, settings_of
from maxprune.data import Dataset
from maxprune.data.samples import Splits
from maxprune.errors import OutputError
from maxprune.measure import accuracy, correct, loss_bound, macs, parameters
from maxprune.networks import Maxout, lenet5
from maxprune.plan import KeepPlan, MaxoutPlan, ZeroPlan
from maxprune.report.trials import conclusion, trial_cells, trial_headers, trial_line
from maxprune.results import Results
from maxprune.store.weights import METADATA
from maxprune.train import Fitting


@pytest.fixture(scope="module", params=["maxout", "magnitude", "random"])
def found(request: pytest.FixtureRequest, trained: nn.Module, data: Dataset) -> Compressed:
    before = {name: value.clone() for name, value in trained.state_dict().items()}
    result = maxprune.compress(trained, data, method=request.param, **QUICK)
    assert all(torch.equal(value, before[n]) for n, value in trained.state_dict().items())
    return result


def test_the_network_is_smaller_and_every_figure_is_its_own(
    found: Compressed, trained: nn.Module, data: Dataset
) -> None:
    results = found.results
    assert parameters(found.model) < 0.9 * parameters(trained)
    assert results.baseline.accuracy == accuracy(trained, data.test)
    assert results.baseline.name == "unpruned"
    last = found.steps[-1]
    assert last.accuracy == accuracy(found.model, data.test)
    assert (last.parameters, last.macs) == (
        parameters(found.model), macs(found.model, data.input_shape)
    )  # fmt: skip
    search = results.details.search
    assert search is not None
    right = correct(trained, data.test), correct(found.model, data.test)
    assert search.test_loss_bound == pytest.approx(loss_bound(*right))
    assert found.model(data.test.batch(torch.arange(2))[0]).shape == (2, 10)
    assert not found.model.training


def test_what_loses_too_much_is_taken_back_and_the_smallest_is_kept(found: Compressed) -> None:
    taken = [trial for trial in found.trials if trial.taken]
    assert all(trial.loss_bound < 8 for trial in taken)
    assert all(trial.loss_bound >= 8 for trial in found.trials if not trial.taken)
    assert found.steps[-1].parameters == min(trial.parameters for trial in taken)
    if "channels" in found.trials[0].title:
        assert sum(not trial.taken for trial in found.trials) <= 3
    names = [step.name for step in found.steps]
    assert set(names) <= {trial.step for trial in taken}
    sizes = [step.parameters for step in found.steps]
    assert sizes == sorted(sizes, reverse=True) or "k=" in found.trials[0].title


def test_the_plans_lead_from_the_network_to_the_smaller_one(
    found: Compressed, trained: nn.Module
) -> None:
    model = trained
    for plan in found.plans[len(maxprune.lineage(trained).plans) :]:
        model = maxprune.apply(model, plan)
    assert [p.shape for p in model.parameters()] == [p.shape for p in found.model.parameters()]


def test_it_is_written_whole(found: Compressed, tmp_path: Path) -> None:
    found.write(tmp_path)
    assert Results.read(tmp_path / "results.json") == found.results
    x = found.data.validation
    opened = maxprune.load(tmp_path / "model")
    assert torch.equal(correct(opened, x), correct(found.model, x))
    page = (tmp_path / "report.html").read_text()
    assert "How it was found" in page
    assert "Tango" in page
    for trial in found.trials:
        assert trial.title in page


def test_equal_seeds_give_equal_networks_and_a_killed_search_goes_on(
    trained: nn.Module, data: Dataset, tmp_path: Path
) -> None:
    """Killed after its second trial, then resumed: the same trials, the same network."""
    settings = Compression(method="magnitude", **QUICK)

    class KilledError(Exception):
        pass

    told: list[str] = []

    def kill(trial: Any) -> None:
        told.append(trial.step)
        if len(told) == 2:
            raise KilledError

    whole = maxprune.compress(trained, data, settings)
    with pytest.raises(KilledError):
        maxprune.compress(trained, data, settings, folder=tmp_path, run=Run(told=kill))
    resumed = maxprune.compress(trained, data, settings, folder=tmp_path)
    assert resumed.trials == whole.trials
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name])
    with pytest.raises(OutputError, match=r"share=0\.2; this one is started with share=0\.3"):
        maxprune.compress(trained, data, settings, folder=tmp_path, share=0.3)
    with pytest.raises(OutputError, match="with --resume"):
        maxprune.compress(trained, data, settings, folder=tmp_path, run=Run(resume=False))


@pytest.mark.parametrize("method", ["maxout", "magnitude"])
def test_a_budget_is_met_and_not_by_far(trained: nn.Module, data: Dataset, method: str) -> None:
    most = parameters(trained) // 2
    found = maxprune.compress(
        trained, data, method=method, max_parameters=most, epochs=0.5, batch=32
    )
    assert parameters(found.model) <= most
    assert all(trial.taken for trial in found.trials)
    if method == "magnitude":
        assert parameters(found.model) > 0.9 * most
    search = found.results.details.search
    assert search is not None
    assert (search.keep_accuracy, search.missed) == (None, [])
    assert search.goal == f"at most {most:,} parameters"


def test_a_network_within_its_budget_is_left_alone(trained: nn.Module, data: Dataset) -> None:
    found = maxprune.compress(trained, data, max_macs=10**9)
    assert found.trials == []
    assert found.steps == []
    assert parameters(found.model) == parameters(trained)
    assert conclusion(found.results)[0] == (
        "The network is within its budget as it was: nothing was cut."
    )


def test_a_budget_that_cannot_be_met_gives_the_smallest(trained: nn.Module, data: Dataset) -> None:
    """One that could be met, but not in so few iterations."""
    found = maxprune.compress(
        trained,
        data,
        max_bytes=5000,
        max_macs=10**9,
        layers=["fc1"],
        method="magnitude",
        share=0.5,
        iterations=1,
        epochs=0.1,
    )
    search = found.results.details.search
    assert search is not None
    assert search.missed == ["bytes"]
    size = len(save_bytes(found.model.state_dict(), METADATA))
    start = len(save_bytes(trained.state_dict(), METADATA))
    says = conclusion(found.results)
    assert any(f"bytes: {size:,} of at most 5,000, {start:,} at the start" in s for s in says)
    assert says[-1] == "The budget could not be met (bytes); this is the smallest reached."
    assert found.model.get_submodule("fc1").out_features == 16


def test_a_latency_is_measured_here(trained: nn.Module, data: Dataset) -> None:
    found = maxprune.compress(trained, data, max_latency_ms=1e4)
    assert found.trials == []
    tight = maxprune.compress(
        trained,
        data,
        max_latency_ms=1e-6,
        layers=["fc1"],
        method="maxout",
        k=2,
        rounds=1,
        epochs=0.1,
    )
    assert all(trial.latency_ms > 0 for trial in tight.trials)
    search = tight.results.details.search
    assert search.missed == ["latency_ms"]
    assert trial_headers(search)[3] == "ms"
    assert {float(trial_cells(trial, search)[3]) > 0 for trial in search.trials} == {True}
    assert search.budgets[0].reached == search.trials[-1].latency_ms


def test_the_last_cut_of_a_missed_latency_is_the_result_also_after_a_kill(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Milliseconds that grow by chance, and other ones when the search goes on."""
    times = iter([9.0, 5.0, 6.0, 7.0])
    measured = "maxprune.compression.search.latency_ms"
    monkeypatch.setattr(measured, lambda *_: next(times))
    how: dict[str, Any] = {
        "method": "random", "iterations": 3, "max_latency_ms": 1.0, "epochs": 0.1,
        "folder": tmp_path,
    }  # fmt: skip
    net = lenet5(fc=8, conv=(2, 4))
    found = maxprune.compress(net, data, **how)
    assert [trial.latency_ms for trial in found.trials] == [5.0, 6.0, 7.0]
    assert [step.name for step in found.steps] == [trial.step for trial in found.trials]
    assert parameters(found.model) == found.trials[-1].parameters
    search = found.results.details.search
    assert search is not None
    assert (search.missed, search.budgets[0].reached) == (["latency_ms"], 7.0)
    monkeypatch.setattr(measured, lambda *_: 0.5)
    monkeypatch.setattr("maxprune.compression.sizes.latency_ms", lambda *_: 0.5)
    assert maxprune.compress(net, data, **how).trials == found.trials


def test_a_maxout_that_fails_is_tried_with_a_smaller_k(trained: nn.Module, data: Dataset) -> None:
    """A fit function that ruins the network as long as k = 4 stands."""

    def fit(model: nn.Module, splits: Splits) -> None:
        units = [m.k for m in model.modules() if isinstance(m, Maxout)]
        if 4 in units:
            model.get_submodule("fc2").weight.data.zero_()
        else:
            maxprune.train(model, splits.train, Fitting.of_epochs(3, len(splits.train), batch=32))

    found = maxprune.compress(
        trained, data, method="maxout", layers=["fc1"], rounds=1, fit=fit, keep_accuracy=20.0
    )
    titles = [(trial.title, trial.taken) for trial in found.trials]
    assert titles[:2] == [("fc1 k=4", False), ("fc1 k=2", True)]
    assert all(title != "fc1 k=4" for title, _ in titles[1:])


def test_a_named_layer_that_is_used_up_ends_no_other(data: Dataset) -> None:
    """32 neurons can be halved for longer than 6; and units of three need not divide."""
    net = nn.Sequential(
        nn.Flatten(), nn.Linear(784, 32), nn.ReLU(), nn.Linear(32, 6), nn.ReLU(), nn.Linear(6, 10)
    )
    how = {"method": "maxout", "epochs": 0.05, "keep_accuracy": 100}
    named = maxprune.compress(net, data, k=2, layers=["1", "3"], **how)
    assert (named.model[1].out_features, named.model[3].out_features) == (2, 2)
    found = maxprune.compress(net, data, k=3, rounds=1, **how)
    assert (found.model[1].out_features, found.model[3].out_features) == (11, 2)


def test_after_the_last_layer_comes_another_round(trained: nn.Module, data: Dataset) -> None:
    found = maxprune.compress(
        trained,
        data,
        method="maxout",
        layers=["fc1", "conv2"],
        k=2,
        epochs=0.1,
        keep_accuracy=100,
        rounds=2,
    )
    assert [trial.title for trial in found.trials] == [
        "fc1 k=2", "fc1 k=1", "conv2 k=2", "conv2 k=1"
    ] * 2  # fmt: skip
    assert found.model.get_submodule("fc1").out_features == 32 // 4
    assert found.model.get_submodule("conv2").out_channels == 8 // 4
    assert maxprune.lineage(found.model).kept()["conv2"][0] < 4


def test_only_the_named_layers_are_cut_and_the_skipped_are_not(
    trained: nn.Module, data: Dataset
) -> None:
    found = maxprune.compress(
        trained, data, method="magnitude", layers=["conv2"], max_parameters=4000, epochs=0.1
    )
    assert found.model.get_submodule("conv2").out_channels < 8
    assert found.model.get_submodule("fc1").out_features == 32
    found = maxprune.compress(
        trained, data, method="random", skip=["fc1", "conv1"], max_parameters=4000, epochs=0.1
    )
    assert found.model.get_submodule("fc1").out_features == 32
    assert found.model.get_submodule("conv1").out_channels == 4


def test_single_weights_go_at_the_end(trained: nn.Module, data: Dataset) -> None:
    found = maxprune.compress(
        trained,
        data,
        layers=["fc1"],
        method="maxout",
        k=2,
        rounds=1,
        zero=0.5,
        epochs=2,
        batch=32,
        keep_accuracy=100,
    )
    assert [type(plan) for plan in found.plans[:3]] == [MaxoutPlan, KeepPlan, ZeroPlan]
    assert found.steps[-1].zeroed == pytest.approx(0.5, abs=0.01)
    assert found.trials[-1].title == "weights 50%"
    chosen = maxprune.compress(
        trained,
        data,
        layers=["fc1"],
        method="maxout",
        k=2,
        rounds=1,
        zero="auto",
        epochs=0.5,
        keep_accuracy=100,
    )
    assert chosen.trials[-1].title.startswith("weights ")


def test_nothing_is_decided_on_the_test_set(trained: nn.Module, data: Dataset) -> None:
    """Other test pictures, the same search."""
    settings = Compression(method="magnitude", zero="auto", **QUICK)
    one = maxprune.compress(trained, data, settings)
    other = Dataset("digits", data.train, data.test.subset(torch.arange(20)))
    two = maxprune.compress(trained, other, settings)
    assert one.trials == two.trials
    assert one.results.baseline.accuracy != two.results.baseline.accuracy


def test_frozen_layers_stay_frozen_also_after_a_kill(data: Dataset, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = lenet5(fc=16, conv=(2, 4))
    net.conv1.weight.requires_grad_(False)
    settings = Compression(method="magnitude", layers=("fc1",), **QUICK | {"keep_accuracy": 100})
    frozen = settings.model_copy(update={"max_parameters": 500})
    whole = maxprune.compress(net, data, frozen)

    def kill(trial: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        maxprune.compress(net, data, frozen, folder=tmp_path, run=Run(told=kill))
    again = maxprune.compress(net, data, frozen, folder=tmp_path)
    assert again.trials == whole.trials
    assert torch.equal(again.model.conv1.weight, net.conv1.weight)


class Unexported(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(1, 8, 3), nn.ReLU(), nn.AdaptiveMaxPool2d(5), nn.Flatten(), nn.Linear(200, 10)
        )


def test_a_network_that_cannot_be_exported_keeps_its_results(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = maxprune.factory(Unexported)()
    monkeypatch.setattr("maxprune.store.build._found", lambda name: Unexported)
    found = maxprune.compress(
        net, data, method="maxout", k=2, rounds=1, epochs=0.2, keep_accuracy=100
    )
    found.write(tmp_path)
    written = Results.read(tmp_path / "results.json")
    assert written.steps == found.steps
    if not (tmp_path / "model.onnx").exists():
        assert written.details.notes[-1].startswith("There is no ONNX file: ")
    assert (tmp_path / "report.html").exists()


def test_the_network_is_trained_first_if_asked(data: Dataset) -> None:
    torch.manual_seed(1)
    net = lenet5(fc=16, conv=(2, 4))
    first = Fitting.of_epochs(6, len(data.train), batch=32)
    found = maxprune.compress(
        net,
        data,
        layers=["fc1"],
        method="maxout",
        k=2,
        rounds=1,
        run=Run(first=first),
        epochs=0.5,
        keep_accuracy=100,
    )
    assert found.results.baseline.accuracy > 70 > accuracy(net, data.test)


def test_a_network_that_is_no_better_than_a_guess_is_told(
    data: Dataset, trained: nn.Module
) -> None:
    torch.manual_seed(0)
    net = lenet5(fc=8, conv=(2, 4))
    how: dict[str, Any] = {"iterations": 1, "share": 0.5, "fit": lambda m, d: None}
    guessed = maxprune.compress(net, data, **how)
    search = guessed.results.details.search
    assert search is not None
    labels = guessed.data.validation.images.labels
    assert search.guess == pytest.approx(100 * int(labels.bincount().max()) / len(labels))
    assert conclusion(guessed.results)[0].startswith("BEFORE ANY CUT the network was no better")
    known = maxprune.compress(trained, data, **how)
    assert not any("BEFORE ANY CUT" in says for says in conclusion(known.results))


def test_a_gain_is_called_a_gain(found: Compressed) -> None:
    search = found.results.details.search
    assert search is not None
    details = found.results.details.model_copy(
        update={"search": search.model_copy(update={"test_loss_bound": -1.5})}
    )
    says = conclusion(found.results.model_copy(update={"details": details}))
    assert (
        says[0]
        == "On the test set, looked at once, it gains at least 1.50 points with 95% confidence."
    )
    trial = search.trials[-1].model_copy(update={"loss_bound": -4.2})
    assert "% right, gains at least 4.20: " in trial_line(trial)


def test_a_budget_takes_the_place_of_the_default_rule_and_both_may_stand() -> None:
    from maxprune.compress import DEFAULT

    assert settings_of(DEFAULT, {}).keep_accuracy == 0.5
    assert settings_of(DEFAULT, {"max_macs": 5}).keep_accuracy is None
    both = settings_of(DEFAULT, {"max_macs": 5, "keep_accuracy": 1})
    assert both.goal() == ("lose less than 1 point of accuracy with 95% confidence, at most 5 MACs")


def test_a_test_set_that_is_too_small_is_not_blamed_on_the_network(
    trained: nn.Module, data: Dataset
) -> None:
    few = Dataset("digits", data.train, data.test.subset(torch.arange(20)))
    found = maxprune.compress(
        trained, few, method="random", share=0.05, iterations=1, epochs=1, keep_accuracy=8.0
    )
    assert (
        "a test set of 20 samples is too small to show less than 11.9"
        in conclusion(found.results)[0]
    )
