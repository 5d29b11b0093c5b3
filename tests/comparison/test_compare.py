"""Methods side by side: sizes that are met, equal starts, nothing decided on the test set."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import torch_pruning
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import maxprune
from maxprune.comparison import Compared, Comparing, Comparison, Start
from maxprune.comparison.compare import compare
from maxprune.comparison.part import Part, all_parts, run_parts
from maxprune.comparison.pruner import IMPORTANCES, Pruner
from maxprune.comparison.settings import COMPARED, CONTROLS, comparing_of
from maxprune.compression.scored import chosen_groups, least
from maxprune.compression.settings import Compression
from maxprune.data.images import Dataset, Images
from maxprune.data.loaded import Loaded
from maxprune.data.samples import Splits
from maxprune.data.spec import DataOptions, of_dataset, open_data
from maxprune.errors import OutputError, StoreError, UsageError
from maxprune.lineage import factory
from maxprune.measure import accuracy, macs, parameters
from maxprune.networks import lenet5, vgg_small
from maxprune.report.comparison import comparison_plot, comparison_table, ordered, verdict
from maxprune.report.figure import new_figure
from maxprune.scores.library import with_gradients
from maxprune.scores.named import BATCH, BATCHES, drawn
from maxprune.surgery import apply


@factory
def little() -> nn.Module:
    return lenet5(fc=32, conv=(4, 8))


QUICK: dict[str, Any] = {"train_epochs": 1, "epochs": 0.1, "batch": 32}


@pytest.fixture(scope="module")
def data() -> Dataset:
    return maxprune.data.load("digits")


@pytest.fixture(scope="module")
def found(data: Dataset) -> Comparison:
    return compare(little, data, COMPARED, sizes=(0.4, 0.7), seeds=2, **QUICK)


def test_every_method_meets_every_size(found: Comparison) -> None:
    assert found.sizes == [0.7, 0.4]
    assert [s.seed for s in found.starts] == [0, 1]
    assert found.starts[0].accuracy != found.starts[1].accuracy
    whole = parameters(little())
    reached = {(c.method, c.seed, c.size) for c in found.compared}
    able = [method for method in COMPARED if method != "bn-scale"]
    assert reached == {(m, s, z) for m in able for s in (0, 1) for z in (0.7, 0.4)}
    cut = [c for c in found.compared if c.method != "uncut"]
    assert all(c.parameters <= c.size * whole for c in cut)
    near = [c for c in cut if c.method != "maxout"]
    assert all(c.parameters > (c.size - 0.13) * whole for c in near)
    assert {c.parameters for c in found.compared if c.method == "uncut"} == {whole}
    assert found.missing == {
        "bn-scale": "there is no batch norm in the network for bn-scale to look at"
    }
    assert {c.method for c in found.compared if c.cuts > 1} <= {"maxout"}
    assert all((c.before is None) == (c.cuts > 1 or c.method == "scratch") for c in found.compared)


def test_every_method_is_retrained_alike(data: Dataset) -> None:
    """The iterations of every method at every size, as they are told."""
    told: dict[str, int] = {}

    def report(step: str, done: int, _: int) -> None:
        told[step] = done

    splits = of_dataset(data, DataOptions(augment=()))
    each = splits.train.iterations(32)
    methods = ["pls", "maxout", "uncut", "scratch"]
    how = {"train_epochs": 2, "epochs": 0.6, "batch": 32}
    found = compare(little, splits, methods, sizes=(0.8, 0.75), report=report, **how)
    once = round(0.6 * each)
    assert told.pop("unpruned") == 2 * each
    assert (told["1: pls"], told["2: pls"]) == (once, once)
    assert (told["1: uncut"], told["2: uncut"]) == (once, once)
    assert told["2: scratch"] == pytest.approx(2 * each + 2 * once, abs=1)
    cuts = {c.size: c.cuts for c in found.compared if c.method == "maxout"}
    first = sum(done for step, done in told.items() if step.startswith("1: maxout"))
    assert first == pytest.approx(once, abs=cuts[0.8])
    assert told["2: maxout"] == once  # it is small enough already, and retrained all the same
    assert found.compared[3].parameters == found.compared[2].parameters


def test_the_users_own_training_is_called_once_a_size(data: Dataset) -> None:
    calls: list[int] = []

    def fit(model: nn.Module, _: Splits) -> None:
        calls.append(parameters(model))

    found = compare(little(), data, ["maxout", "pls"], sizes=(0.5, 0.2), fit=fit)
    assert calls == [c.parameters for c in found.compared]
    with pytest.raises(UsageError, match="scratch needs a network that is built here"):
        compare(little, data, ["scratch"], fit=fit, train_epochs=1)
    with pytest.raises(UsageError, match="scratch needs a network that is built here"):
        compare(little(), data, ["scratch"], train_epochs=1)


def test_nothing_depends_on_the_test_set(data: Dataset) -> None:
    other = Images(data.test.pixels, data.test.labels.flip(0), 10)
    ours, theirs = (
        compare(little, Dataset("d", data.train, test), ["pls", "maxout"], sizes=(0.5,), **QUICK)
        for test in (data.test, other)
    )
    assert ours.compared[0].accuracy != theirs.compared[0].accuracy
    assert [c.validation for c in ours.compared] == [c.validation for c in theirs.compared]
    assert [c.parameters for c in ours.compared] == [c.parameters for c in theirs.compared]


def test_a_method_that_fails_is_missing_and_the_others_go_on(data: Dataset) -> None:
    how: dict[str, Any] = {"sizes": (0.5, 0.03), "epochs": 0.1, "batch": 32}
    found = compare(little(), data, ["pls", "maxout"], **how)
    assert {(c.method, c.size) for c in found.compared} == {
        ("pls", 0.5), ("pls", 0.03), ("maxout", 0.5)
    }  # fmt: skip
    assert found.missing.keys() == {"maxout"}
    assert [method for method, _ in found.ranked()] == ["pls"]


@pytest.mark.parametrize(
    ("methods", "by", "says"),
    [
        (["taylor", "uncut"], "parameters", r"0.001 \(0.0166 at least, of the parameters\)"),
        (["maxout"], "parameters", r"0.001 \(0.0466 at least, of the parameters\)"),
        (["maxout", "bn-scale", "random"], "macs", r"0.001 \(0.1416 at least, of the MACs\)"),
    ],
)
def test_a_size_that_no_method_can_reach_is_refused_first(
    methods: list[str], by: str, says: str, data: Dataset
) -> None:
    told: list[Any] = []
    how: dict[str, Any] = {"sizes": (0.5, 0.001), "by": by, "report": lambda *a: told.append(a)}
    with pytest.raises(UsageError, match=says):
        compare(little(), data, methods, **how, **QUICK)
    assert told == []


def test_a_comparison_is_read_as_it_was_written(found: Comparison, tmp_path: Path) -> None:
    found.write(tmp_path / "comparison.json")
    assert Comparison.read(tmp_path / "comparison.json") == found
    content = json.loads((tmp_path / "comparison.json").read_text())
    content["by"] = "bytes"
    (tmp_path / "comparison.json").write_text(json.dumps(content))
    with pytest.raises(StoreError, match="is not a comparison: by"):
        Comparison.read(tmp_path / "comparison.json")


def test_the_table_and_the_plot_have_every_method(found: Comparison) -> None:
    table, plot = comparison_table(found), comparison_plot(found)
    methods = list(table.columns[1].cells)
    assert methods == ["unpruned", *ordered(found) * 2]
    assert set(ordered(found)) == set(COMPARED)
    assert ordered(found)[-2:] == list(CONTROLS)
    drawn = [method for method in COMPARED if method not in ("bn-scale", "uncut")]
    assert all(f">{method}<" in plot for method in drawn)
    assert "before, after: test accuracy right after the cut, and after" in found.table()
    assert "Best on validation data over all sizes: " in found.table()
    assert "bn-scale did not reach every size" in verdict(found)[-1]


def test_the_control_that_is_not_cut_is_a_band_and_the_unpruned_network_a_point(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is drawn where, as matplotlib has it."""
    figures: list[Any] = []

    def kept(height: float) -> Any:
        figures.append(new_figure(height))
        return figures[-1]

    monkeypatch.setattr("maxprune.report.comparison.new_figure", kept)
    starts = [Start(seed=0, parameters=100, macs=100, validation=90.0, accuracy=85.0)]
    rows = [
        row("uncut", 0, 0.5, 80.0, 88.0), row("uncut", 0, 0.2, 80.0, 90.0),
        row("pls", 0, 0.5, 80.0, 80.0), row("pls", 0, 0.2, 80.0, 70.0),
    ]  # fmt: skip
    comparison = Comparison(
        dataset="d", network="n", by="parameters", methods=["pls", "uncut"], sizes=[0.5, 0.2],
        starts=starts, compared=rows, tested="test",
    )  # fmt: skip
    comparison_plot(comparison)
    axes = figures[0].axes[0]
    lines = {str(c.get_label()): c.lines[0].get_xydata().tolist() for c in axes.containers}
    assert lines == {"unpruned": [[100, 85]], "pls": [[50, 80], [50, 70]]}
    (band,) = axes.patches
    assert (band.get_y(), band.get_height()) == (88, 2)
    (mean,) = [line for line in axes.lines if str(line.get_label()).startswith("uncut")]
    assert (mean.get_xdata(), mean.get_ydata()) == ([0, 1], [89, 89])
    assert mean.get_linestyle() == "--"


