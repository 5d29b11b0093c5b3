"""Cells in processes of their own: what goes wrong in one becomes one line here."""

from dataclasses import replace
from pathlib import Path
from queue import Queue

import pytest

from maxprune.commands.grid_options import Grid
from maxprune.errors import MaxpruneError
from maxprune.results import Results
from maxprune.runs.parallel import work
from maxprune.studies import grid
from maxprune.studies.grid import Filling, run_grid
from maxprune.studies.lenet import Cell
from maxprune.train import PAPER, Training

pytestmark = pytest.mark.usefixtures("in_this_process")

CELL = Cell("mfc", 8, 0, control=False, training=Training(iterations=2), dataset="digits")


def ignore(_: Cell, __: int) -> None:
    pass


def test_a_file_in_the_place_of_the_steps(tmp_path: Path) -> None:
    run_grid([CELL], tmp_path, None, 1, ignore)
    folder = tmp_path / CELL.name
    before = Results.read(folder / "results.json")
    (folder / "results.json").unlink()
    (folder / "steps").rename(tmp_path / "moved")
    (folder / "steps").write_text("mine")
    with pytest.raises(MaxpruneError, match=r"steps is a file") as caught:
        run_grid([CELL], tmp_path, None, 1, ignore)
    assert "\n" not in str(caught.value)
    assert (folder / "steps").read_text() == "mine"
    (folder / "steps").unlink()
    (tmp_path / "moved").rename(folder / "steps")
    assert run_grid([CELL], tmp_path, None, 1, ignore) == [before]


def test_a_step_that_is_a_file_is_made_again(tmp_path: Path) -> None:
    run_grid([CELL], tmp_path, None, 1, ignore)
    folder = tmp_path / CELL.name
    before = Results.read(folder / "results.json")
    (folder / "results.json").unlink()
    step = folder / "steps" / "maxout-k2"
    step.rename(tmp_path / "moved")
    step.write_text("no model")
    (again,) = run_grid([CELL], tmp_path, None, 1, ignore)
    assert [s.accuracy for s in again.steps] == [s.accuracy for s in before.steps]
    assert step.is_dir()


def test_what_nobody_expected_is_one_line_and_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("you tried to allocate\n 99999 bytes")

    plain = grid.run_cell
    monkeypatch.setattr(grid, "run_cell", fails)
    messages: Queue[tuple[str, str, str]] = Queue()
    work(Filling(CELL, None), tmp_path / "cell", messages)
    name, kind, says = messages.get()
    log = tmp_path / f"{CELL.name}.error.log"
    assert (name, kind) == (CELL.name, "error")
    assert says == f"RuntimeError: you tried to allocate 99999 bytes (all of it in {log})"
    assert "Traceback" in log.read_text()
    # What was written does not stand in the way of the next try, which removes it.
    monkeypatch.setattr(grid, "run_cell", plain)
    work(Filling(CELL, None), tmp_path / "cell", messages)
    assert not log.exists()
    assert Results.read(tmp_path / "cell" / "results.json").seed == 0


def test_what_was_filled_before_is_heard_at_once(tmp_path: Path) -> None:
    run_grid([CELL], tmp_path, None, 1, ignore)
    heard = []
    run_grid([CELL], tmp_path, None, 1, lambda cell, done: heard.append((cell, done)))
    assert heard == [(CELL, 5 * 2)]


@pytest.mark.parametrize("paper", [False, True])
def test_the_options_of_a_grid_reach_its_cells(paper: bool) -> None:
    options = Grid(network=["mc"], fc=[8, 16], iterations=7, seeds=2, paper=paper)
    cells = options.cells((0.5,), control=True)
    assert [cell.name for cell in cells] == [
        "mc-16-seed0", "mc-16-seed1", "mc-8-seed0", "mc-8-seed1"
    ]  # fmt: skip
    for cell in cells:
        training = Training(iterations=7, boost=3.0)
        if paper:
            training = PAPER.model_copy(update={"iterations": 7})
        assert cell.training == training
        assert (cell.shares, cell.control, cell.dataset) == ((0.5,), True, "mnist")


def test_the_command_of_a_cell() -> None:
    assert CELL.command() == (
        "maxprune reproduce table1 --network mfc --fc 8 --seeds 1 --iterations 2 --dataset digits "
        "--no-control"
    )
    cell = Cell("mc", 128, 2, (0.5,), control=False, training=PAPER)
    assert cell.command() == (
        "maxprune reproduce table2 --network mc --fc 128 --seeds 3 --iterations 10000 --paper"
    )


def test_steps_of_before_are_kept_and_do_not_count_as_progress(tmp_path: Path) -> None:
    zeros = replace(CELL, shares=(0.5,))
    control = replace(CELL, control=True)
    for cell, trainings in (
        (zeros, 6),
        (control, 9),
        (zeros, 6),
        (replace(CELL, shares=(0.7,)), 6),
    ):
        heard = []
        run_grid([cell], tmp_path, None, 1, lambda _, done, heard=heard: heard.append(done))
        assert max(heard) == heard[-1] == 2 * trainings
    results = Results.read(tmp_path / CELL.name / "results.json")
    assert [step.name for step in results.steps[4:]] == ["weights 50%", "weights 70%"]
    assert results.control is not None
