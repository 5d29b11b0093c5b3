"""The study of small networks: what it does, what it measures, what it draws."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import call

from maxprune.errors import UsageError
from maxprune.report.plain import as_text
from maxprune.report.squeezed import coded_table, dense_table, squeezed_plot
from maxprune.studies.squeezed import Recipe, SqueezedCell, SqueezedRun, cells
from maxprune.studies.squeezed.recipe import ANEW, CODED, FINAL, TAUGHT, UNCUT, ZEROS, steps

pytestmark = pytest.mark.usefixtures("in_this_process")

QUICK = Recipe(
    network=(4, 8, 32), epochs=2, cut_epochs=0.5, final_epochs=1, code_epochs=0.5,
    ladder=(4_000, 2_000), sizes=(2_000,), zeros=((2_000, 0.6),), bits=(3,),
)  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[SqueezedRun, Path, list[int]]:
    folder = tmp_path_factory.mktemp("squeezed")
    one, told = SqueezedRun(0, QUICK, dataset="digits"), []
    one.do(folder / one.name, told.append)
    return one, folder, told


def test_every_network_is_measured_and_fits_its_size(
    run: tuple[SqueezedRun, Path, list[int]],
) -> None:
    one, folder, told = run
    assert one.is_done(folder / one.name)
    assert told[-1] == pytest.approx(one.length(), abs=len(told))
    assert told == sorted(told)
    found = {step.name: step for step in one.read(folder / one.name)}
    assert list(found) == list(steps(QUICK))
    assert found[UNCUT].parameters == 5_370
    assert all(s.parameters <= s.size for s in found.values() if s.size)
    alike = [found[f"2000 {way}"] for way in (FINAL, ANEW, TAUGHT)]
    assert len({s.parameters for s in alike}) == 1
    assert {s.epochs for s in alike} == {2 + 2 * 0.5 + 1}  # as many pictures in all
    sparse, coded = found["2000 zeros 60%"], found["2000 zeros 60% 3 bits"]
    assert sparse.nonzero <= 0.401 * alike[0].parameters
    assert (sparse.way, coded.way, coded.bits) == (ZEROS, CODED, 3)
    assert coded.bytes < sparse.bytes / 4


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"sizes": (5,)}, "5 parameters are no step of the ladder"),
        ({"zeros": ((4_100, 0.5),)}, "begin with a size that is compared, not 4,100 parameters"),
    ],
)
def test_a_recipe_that_cannot_be_done_is_refused(changes: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        Recipe.model_validate(changes)


def test_another_size_goes_on_with_the_same_folder(
    run: tuple[SqueezedRun, Path, list[int]],
) -> None:
    one, folder, _ = run
    more = SqueezedRun(0, QUICK.model_copy(update={"bits": (3, 2)}), dataset="digits")
    assert not more.is_done(folder / one.name)
    before = {step.name: step for step in one.read(folder / one.name)}
    more.do(folder / one.name, lambda _: None)
    after = {step.name: step for step in more.read(folder / one.name)}
    assert after.keys() - before.keys() == {"2000 zeros 60% 2 bits"}
    assert all(after[name] == step for name, step in before.items())
    longer = SqueezedRun(0, QUICK.scaled(2), dataset="digits")
    assert longer.identity() != one.identity()


def test_tables_and_plot_say_what_was_measured(
    run: tuple[SqueezedRun, Path, list[int]],
) -> None:
    one, folder, _ = run
    found = cells([one], folder)
    read = {step.name: step for step in one.read(folder / one.name)}
    ours = next(cell for cell in found if cell.way == FINAL)
    assert ours.error == pytest.approx(100 - read[f"2000 {FINAL}"].accuracy)
    assert len(ours.p_values) == 1
    assert not next(cell for cell in found if cell.way == ANEW).p_values
    text = as_text(dense_table(found, augmented=True))
    rows = text[text.index("──") :]
    assert rows.index("uncut") < rows.index(FINAL) < rows.index(ANEW)
    assert f"{ours.parameters[0]:,}" in text
    text = as_text(coded_table(found, augmented=True))
    assert f"{read['2000 zeros 60% 3 bits'].bytes:,}" in text
    drawn = squeezed_plot(found)
    assert "bytes of the file" in drawn
    assert "Bayesian Compression" in drawn
    assert "Bayesian Compression" not in squeezed_plot(found, published=False)


def test_over_seeds_there_is_a_mean_and_a_spread() -> None:
    cell = SqueezedCell(
        way=FINAL, size=10, augmented=True, seeds=[0, 1], parameters=[9, 10], nonzero=[9, 10],
        bytes=[50, 60], zero=0, bits=0, epochs=3, held=[99.0, 98.0], accuracies=[99.0, 97.0],
        p_values=[0.5, 0.01],
    )  # fmt: skip
    assert (cell.error, cell.held_error, cell.spread) == (2.0, 1.5, pytest.approx(2**0.5))
    text = as_text(dense_table([cell], augmented=True))
    assert "9-10" in text
    assert "±1.41" in text


def test_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    quick = QUICK.model_copy(update={"zeros": (), "ladder": (2_000,), "epochs": 1})
    monkeypatch.setattr("maxprune.studies.squeezed.Recipe", lambda: quick)
    out = tmp_path / "small"
    asked = ["reproduce", "squeeze", "--dataset", "digits", "--seeds", 1, "--out", out]
    code, said, _ = call(monkeypatch, capsys, *asked, "--plain", "--scale", 0.5)
    assert code == 0
    assert "without augmentation" in said
    about = json.loads((out / "small.json").read_text())
    assert about["recipe"]["final_epochs"] == 0.5
    ways = [record["way"] for record in about["records"]]
    assert ways.count(UNCUT) == ways.count(FINAL) == 2
    assert [r["augmented"] for r in about["records"] if r["way"] in (ANEW, TAUGHT)] == [True] * 2
    text = (out / "small.txt").read_text()
    assert text.count("cut, trained on") == 2
    assert text.count("the same network trained from nothing") == text.count("p: random") == 1
    assert "beside" not in about["recipe"]
    assert "<svg" in (out / "small.svg").read_text()
    code, _, said = call(monkeypatch, capsys, *asked, "--scale", 1)
    assert (code, said.count("\n")) == (2, 1)
    assert "--scale 0.5" in said


def test_a_dataset_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["reproduce", "squeeze", "--dataset", "cats", "--out", tmp_path / "small"]
    code, _, said = call(monkeypatch, capsys, *asked)
    assert (code, said.count("\n")) == (2, 1)
    assert not (tmp_path / "small").exists()