def row(method: str, seed: int, size: float, validation: float, test: float) -> Compared:
    return Compared(
        method=method, seed=seed, size=size, parameters=50, macs=60, before=None,
        validation=validation, accuracy=test, p_value=0.01, seconds=1.0, cuts=1,
    )  # fmt: skip


def test_the_order_is_that_of_validation_and_not_of_test_data() -> None:
    starts = [
        Start(seed=s, parameters=100, macs=100, validation=90.0, accuracy=85.0) for s in (0, 1)
    ]
    rows = [
        row("pls", 0, 0.5, 80.0, 99.0), row("pls", 1, 0.5, 82.0, 97.0),
        row("fpgm", 0, 0.5, 85.0, 70.0), row("fpgm", 1, 0.5, 85.0, 74.0),
    ]  # fmt: skip
    comparison = Comparison(
        dataset="d", network="n", by="parameters", methods=["pls", "fpgm"], sizes=[0.5],
        starts=starts, compared=rows, tested="test",
    )  # fmt: skip
    assert comparison.ranked() == [("fpgm", 85.0), ("pls", 81.0)]
    pls, fpgm = comparison.summaries()
    assert (fpgm.accuracy, fpgm.worse, fpgm.left) == (72.0, 2, 0.5)
    assert fpgm.spread == pytest.approx(8**0.5)
    assert pls.worse == 0  # significantly better is not worse
    partly = comparison.model_copy(update={"compared": rows[:3]})
    assert partly.ranked() == [("pls", 81.0)]  # the other has one seed of two


