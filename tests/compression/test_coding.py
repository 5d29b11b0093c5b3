"""Networks on their way into coded files: from Python, in a search, in a study, by the command."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from command_line import call
from quick import QUICK
from torch import nn

import maxprune
from maxprune.commands.searched import show
from maxprune.commands.shared import terminal
from maxprune.compression.coding import AS_IT_WAS, Coding, code, code_network, coded_name
from maxprune.compression.search import UNTRAINED, Search
from maxprune.data import Dataset, digits
from maxprune.data.images import Dataset as Pictures
from maxprune.data.spec import DataOptions, of_dataset
from maxprune.errors import UsageError
from maxprune.measure import accuracy, correct, percent
from maxprune.networks import lenet5
from maxprune.plan import SharePlan
from maxprune.report.coded import coded_plot, coded_table, coding_table, remarks
from maxprune.results import Results
from maxprune.runs.measured import Measured
from maxprune.runs.workspace import Memory, Workspace
from maxprune.studies.grid import run_grid
from maxprune.studies.lenet import Cell
from maxprune.studies.pipeline import Pipeline
from maxprune.studies.recipe import Recipe
from maxprune.studies.tables import coded_cells
from maxprune.surgery import apply
from maxprune.train import Fitting, Training, train
from maxprune.train.adam import Adam
from maxprune.weights import prunable, zero_plan
from maxprune.weights.sharing import unshared


@pytest.fixture(scope="module")
def data() -> Pictures:
    every = digits()
    return Dataset("digits", every.train.subset(torch.arange(600)), every.test)


@pytest.fixture(scope="module")
def trained(data: Pictures) -> nn.Module:
    """LeNet-5 of 32 neurons, 80% of its weights zero."""
    torch.manual_seed(0)
    model = lenet5(fc=32, conv=(4, 8))
    fitting = Fitting.of_epochs(12, 600, batch=32).model_copy(update={"judge_every": 0})
    train(model, data.train, fitting, zeroed=0.8)
    return apply(model, zero_plan(model, 0.8))


def values(model: nn.Module) -> list[int]:
    """How many values the weights of each layer have beside zero."""
    return [len(torch.unique(w[w != 0])) for w in prunable(model)]


def test_without_data_the_values_are_those_of_kmeans(trained: nn.Module, tmp_path: Path) -> None:
    before = {name: t.clone() for name, t in trained.state_dict().items()}
    found = code_network(trained, 3)
    assert all(torch.equal(t, before[name]) for name, t in trained.state_dict().items())
    assert max(values(found.model)) == 8
    found.write(tmp_path / "net.mxp")
    again = maxprune.load(tmp_path / "net.mxp")
    for name, tensor in found.model.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name])
    first, last = found.told.steps
    assert (first.name, first.accuracy, last.p_value) == (AS_IT_WAS, None, None)
    assert last.bytes == (tmp_path / "net.mxp").stat().st_size
    assert first.bytes > 8 * last.bytes
    assert isinstance(maxprune.lineage(found.model).plans[-1], SharePlan)


def test_values_are_trained_and_what_is_measured_is_in_the_file(
    trained: nn.Module, data: Pictures
) -> None:
    splits = of_dataset(data, DataOptions(augment=()))
    found = code_network(trained, 1, splits, Adam.of_epochs(30, 540, batch=32, rate=0.01))
    steps = found.told.steps
    assert [step.name for step in steps] == [
        AS_IT_WAS, "coded, 1 bit, k-means", "coded, 1 bit, trained",
    ]  # fmt: skip
    assert [step.taken for step in steps] == [False, False, True]
    assert steps[0].accuracy == accuracy(trained, data.test)
    assert steps[2].accuracy == percent(correct(found.opened(), data.test))
    assert steps[2].accuracy > steps[1].accuracy  # two values lose much, and training mends some
    assert len(found.content) == steps[2].bytes
    assert (found.told.tested, found.told.samples) == ("test", len(data.test))
    table = coding_table(found.told)
    assert "  <- in the file" in "".join(table.columns[0].cells)


def test_values_that_training_made_worse_are_not_taken(trained: nn.Module, data: Pictures) -> None:
    def ruin(model: nn.Module, _: object) -> None:
        with torch.no_grad():
            model.fc2.bias[0] = 1000

    found = code_network(trained, 5, of_dataset(data, DataOptions()), ruin)
    assert [step.taken for step in found.told.steps] == [False, True, False]
    assert len(found.content) == found.told.steps[1].bytes
    assert found.told.steps[2].accuracy < 20


def test_dropout_is_less_while_values_are_trained(trained: nn.Module) -> None:
    seen = []
    code(trained, 3, lambda shared: (shared, seen.append(shared.dropout.p)))
    left = maxprune.measure.nonzero(trained) / maxprune.measure.parameters(trained)
    assert seen == [pytest.approx(0.5 * left**0.5)]
    assert trained.dropout.p == 0.5


def test_weights_that_are_nan_are_named() -> None:
    model = lenet5()
    with torch.no_grad():
        model.conv1.weight[0] = float("nan")
    with pytest.raises(UsageError, match=r"^conv1\.weight of the network is not finite"):
        code_network(model)


def test_a_network_of_unknown_origin_is_refused_at_once() -> None:
    with pytest.raises(UsageError, match="factory is not known"):
        code_network(nn.Linear(3, 2))


def test_a_search_ends_with_a_coded_network(
    data: Pictures, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    found = maxprune.compress(
        lenet5(fc=32, conv=(4, 8)), data, folder=tmp_path / "run", bits=3, zero=0.5, iterations=1,
        **{**QUICK, "keep_accuracy": 100.0},
    )  # fmt: skip
    last = found.steps[-1]
    assert last.name == "3: coded, 3 bits"
    assert last.accuracy == accuracy(found.model, data.test)
    assert max(values(found.model)) <= 8
    results = found.write(tmp_path / "out")
    assert results.steps[-1].bytes == (tmp_path / "out" / "model.mxp").stat().st_size
    again = maxprune.load(tmp_path / "out" / "model.mxp")
    assert accuracy(again, data.test) == last.accuracy
    assert found.trials[-1].bytes == last.bytes
    steps = [step.bytes for step in found.steps]
    assert steps == sorted(steps, reverse=True)
    show(terminal(), found, tmp_path / "out")  # what `compress` says at the end
    path = tmp_path / "out" / "model.mxp"
    says = f"Coded: maxprune.load('{path}'), {last.bytes:,} bytes; it opens only with what builds"
    assert says in capsys.readouterr().out


@pytest.mark.parametrize("bias", [1000.0, float("inf")], ids=["wrong", "diverges"])
def test_a_search_takes_no_values_that_training_made_worse(
    bias: float, trained: nn.Module, data: Pictures
) -> None:
    def ruin(model: nn.Module, _: object) -> None:
        if len(torch.unique(model.fc1.weight)) <= 2**5 + 1:  # it shares values already
            with torch.no_grad():
                model.fc2.bias[0] = bias

    found = maxprune.compress(
        trained, data, method="magnitude", keep_accuracy=100, iterations=1, bits=5, fit=ruin,
        control=True,
    )  # fmt: skip
    last = found.trials[-1]
    assert (last.title, last.taken) == ("coded, 5 bits", True)
    assert last.accuracy == last.accuracy_before_retraining > 50
    assert last.remark == UNTRAINED
    assert found.results.steps[-1].accuracy > 50
    assert found.results.details.search.control.retrainings == 1  # of the cut alone


@pytest.mark.parametrize("passes", [True, False])
def test_values_that_lose_less_for_certain_are_taken(
    passes: bool, trained: nn.Module, data: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two networks that are right as often, but not where the one at the start is."""

    def bound(_: Search, measured: Measured, last: bool) -> float:
        return 1.0 + measured.trained * -passes

    monkeypatch.setattr(Search, "_bound", bound)

    def nothing(model: nn.Module, _: object) -> None:
        pass

    found = maxprune.compress(
        trained, data, method="magnitude", keep_accuracy=100, iterations=1, bits=5, fit=nothing
    )
    last = found.trials[-1]
    assert last.accuracy == last.accuracy_before_retraining
    assert (last.remark == UNTRAINED) is not passes


