"""One's own network made smaller: what is taken, what is taken back, what is never looked at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import maxprune
from maxprune import Compressed, Compression
from maxprune.compress import Run, settings_of
from maxprune.compression.settings import METHODS
from maxprune.data import Dataset
from maxprune.data.samples import Loaded, Splits
from maxprune.errors import OutputError, StructureError, UsageError
from maxprune.measure import accuracy, correct, loss_bound, macs, parameters
from maxprune.networks import Maxout, lenet5, vgg, vgg_small
from maxprune.plan import KeepPlan, MaxoutPlan, ZeroPlan
from maxprune.results import Results
from maxprune.train import Fitting

QUICK: dict[str, Any] = {"epochs": 1, "batch": 32, "keep_accuracy": 8.0}


class Attending(nn.Module):
    """Attention with its heads in an attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.num_heads, self.size = 4, 3
        self.qkv, self.out = nn.Linear(12, 36), nn.Linear(12, 12)

    def forward(self, x: Tensor) -> Tensor:
        b, n, _ = x.shape
        q, k, v = self.qkv(x).view(b, n, 3, self.num_heads, self.size).permute(2, 0, 3, 1, 4)
        y = nn.functional.scaled_dot_product_attention(q, k, v)
        return self.out(y.transpose(1, 2).reshape(b, n, -1))


class Attentive(nn.Module):
    """Attention over the rows of a digit."""

    def __init__(self) -> None:
        super().__init__()
        self.into, self.attention = nn.Linear(28, 12), Attending()
        self.last = nn.Linear(12, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.attention(self.into(x.flatten(1, 2))).mean(1))


@pytest.fixture(scope="module")
def data() -> Dataset:
    return maxprune.data.load("digits")


@pytest.fixture(scope="module")
def trained(data: Dataset) -> nn.Module:
    torch.manual_seed(0)
    net = lenet5(fc=32, conv=(4, 8))
    maxprune.train(net, data.train, Fitting.of_epochs(8, len(data.train), batch=32))
    assert accuracy(net, data.test) > 85
    return net


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


@pytest.mark.parametrize("method", [m for m in METHODS if m != "maxout"])
def test_a_score_takes_its_share_so_many_times(
    method: str, trained: nn.Module, data: Dataset
) -> None:
    torch.manual_seed(0)
    net = trained if method != "bn-scale" else vgg_small(size=28, colours=1)
    found = maxprune.compress(net, data, method=method, share=0.1, iterations=2, epochs=0.05)
    assert [trial.taken for trial in found.trials] == [True, True]
    assert found.results.details.search.goal == "at most 2 iterations"
    plans = [plan for plan in found.plans if isinstance(plan, KeepPlan)]
    assert len(plans) == 2
    assert {plan.method for plan in plans} == {method}
    gone = sum(len(plans[0].removed(layer)) for layer in plans[0].keep)
    # Of 36 channels without the last convolution, of 96, of 36 or 40 that are ever zero, of 44.
    assert gone == {"pls": 3, "bn-scale": 9, "apoz": 3}.get(method, 4)


def test_pls_leaves_the_last_convolution_of_a_vgg_like_network_whole(
    trained: nn.Module, data: Dataset
) -> None:
    def cut(**changes: Any) -> set[str]:
        found = maxprune.compress(trained, data, share=0.5, iterations=1, epochs=0.05, **changes)
        return {layer for plan in found.plans for layer in plan.keep}

    assert "conv2" not in cut(method="pls")
    assert "conv2" in cut(method="pls", keep_last=False)
    assert "conv2" in cut(method="pls", layers=["conv2", "fc1"])
    assert "conv2" not in cut(method="magnitude", keep_last=True)
    assert "conv2" in cut(method="magnitude")


