"""The cells of the paper's tables, many side by side."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from maxprune.compression.coding import coded_name
from maxprune.results import Results
from maxprune.runs.measured import step_name
from maxprune.runs.parallel import run_all
from maxprune.studies.lenet import Cell, run_cell
from maxprune.studies.pipeline import CONTROL

Heard = Callable[[Cell, int], None]
"""Called with a cell and the training iterations it has done so far."""

RESULTS = "results.json"
WEIGHTS = re.compile(r"(weights )?(?P<percent>[\d.]+)%(, (?P<bits>\d+) bits?)?")
"""The steps that zero weights, and those that code the network then."""


@dataclass(frozen=True)
class Filling:
    """The work of filling one cell, with the datasets in a folder."""

    cell: Cell
    root: Path | None

    @property
    def name(self) -> str:
        """The cell's."""
        return self.cell.name

    @property
    def after(self) -> str:
        """It waits for no other."""
        return ""

    def length(self) -> int:
        """The iterations of all its trainings."""
        return self.cell.recipe().trainings() * self.cell.training.iterations

    def is_done(self, folder: Path) -> bool:
        """Whether the cell's results file has every step that is asked for."""
        path = folder / RESULTS
        if not path.exists():
            return False
        found = Results.read(path)
        names = {step.name for step in found.steps}
        wanted = {step_name(share) for share in self.cell.shares}
        wanted |= {coded_name(bits, step_name(share)) for share, bits in self.cell.coded}
        return wanted <= names and (found.control is not None or not self.cell.control)

    def do(self, folder: Path, report: Callable[[int], None]) -> None:
        """Fill the cell and write its results file."""
        done: dict[str, int] = {}

        def told(step: str, iterations: int, _: int) -> None:
            if _asked(self.cell, step):
                done[step] = iterations
            report(sum(done.values()))

        results = run_cell(_with_earlier(self.cell, folder), folder, self.root, told)
        results.write(folder / RESULTS)


def run_grid(
    cells: Sequence[Cell], folder: Path, root: Path | None, jobs: int, heard: Heard
) -> list[Results]:
    """Fill all cells, `jobs` at a time; those filled before are read.

    Args:
        cells: which, in the order they are begun.
        folder: each cell has its own folder in it.
        root: where the datasets lie.
        jobs: processes side by side.
        heard: told how far each cell is.

    Returns:
        The cells' results, in their order.

    Raises:
        MaxpruneError: a cell failed or its process died; the others are stopped, and every
            finished step and the last checkpoints are kept.
    """
    fillings = [Filling(cell, root) for cell in cells]
    run_all(fillings, folder, jobs, lambda filling, done: heard(filling.cell, done))
    return [Results.read(folder / cell.name / RESULTS) for cell in cells]


def _asked(cell: Cell, step: str) -> bool:
    """Whether a step is the cell's own, not one that its results file had before."""
    if WEIGHTS.fullmatch(step):
        asked = {step_name(share) for share in cell.shares}
        return step in asked | {coded_name(bits, step_name(share)) for share, bits in cell.coded}
    return cell.control or not step.startswith(f"{CONTROL} ")


def _with_earlier(cell: Cell, folder: Path) -> Cell:
    """The cell with the steps that its results file has already, so that none is lost."""
    if not (folder / RESULTS).exists():
        return cell
    found = Results.read(folder / RESULTS)
    shares, coded = set(cell.shares), set(cell.coded)
    for match in filter(None, (WEIGHTS.fullmatch(step.name) for step in found.steps)):
        share = round(float(match["percent"]) / 100, 6)
        shares.add(share)
        coded |= {(share, int(match["bits"]))} if match["bits"] else set()
    return replace(
        cell, shares=tuple(sorted(shares)), coded=tuple(sorted(coded)),
        control=cell.control or found.control is not None,
    )  # fmt: skip