def test_the_size_may_be_counted_in_macs(data: Dataset) -> None:
    found = compare(little, data, ["magnitude"], sizes=[0.5], by="macs", **QUICK)
    assert found.compared[0].macs <= 0.5 * macs(little(), data.input_shape)
    assert found.summaries()[0].macs_left <= 0.5


def test_a_trained_network_is_compared_as_it_is(data: Dataset) -> None:
    torch.manual_seed(0)
    net = little()
    state = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    found = compare(net, data, ["random"], sizes=[0.5], epochs=0.1, batch=32)
    assert found.starts[0].accuracy == accuracy(net, data.test)
    assert all(torch.equal(state[name], tensor) for name, tensor in net.state_dict().items())


@pytest.mark.parametrize("method", IMPORTANCES)
def test_what_torch_pruning_removes_is_what_our_plan_removes(method: str) -> None:
    torch.manual_seed(0)
    net = vgg_small().eval()
    splits = of_dataset(cifar_like(), DataOptions(augment=()))
    batches = list(drawn(splits.train, BATCH * BATCHES, 0))
    groups = chosen_groups(Compression(method="random"), net, batches[0][0][:2])
    plan = Pruner(method, net, groups, splits, seed=0).plan(0.4)
    ours = apply(net, plan)
    theirs, _ = with_gradients(net, batches)
    torch_pruning.pruner.BasePruner(
        theirs, (batches[0][0][:2],), importance=IMPORTANCES[method](), global_pruning=True,
        pruning_ratio=0.4, ignored_layers=[theirs.output],
    ).step()  # fmt: skip
    assert parameters(ours) < 0.9 * parameters(net)
    its = theirs.state_dict()
    assert all(torch.equal(mine, its[name]) for name, mine in ours.state_dict().items())


def cifar_like() -> Dataset:
    generator = torch.Generator().manual_seed(0)
    images = [
        maxprune.data.Images(
            torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8, generator=generator),
            torch.arange(count) % 10, 10,
        )
        for count in (300, 50)
    ]  # fmt: skip
    return Dataset("like", *images)


def test_the_least_share_that_fits_is_found() -> None:
    class Plan:
        def __init__(self, share: float) -> None:
            self.share = share

    def plan_of(share: float) -> Any:
        return Plan(share) if share >= 0.1 else None

    found = least(plan_of, lambda plan: plan.share >= 0.37, 0.9)
    assert found.share == pytest.approx(0.37, abs=1e-3)
    found = least(plan_of, lambda plan: 0.37 <= plan.share < 0.8, 0.9)  # not the largest
    assert found.share == pytest.approx(0.37, abs=1e-3)
    assert least(plan_of, lambda plan: True, 0.9).share == pytest.approx(0.1, abs=1e-3)
    assert least(plan_of, lambda plan: False, 0.9) is None
    assert least(lambda _: None, lambda plan: True, 0.9) is None


PART = Part(
    network=f"{__file__}:little", data="digits", seed=0, each=9,
    comparing=comparing_of(
        methods=("pls", "maxout", "scratch"), sizes=(0.5, 0.2), train_epochs=0.2, epochs=0.2
    ),
    options=DataOptions(augment=()),
)  # fmt: skip