@pytest.mark.parametrize("method", ["pls", "apoz", "skeletonization", "magnitude"])
def test_a_search_ends_where_nothing_is_left_to_cut(
    method: str, trained: nn.Module, data: Dataset
) -> None:
    found = maxprune.compress(
        trained, data, method=method, share=0.9, max_parameters=1, epochs=0.05, keep_last=False
    )
    assert found.results.details.search.missed == ["parameters"]
    assert found.model.fc1.out_features == 1
    assert found.model.conv1.out_channels == 1 or method == "apoz"  # none of it is ever zero


def test_a_named_layer_may_be_used_up(trained: nn.Module, data: Dataset) -> None:
    found = maxprune.compress(
        trained, data, method="magnitude", layers=["conv1", "fc1"], share=0.5,
        max_parameters=1, epochs=0.05,
    )  # fmt: skip
    assert (found.model.conv1.out_channels, found.model.conv2.out_channels) == (1, 8)
    assert found.model.fc1.out_features == 1


def test_a_score_that_has_nothing_to_say_is_refused(data: Dataset) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 8), nn.GELU(), nn.Linear(8, 10))
    with pytest.raises(StructureError, match="apoz has nothing to say of any channel"):
        maxprune.compress(net, data, method="apoz", share=0.5, iterations=1)


def test_heads_may_be_used_up(data: Dataset) -> None:
    torch.manual_seed(0)
    found = maxprune.compress(
        Attentive(), data, method="magnitude", heads=["attention"], layers=["attention.qkv"],
        share=0.5, max_parameters=1, epochs=0.05,
    )  # fmt: skip
    assert found.model.attention.num_heads == 1


def test_milliseconds_are_not_searched_by(trained: nn.Module, data: Dataset) -> None:
    """The budget of MACs is met at once; that of time never, and each step cuts its whole share."""
    found = maxprune.compress(
        trained, data, method="magnitude", share=0.3, max_macs=10**7, max_latency_ms=1e-9,
        epochs=0.05, iterations=2,
    )  # fmt: skip
    assert [trial.title for trial in found.trials] == ["-13 channels", "-9 channels"]


def test_what_pls_keeps_of_the_samples_has_a_limit(trained: nn.Module, data: Dataset) -> None:
    how = {"method": "pls", "share": 0.3, "iterations": 1, "epochs": 0.05}
    held = maxprune.compress(trained, data, **how)
    kept = maxprune.compress(trained, data, memory=2**18, **how)
    assert [p.keep for p in held.plans] == [p.keep for p in kept.plans]
    with pytest.raises(UsageError, match="1,024 bytes of memory do not hold one batch of features"):
        maxprune.compress(trained, data, memory=1024, **how)


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
    with pytest.raises(OutputError, match="settings share"):
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


def test_a_budget_that_cannot_be_met_gives_the_smallest(trained: nn.Module, data: Dataset) -> None:
    found = maxprune.compress(
        trained, data, max_bytes=100, max_macs=10**9, layers=["fc1"], k=2, rounds=1, epochs=0.1
    )
    search = found.results.details.search
    assert search is not None
    assert search.missed == ["bytes"]
    assert found.model.get_submodule("fc1").out_features == 16


def test_a_latency_is_measured_here(trained: nn.Module, data: Dataset) -> None:
    found = maxprune.compress(trained, data, max_latency_ms=1e4)
    assert found.trials == []
    tight = maxprune.compress(
        trained, data, max_latency_ms=1e-6, layers=["fc1"], k=2, rounds=1, epochs=0.1
    )
    assert all(trial.latency_ms > 0 for trial in tight.trials)
    assert tight.results.details.search.missed == ["latency_ms"]


def test_a_maxout_that_fails_is_tried_with_a_smaller_k(trained: nn.Module, data: Dataset) -> None:
    """A fit function that ruins the network as long as k = 4 stands."""

    def fit(model: nn.Module, splits: Splits) -> None:
        units = [m.k for m in model.modules() if isinstance(m, Maxout)]
        if 4 in units:
            model.get_submodule("fc2").weight.data.zero_()
        else:
            maxprune.train(model, splits.train, Fitting.of_epochs(3, len(splits.train), batch=32))

    found = maxprune.compress(trained, data, layers=["fc1"], rounds=1, fit=fit, keep_accuracy=20.0)
    titles = [(trial.title, trial.taken) for trial in found.trials]
    assert titles[:2] == [("fc1 k=4", False), ("fc1 k=2", True)]
    assert all(title != "fc1 k=4" for title, _ in titles[1:])