def test_a_fit_that_gives_a_copy_leaves_dropout_as_it_was(trained: nn.Module) -> None:
    found = code(trained, 4, lambda shared: (copy.deepcopy(shared), None))
    assert found.model.dropout.p == found.opened().dropout.p == 0.5


def test_what_no_coded_file_can_hold_is_refused_before_any_training(data: Pictures) -> None:
    larger, other = lenet5(fc=16, conv=(2, 4)), lenet5(fc=16, conv=(2, 4))
    larger.more = nn.Linear(10, 10)
    other.dropout.p = 0.2
    for model in (larger, other):
        with pytest.raises(UsageError, match="the network would not open"):
            maxprune.compress(model, data, bits=3, fit=lambda *_: pytest.fail("trained"), **QUICK)


def test_a_budget_of_bytes_is_met_by_the_coded_file(data: Pictures) -> None:
    torch.manual_seed(0)
    found = maxprune.compress(
        lenet5(fc=16, conv=(2, 4)), data, bits=2, max_bytes=1200, keep_accuracy=None,
        fit=lambda *_: None,
    )  # fmt: skip
    assert found.results.details.search.missed == []
    assert found.results.details.search.budgets[0].reached == found.trials[-1].bytes <= 1200


def test_bits_need_a_network_that_can_be_built_again(data: Pictures) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 8), nn.ReLU(), nn.Linear(8, 10))
    with pytest.raises(UsageError, match="factory is not known"):
        maxprune.compress(model, data, bits=3, **QUICK)


