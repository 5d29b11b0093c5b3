"""The study of small networks, seed by seed, and its figures over the seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maxprune.data import load
from maxprune.data.samples import Splits
from maxprune.data.spec import DataOptions, of_dataset
from maxprune.files import read_json, write_json
from maxprune.measure import randomization_test
from maxprune.runs.workspace import Workspace
from maxprune.studies.squeezed.recipe import ANEW, FINAL, TAUGHT, Recipe, steps
from maxprune.studies.squeezed.records import Squeezed, SqueezedCell
from maxprune.studies.squeezed.work import Work
from maxprune.train import Fitting

RECORDS = "records.json"
AUGMENT = ("crop", "turn", "zoom")
SHIFT = 1  # pixel by which a picture is shifted at most: by 2 or 3 small networks learn less


@dataclass(frozen=True)
class SqueezedRun:
    """One seed, with or without augmentation, a piece of work for a process of its own."""

    seed: int
    recipe: Recipe
    augmented: bool = True
    dataset: str = "mnist"
    root: Path | None = None

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"seed{self.seed}" if self.augmented else f"seed{self.seed}-plain"

    @property
    def after(self) -> str:
        """It waits for no other."""
        return ""

    def data(self) -> Splits:
        """What it is trained, chosen and tested on."""
        augment = AUGMENT if self.augmented else ()
        options = DataOptions(augment=augment, shift=SHIFT, seed=self.seed)
        return of_dataset(load(self.dataset, self.root), options)

    def length(self) -> int:
        """The iterations of all trainings."""
        each = self.data().train.iterations(Fitting().batch)
        return round(self.recipe.all_epochs() * each)

    def is_done(self, folder: Path) -> bool:
        """Whether all of it was measured by this recipe."""
        if not (folder / RECORDS).exists():
            return False
        return set(steps(self.recipe)) <= {one.name for one in self.read(folder)}

    def do(self, folder: Path, report: Callable[[int], None]) -> None:
        """Cut, train, zero, code, and write what was measured."""
        with Workspace(folder, self.identity(), resume=True, wait=True, record=Squeezed) as space:
            found = Work(self.recipe, self.seed, self.data(), space, report).run()
        write_json(folder / RECORDS, [one.model_dump(mode="json") for one in found])

    def identity(self) -> dict[str, Any]:
        """What makes this run this run; more sizes, zeros or bits go on with the same folder."""
        recipe = self.recipe.model_dump(mode="json", exclude={"sizes", "zeros", "bits", "beside"})
        return {
            "study": "squeeze", "dataset": self.dataset, "seed": self.seed,
            "augmented": self.augmented, "recipe": recipe,
        }  # fmt: skip

    def read(self, folder: Path) -> list[Squeezed]:
        """What was measured."""
        return [Squeezed.model_validate(one) for one in read_json(folder / RECORDS)]


def cells(runs: Sequence[SqueezedRun], folder: Path) -> list[SqueezedCell]:
    """Every network of the recipe, over the seeds, with augmentation and without."""
    found: list[SqueezedCell] = []
    for augmented in (True, False):
        some = [run for run in runs if run.augmented == augmented]
        if some:
            read = [{one.name: one for one in run.read(folder / run.name)} for run in some]
            samples = len(some[0].data().tested)
            found += [_cell(name, some, read, samples) for name in steps(some[0].recipe)]
    return found


def _cell(
    name: str, runs: Sequence[SqueezedRun], read: Sequence[dict[str, Squeezed]], samples: int
) -> SqueezedCell:
    own = [found[name] for found in read]
    first = own[0]
    beside = f"{first.size} {ANEW}"
    pairs = []
    if first.way in (FINAL, TAUGHT) and beside in read[0]:
        pairs = [(found[name], found[beside]) for found in read]
    return SqueezedCell(
        way=first.way, size=first.size, augmented=runs[0].augmented,
        seeds=[run.seed for run in runs], parameters=[one.parameters for one in own],
        nonzero=[one.nonzero for one in own], bytes=[one.bytes or 0 for one in own],
        zero=first.zero, bits=first.bits, epochs=first.epochs, held=[one.held for one in own],
        accuracies=[one.accuracy for one in own],
        p_values=[randomization_test(a.right(samples), b.right(samples)) for a, b in pairs],
    )  # fmt: skip