def test_after_the_last_layer_comes_another_round(trained: nn.Module, data: Dataset) -> None:
    found = maxprune.compress(
        trained, data, layers=["fc1", "conv2"], k=2, epochs=0.1, keep_accuracy=100, rounds=2
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
        trained, data, layers=["fc1"], k=2, rounds=1, zero="auto", epochs=0.5, keep_accuracy=100
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
    assert "There is no test set" in found.results.details.notes[-1]
    assert found.steps[-1].accuracy == accuracy(found.model, splits.validation)


def ruin(model: nn.Module, splits: Splits) -> None:
    model.get_submodule("conv1").weight.data.fill_(torch.nan)


@pytest.mark.parametrize(
    ("fit", "error", "says"),
    [
        (lambda model, data: 1 / 0, UsageError, "your fit function failed: ZeroDivisionError"),
        (lambda model, data: 3, UsageError, "your fit function gives a int"),
        (lambda model, data: nn.Linear(2, 2), UsageError, "changed the shape of the network"),
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
    assert found.trials[0].taken
    assert len(found.trials) > 2


def test_zeros_that_are_too_many_are_refused_first(trained: nn.Module, data: Dataset) -> None:
    with pytest.raises(UsageError, match="takes every weight"):
        maxprune.compress(trained, data, zero=0.9999, keep_accuracy=5.0)


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
        lenet5(fc=8, conv=(2, 4)), watched, layers=["fc1"], k=2, rounds=1, epochs=3,
        keep_accuracy=100,
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


class Tuple(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(784, 10)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.out(x.flatten(1)), x


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (Tuple, "does not give one row of outputs"),
        (lambda: lenet5().double(), "RuntimeError"),
        (lambda: nn.Conv2d(1, 10, 3), "does not give one row of outputs"),
        (lambda: nn.Sequential(nn.Flatten(0), nn.Linear(1568, 10)), "one row of outputs"),
    ],
)
def test_a_network_that_is_no_classifier_is_refused_first(data: Dataset, build, says) -> None:
    with pytest.raises(UsageError, match=says):
        maxprune.compress(build(), data, keep_accuracy=5.0)


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
    found = maxprune.compress(net, data, k=2, rounds=1, epochs=0.2, keep_accuracy=100)
    found.write(tmp_path)
    written = Results.read(tmp_path / "results.json")
    assert written.steps == found.steps
    if not (tmp_path / "model.onnx").exists():
        assert written.details.notes[-1].startswith("There is no ONNX file: ")
    assert (tmp_path / "report.html").exists()


def test_heads_go_in_a_search() -> None:
    found = maxprune.compress(
        Attentive(), maxprune.data.load("digits"), method="random", heads=["attention"],
        layers=["attention.qkv"], max_parameters=1000, epochs=0.1, share=0.3,
    )  # fmt: skip
    assert found.model.attention.num_heads == 3
    with pytest.raises(UsageError, match="heads are cut by a score"):
        maxprune.compress(
            Attentive(), maxprune.data.load("digits"), heads=["attention"], keep_accuracy=5.0
        )


def test_the_network_is_trained_first_if_asked(data: Dataset) -> None:
    torch.manual_seed(1)
    net = lenet5(fc=16, conv=(2, 4))
    first = Fitting.of_epochs(6, len(data.train), batch=32)
    found = maxprune.compress(
        net,
        data,
        layers=["fc1"],
        k=2,
        rounds=1,
        run=Run(first=first),
        epochs=0.5,
        keep_accuracy=100,
    )
    assert found.results.baseline.accuracy > 70 > accuracy(net, data.test)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"keep_acuracy": 1}, "no setting 'keep_acuracy'; there are method, layers"),
        ({"method": "magic"}, "method: Input should be 'maxout', 'pls', 'magnitude'"),
        ({"keep_accuracy": 0}, "keep_accuracy: Input should be greater than 0, not 0"),
        ({"keep_accuracy": None}, "say when to stop"),
        ({"k": 1}, "k: Input should be greater than or equal to 2, not 1"),
        ({"share": 1.0}, "share: Input should be less than 1"),
        ({"max_parameters": 0}, "max_parameters: Input should be greater than or equal to 1"),
        ({"layers": ["a"], "skip": ["a"]}, "layer 'a' is both to be cut and to be skipped"),
        ({"zero": 70}, "zero"),
    ],
)
def test_settings_that_are_none_are_refused(
    trained: nn.Module, data: Dataset, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        maxprune.compress(trained, data, **changes)


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"layers": ["x"]}, UsageError, "no layer 'x'; it has conv1, conv2, fc1, fc2"),
        ({"layers": ["x"], "method": "random"}, UsageError, "'x' is not there or cannot be cut"),
        ({"skip": ["x"]}, UsageError, "no layer 'x'"),
        ({"layers": ["fc2"]}, StructureError, "'fc2' is an output layer"),
        ({"layers": ["fc1"], "k": 5}, UsageError, "k = 5 does not divide the 32 neurons"),
        ({"skip": ["fc1", "conv1", "conv2"]}, StructureError, "no layer is left"),
        ({"share": 0.01, "method": "random"}, UsageError, "share of 0.01 of 44 channels"),
        ({"keep_accuracy": 0.5}, UsageError, "144 validation samples cannot show a loss below 0.5"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_trained(
    trained: nn.Module, data: Dataset, changes: dict[str, Any], error: type[Exception], says: str
) -> None:
    told: list[Any] = []
    with pytest.raises(error, match=says):
        maxprune.compress(
            trained, data, **{"keep_accuracy": 5.0, **changes}, run=Run(lambda *a: told.append(a))
        )
    assert told == []


def test_a_budget_takes_the_place_of_the_default_rule_and_both_may_stand() -> None:
    from maxprune.compress import DEFAULT

    assert settings_of(DEFAULT, {}).keep_accuracy == 0.5
    assert settings_of(DEFAULT, {"max_macs": 5}).keep_accuracy is None
    both = settings_of(DEFAULT, {"max_macs": 5, "keep_accuracy": 1})
    assert both.goal() == (
        "lose less than 1 points of accuracy with 95% confidence, at most 5 MACs"
    )


class Own(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.out = nn.Conv2d(1, 8, 5, stride=3), nn.Linear(8 * 8 * 8, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.conv(x))
        return self.out(x.view(x.size(0), -1))


def test_a_network_without_a_factory_stays_in_memory(data: Dataset, tmp_path: Path) -> None:
    found = maxprune.compress(Own(), data, k=2, rounds=1, epochs=0.1, keep_accuracy=100)
    assert found.model.get_submodule("conv").out_channels == 4
    found.export_onnx(tmp_path / "own.onnx")
    with pytest.raises(UsageError, match="factory"):
        found.save(tmp_path / "own")
    with pytest.raises(UsageError, match="factory"):
        maxprune.compress(Own(), data, folder=tmp_path / "run", keep_accuracy=5.0)
    assert not (tmp_path / "run").exists()


def test_a_network_that_does_not_fit_the_images(data: Dataset) -> None:
    with pytest.raises(UsageError, match="it has 5 outputs for 10 classes"):
        maxprune.compress(lenet5(classes=5), data, epochs=0.1, keep_accuracy=100)
    with pytest.raises(UsageError, match="does not fit the images: RuntimeError"):
        maxprune.compress(vgg(), data, keep_accuracy=5.0)