SMALL = Recipe(
    network="small", build=partial(lenet5, fc=16, conv=(4, 8)), layer="fc1",
    shares=(0.5, 0.9), coded=((0.9, 2), (0.9, 4)), training=Training(iterations=30, batch=32),
)  # fmt: skip


@pytest.mark.usefixtures("in_this_process")
def test_a_study_codes_the_shares_that_are_asked_for(data: Pictures, tmp_path: Path) -> None:
    with Workspace(tmp_path / "run", {}) as space:
        found = Pipeline(SMALL, data, space).run("test", {})
    names = [step.name for step in found.results.steps]
    assert names[-4:] == ["weights 50%", "weights 90%", "90%, 2 bits", "90%, 4 bits"]
    file = tmp_path / "run" / "steps" / "90-4-bits.mxp"
    assert found.results.steps[-1].bytes == file.stat().st_size
    assert found.results.steps[-1].accuracy == accuracy(maxprune.load(file), data.test)
    found.write(tmp_path / "out")
    assert (tmp_path / "out" / "model.mxp").read_bytes() == file.read_bytes()
    with Workspace(tmp_path / "run", {}, resume=True) as space:
        assert Pipeline(SMALL, data, space).run("test", {}).results == found.results


def test_a_share_that_is_not_pruned_cannot_be_coded(data: Pictures) -> None:
    with pytest.raises(UsageError, match=r"no network with a share of 0\.7 zeros"):
        Pipeline(replace(SMALL, coded=((0.7, 3),)), data, Memory())
    with pytest.raises(UsageError, match="bits from 1 to 12"):
        Pipeline(replace(SMALL, coded=((0.9, 13),)), data, Memory())


def test_the_chosen_share_is_coded(data: Pictures) -> None:
    recipe = replace(SMALL, shares=(), choose=True, coded=((None, 3),))
    found = Pipeline(recipe, data, Memory()).run("test", {})
    chosen, coded = (step.name for step in found.results.steps[-2:])
    assert coded == coded_name(3, chosen)


@pytest.mark.usefixtures("in_this_process")
def test_cells_of_a_grid_keep_what_was_coded(tmp_path: Path) -> None:
    cell = Cell(
        "mc", 8, 0, (0.5,), control=False, coded=((0.5, 3),), training=Training(iterations=2),
        dataset="digits",
    )  # fmt: skip
    (found,) = run_grid([cell], tmp_path, None, 1, lambda *_: None)
    assert found.steps[-1].name == "50%, 3 bits"
    more = replace(cell, shares=(0.7,), coded=())
    (again,) = run_grid([more], tmp_path, None, 1, lambda *_: None)
    assert [s.name for s in again.steps[-3:]] == ["weights 50%", "50%, 3 bits", "weights 70%"]
    assert cell.command() == (
        "maxprune reproduce coded --network mc --fc 8 --seeds 1 --iterations 2 --dataset digits "
        "--zero 50 --bits 3"
    )
    cells = coded_cells([found], cell.coded)
    assert [c.step for c in cells] == ["no maxout", "maxout k=1", "weights 50%", "50%, 3 bits"]
    assert coded_table(cells, "title").row_count == 4
    assert "<svg" in coded_plot(cells, {"others": (44_000, 0.74)})


