"""The pieces of work of the study of face verification, each for a process of its own.

In each fold of View 2 one network is trained from nothing; from it begin the ways of cutting. Every
piece keeps its steps in a folder of its own and leaves what it measured in `result.json` there.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from maxprune.data.images import Images
from maxprune.data.lfw import lfw
from maxprune.data.order import derive
from maxprune.data.pairs import view2
from maxprune.data.samples import Pictures
from maxprune.files import read_json, write_json
from maxprune.modes import best_device
from maxprune.networks import descriptor_network
from maxprune.runs.measured import step_name
from maxprune.runs.workspace import Workspace, place_of, timed
from maxprune.store import load
from maxprune.store.same import CHECKED
from maxprune.store.verifier import save_verifier
from maxprune.studies.faces.people import FoldData, fold_data
from maxprune.studies.faces.steps import BASELINE, Steps, Told, Way
from maxprune.studies.faces.study import FaceStudy
from maxprune.studies.faces.table import face_table
from maxprune.train import Checkpoints
from maxprune.train.config import Precision
from maxprune.train.precision import measured_precision
from maxprune.verification_results import FaceCell, FaceRun, Pictured

FIRST = "first"
RESULT = "result.json"
MARGIN = 128 / 115
"""Of 250 pixels a face is cut out of 128 (`data.lfw`); the box that the Viola-Jones cascade finds
around it has 115, the median of 400 pictures."""


def augmented(images: Images) -> Pictures:
    """Training pictures: mirrored, moved, turned, nearer and farther, in other light, noisy."""
    return Pictures(images, flip=True, crop=4, turn=15, zoom=0.15, light=0.3, noise=0.05)


@functools.lru_cache(maxsize=1)
def prepared(study: FaceStudy, fold: int, root: Path | None) -> FoldData:
    """The faces of a fold of LFW."""
    faces = lfw(root)
    return fold_data(faces, view2(faces, root), fold, study.held, study.least, study.seed)


@dataclass(frozen=True)
class FacePiece:
    """The first network of a fold, or one way of cutting it: work for a process of its own.

    Args:
        study: the settings.
        fold: from 0.
        way: of `WAYS`, or `FIRST`.
        root: folder of lfw/.
        steps: the names of all its networks.
        iterations: of all its trainings.
    """

    study: FaceStudy
    fold: int
    way: str
    root: Path | None
    steps: tuple[str, ...]
    iterations: int

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"fold{self.fold}-{self.way}"

    @property
    def after(self) -> str:
        """The first network stands before all others."""
        return "" if self.way == FIRST else f"fold{self.fold}-{FIRST}"

    def length(self) -> int:
        """The iterations of all its trainings."""
        return self.iterations

    def is_done(self, folder: Path) -> bool:
        """Whether an earlier run measured every step that is asked for."""
        path = folder / RESULT
        if not path.exists():
            return False
        found = FaceRun.model_validate(read_json(path))
        return {step.name for step in found.steps} >= set(self.steps)

    def do(self, folder: Path, report: Callable[[int], None]) -> None:
        """Train and measure every step, and write what was measured."""
        done: dict[str, int] = {}

        def told(step: str, iterations: int, _: int) -> None:
            done[step] = iterations
            report(sum(done.values()))

        model, measured, size = self._first(folder.with_name(f"fold{self.fold}-{FIRST}"), told)
        if self.way == FIRST:
            run = FaceRun(network=FIRST, fold=self.fold, steps=[measured], sizes=[size])
        else:
            done.clear()
            with self._space(folder) as space:
                run = self._steps(space, told).run(model, measured, size)[1]
        write_json(folder / RESULT, run.model_dump(mode="json"))

    def network(self, folder: Path, step: str) -> nn.Module:
        """The network of a step as it was kept, with its output layer.

        Raises:
            StoreError: it is not there, or damaged.
        """
        first = step == BASELINE
        where = folder.with_name(f"fold{self.fold}-{FIRST}") if first else folder
        return load(place_of(where, step))

    def _steps(self, space: Workspace[Pictured], told: Told) -> Steps:
        data = prepared(self.study, self.fold, self.root)
        way = self.study.way(self.way, data.train)
        return Steps(way, data, augmented(data.train), space, told)

    def _space(self, folder: Path) -> Workspace[Pictured]:
        identity: dict[str, Any] = {"study": "faces", "fold": self.fold, "network": self.way}
        data = prepared(self.study, self.fold, self.root)
        identity |= {"data": data.checksum, **self.study.identity()}
        return Workspace(folder, identity, resume=True, wait=True, record=Pictured)

    def _first(self, folder: Path, told: Told) -> tuple[nn.Module, Pictured, int]:
        """The network without maxout, trained or as it was kept."""
        data = prepared(self.study, self.fold, self.root)
        way = Way(FIRST, "", (), self.study.first(data.train), self.study.first(data.train))
        first = replace(self, way=FIRST)

        def make(place: Checkpoints | None) -> tuple[nn.Module, Pictured]:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(derive(self.study.seed, "initial", self.fold))
                model = self.study.network(data.train.classes)
            return steps.trained(model, way.retraining, BASELINE, place)

        with first._space(folder) as space:
            steps = Steps(way, data, augmented(data.train), space, told)
            return space.step(BASELINE, timed(make))


def pieces(study: FaceStudy, root: Path | None) -> list[FacePiece]:
    """Fold by fold the first network, then the ways of cutting it.

    Raises:
        UsageError: the settings cannot work.
        DataError: LFW is not there, or is damaged.
    """
    study.check()
    found = []
    for fold in study.folds:
        images = prepared(study, fold, root).train
        length = study.first(images).iterations
        found.append(FacePiece(study, fold, FIRST, root, (BASELINE,), length))
        for way in (study.way(name, images) for name in study.ways):
            steps = (BASELINE, *way.neuron_steps(), *map(step_name, way.shares))
            found.append(FacePiece(study, fold, way.name, root, steps, way.length()))
    return found


def faster_precision(study: FaceStudy, root: Path | None) -> Precision:
    """In which the first training is faster here, by the clock."""
    images = prepared(study, study.folds[0], root).train
    training = study.first(images)
    model = study.network(images.classes).to(best_device())
    x, y = next(augmented(images).stream(training.batch, 0))
    return measured_precision(model, x, y, training)


def read_table(work: Sequence[FacePiece], folder: Path) -> list[FaceCell]:
    """The table of pieces that are done."""
    runs = [
        FaceRun.model_validate(read_json(folder / piece.name / RESULT))
        for piece in work
        if piece.way != FIRST
    ]
    data = {piece.fold: prepared(piece.study, piece.fold, piece.root) for piece in work}
    return face_table(runs, data)


def write_verifier(
    study: FaceStudy, cell: FaceCell, work: Sequence[FacePiece], folder: Path, out: Path
) -> Path:
    """Write the network of a cell, in the last fold, for `maxprune verify`.

    Args:
        study: the settings.
        cell: which network.
        work: the pieces of the study, all done.
        folder: theirs.
        out: the verifier's folder.
    """
    fold = study.folds[-1]
    piece = next(p for p in work if (p.fold, p.way) == (fold, cell.network))
    run = FaceRun.model_validate(read_json(folder / piece.name / RESULT))
    step = next(step for step in run.steps if step.name == cell.step)
    data = prepared(study, fold, piece.root)
    model = piece.network(folder / piece.name, cell.step)
    return save_verifier(
        descriptor_network(model), out, data.train.pixels[:CHECKED],
        (torch.tensor(step.tested), data.tested.same), (torch.tensor(step.held), data.held.same),
        MARGIN, f"the {len(data.tested)} pairs of fold {fold + 1} of LFW",
        {"network": cell.network, "step": cell.step, "study": "faces"},
    )  # fmt: skip