def ignore(_: Part, __: int) -> None:
    pass


def test_parts_run_in_processes_and_go_on_where_they_were(tmp_path: Path) -> None:
    """The figures are those of the Python call in this process, seconds aside."""
    heard: dict[str, int] = {}
    first = run_parts(PART, 1, tmp_path, 2, lambda part, done: heard.update({part.name: done}))
    assert heard == {part.name: part.length() for part in all_parts(PART, 1)}
    assert [part.name for part in all_parts(PART, 1)][:2] == ["unpruned-seed0", "scratch-seed0"]
    for name in (
        "rows.json",
        "steps/2-maxout-6-of-6",
    ):  # as if it had been killed before its last size
        gone = tmp_path / "maxout-seed0" / name
        gone.unlink() if gone.is_file() else shutil.rmtree(gone)
    (tmp_path / "pls-seed0" / "rows.json").write_text("{}")  # damaged
    again = run_parts(PART, 1, tmp_path, 2, ignore)
    assert [timeless(part.compared) for part in again] == [timeless(p.compared) for p in first]
    data = open_data("digits", DataOptions(augment=()))
    how = {"train_epochs": 0.2, "epochs": 0.2}
    here = compare(little, data, ["scratch", "pls", "maxout"], sizes=(0.5, 0.2), **how)
    rows = [row for part in first for row in part.compared]
    assert timeless(rows) == timeless(here.compared)


def timeless(rows: list[Compared]) -> list[Compared]:
    return [row.model_copy(update={"seconds": 0.0}) for row in rows]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"methods": ["best"]}, "there is no method 'best'; there are maxout, pls"),
        ({"methods": []}, "at least one method"),
        ({"methods": ["pls", "pls"]}, "named once"),
        ({"sizes": []}, "at least one method and one size"),
        ({"sizes": [0.5, 0.5]}, "named once"),
        ({"sizes": [1.5]}, "^sizes must be below 1, not 1.5$"),
        ({"by": "bytes"}, "^by must be 'parameters' or 'macs', not 'bytes'$"),
        ({"methods": ["scratch"]}, "needs a network that is trained here"),
        ({"methods": "best"}, "there is no method 'best'"),
        ({"how": 3}, "no setting 'how' of a comparison"),
        ({"share": 0.1}, "no setting 'share' of a comparison"),
        ({"skip": ["x"]}, "no layer 'x'"),
        ({"keep_accuracy": 1.0}, "no setting 'keep_accuracy' of a comparison; there are methods"),
        ({"max_macs": 1}, "no setting 'max_macs'"),
        ({"epoch": 1}, "no setting 'epoch' of a comparison"),
        ({"epochs": 0}, "^epochs must be above 0, not 0$"),
        ({"seeds": 0}, "at least 1 seed, not 0"),
    ],
)
def test_settings_that_are_none_are_refused(
    changes: dict[str, Any], message: str, data: Dataset
) -> None:
    with pytest.raises(UsageError, match=message):
        compare(little(), data, **{"methods": ["pls"], **changes})


def test_code_that_changed_under_a_comparison_is_refused(tmp_path: Path) -> None:
    part = Part(
        network="maxprune.networks:lenet5", data="digits", seed=0, each=1,
        comparing=Comparing(methods=("random",)), about={"code": {"the class Net in my.py": "1"}},
    )  # fmt: skip
    with pytest.raises(OutputError, match=r"the class Net in my\.py has changed since the compar"):
        part.do(tmp_path / "part", lambda _: None)
    assert not (tmp_path / "part").exists()


def test_the_defaults_are_all_methods_on_equal_ground() -> None:
    assert Comparing().methods == COMPARED[:-1]
    assert Comparing().how.keep_last is False


def test_data_that_differ_between_two_passes_are_refused(data: Dataset) -> None:
    x, y = next(data.test.batches(40))
    plain = DataLoader(TensorDataset(x, y), batch_size=8)
    mixed = DataLoader(TensorDataset(x, y), batch_size=8, shuffle=True)
    train, same, shuffled = (Loaded(loader, "l", 10) for loader in (mixed, plain, mixed))
    splits = Splits("mine", train, same, shuffled, (1, 28, 28))
    with pytest.raises(UsageError, match="the test data differ between two passes"):
        compare(little(), splits, ["pls"])


def test_weights_that_are_not_finite_are_refused(data: Dataset) -> None:
    net = lenet5(fc=8, conv=(2, 4))
    net.conv1.weight.data[0] = torch.nan
    with pytest.raises(UsageError, match=r"conv1\.weight of the network is not finite"):
        compare(net, data, ["random"])