@pytest.mark.usefixtures("in_this_process")
def test_reproduce_coded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = (
        "reproduce", "coded", "--dataset", "digits", "--network", "mfc", "--fc", 8, "--seeds", 1,
        "--iterations", 2, "--zero", 60, "--bits", 2, "--bits", 3, "--out", tmp_path / "out",
    )  # fmt: skip
    code_, said, _ = call(monkeypatch, capsys, *arguments)
    assert code_ == 0
    assert "60%, 2 bits" in said
    content = json.loads((tmp_path / "out" / "coded.json").read_text())
    found = Results.read(tmp_path / "out" / "mfc-8-seed0" / "results.json")
    assert [r["bytes"] for r in content["records"][-2:]] == [[s.bytes] for s in found.steps[-2:]]
    assert (tmp_path / "out" / "coded.svg").exists()
    for wrong, says in (
        (("--zero", "auto"), "--zero is a percentage here, not auto"),
        (("--zero", 0.5), "--zero is a percentage: 50, not 0.5"),
        (("--bits", 0), "bits from 1 to 12"),
    ):
        code_, _, error = call(monkeypatch, capsys, *arguments[:2], *wrong, "--dataset", "digits")
        assert (code_, says in error) == (2, True), error


def test_the_command(
    trained: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    maxprune.save(trained, tmp_path / "model")
    out = tmp_path / "net.mxp"
    code_, said, _ = call(
        monkeypatch, capsys, "code", tmp_path / "model", "--bits", 2, "--data", "digits", "--out",
        out, "--epochs", 1,
    )  # fmt: skip
    assert code_ == 0
    assert "coded, 2 bits, trained" in said
    assert f"{out.stat().st_size:,}" in said
    assert f"maxprune.load('{out}')" in said.replace("\n", "")
    code_, said, _ = call(
        monkeypatch, capsys, "code", out, "--bits", 1, "--out", tmp_path / "one.mxp", "--json"
    )
    assert code_ == 0
    assert json.loads(said)["steps"][1]["bytes"] == (tmp_path / "one.mxp").stat().st_size
    assert max(values(maxprune.load(tmp_path / "one.mxp"))) == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model", "net.mxp", "one.mxp"]


def test_a_checkpoint_that_is_left_is_named(
    trained: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    maxprune.save(trained, tmp_path / "model")
    part = tmp_path / ".net.mxp.part"

    def stop(*_: object) -> None:
        part.write_bytes(b"")
        raise KeyboardInterrupt

    monkeypatch.setattr("maxprune.compression.coding.code_network", stop)
    given = ("code", tmp_path / "model", "--data", "digits", "--out", tmp_path / "net.mxp")
    code_, _, error = call(monkeypatch, capsys, *given)
    assert code_ == 130
    assert f"{part} is the training's checkpoint: the same command goes on with it" in error


def test_weights_that_are_not_shared_are_named() -> None:
    assert unshared(nn.Sequential(nn.Embedding(40, 3), nn.Linear(3, 30))) == ("0.weight",)
    told = Coding(
        bits=1, parameters=9, nonzero=9, tested="", samples=0, steps=(), unshared=("0.weight",)
    )
    assert remarks(told) == ["Not shared, as it is no linear or convolution layer's: 0.weight."]
    assert remarks(told.model_copy(update={"unshared": ()})) == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("nothing", ), "'nothing' does not exist"),
        (("maxprune.networks:lenet5", "--data", "digits"), "built here with random weights"),
        (("MODEL", "--bits", 13), "bits from 1 to 12, not 13"),
        (("maxprune.networks:lenet5",), "built here with random weights; give --weights"),
        (("MODEL", "--out", "."), ". is a folder; --out is a file, such as model.mxp"),
        (("MODEL", "--out", "c.foo"), "--out ends in .mxp, such as model.mxp, not c.foo"),
        (("MODEL", "--epochs", 3), "--epochs is for what --data is for: give that, too"),
        (("MODEL", "--rate", 0.001), "--rate is for what --data"),
        (("MODEL", "--data", "digits", "--epochs", 0), "must be a finite number above 0"),
        (("FILE",), "'FILE' is no network: give my_net.py:build"),
        (("DAMAGED",), "DAMAGED cannot be opened: it ends early"),
    ],
)  # fmt: skip
def test_wrong_input_is_one_line(
    arguments: tuple[object, ...], says: str, trained: nn.Module, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    maxprune.save(trained, tmp_path / "MODEL")
    (tmp_path / "FILE").write_bytes(b"PK")
    (tmp_path / "DAMAGED").write_bytes(b"MXPC")
    code_, _, error = call(monkeypatch, capsys, "code", *arguments)
    assert code_ == 2
    assert says in " ".join(error.split())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["DAMAGED", "FILE", "MODEL"]
