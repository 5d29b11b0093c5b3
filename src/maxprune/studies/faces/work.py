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
from pydantic import ValidationError
from torch import nn

from maxprune.data.images import Images
from maxprune.data.lfw import lfw
from maxprune.data.order import derive
from maxprune.data.pairs import view2
from maxprune.data.samples import Pictures
from maxprune.errors import StoreError
from maxprune.files import read_json, write_json
from maxprune.modes import best_device
from maxprune.networks import TaughtCosine
from maxprune.records import first_wrong
from maxprune.runs.measured import step_name
from maxprune.runs.workspace import Workspace, place_of, timed
from maxprune.store import load
from maxprune.studies.faces.people import FoldData, fold_data
from maxprune.studies.faces.steps import BASELINE, Steps, Told
from maxprune.studies.faces.study import FIRST, FaceStudy
from maxprune.studies.faces.table import face_table
from maxprune.studies.faces.teacher import Teacher
from maxprune.train import Checkpoints
from maxprune.train.config import Precision
from maxprune.train.precision import measured_precision
from maxprune.verification_results import FaceCell, FaceRun, Pictured

RESULT = "result.json"
DETAILED = 128  # pixels of a side, where the teacher looks


def augmented(images: Images) -> Pictures:
    """Training pictures: mirrored, moved, turned, nearer, in other light, noisy, erased in part."""
    return Pictures(images, flip=True, crop=6, turn=20, zoom=0.2, light=0.4, noise=0.05, erase=0.5)


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
        return {step.name for step in read_run(folder).steps} >= set(self.steps)

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
            with self.space(folder) as space:
                run = self.work(space, told).run(model, measured, size)[1]
        write_json(folder / RESULT, run.model_dump(mode="json"))

    def network(self, folder: Path, step: str) -> nn.Module:
        """The network of a step as it was kept, with its output layer.

        Raises:
            StoreError: it is not there, or damaged.
        """
        first = step == BASELINE
        where = folder.with_name(f"fold{self.fold}-{FIRST}") if first else folder
        return load(place_of(where, step))

    def data(self) -> FoldData:
        """The faces of its fold."""
        return prepared(self.study, self.fold, self.root)

    def work(self, space: Workspace[Pictured], told: Told) -> Steps:
        """Its steps, to be kept in a space."""
        data = self.data()
        way = self.study.way(self.way, data.train)
        return Steps(way, data, augmented(data.train), space, told)

    def space(self, folder: Path) -> Workspace[Pictured]:
        """A folder for networks of this fold and way of cutting."""
        identity: dict[str, Any] = {"study": "faces", "fold": self.fold, "network": self.way}
        identity |= {"data": self.data().checksum, **self.study.identity()}
        return Workspace(folder, identity, resume=True, wait=True, record=Pictured)

    def initial(self) -> nn.Module:
        """The network before its first training: random weights, and what the teacher says."""
        study, data = self.study, self.data()
        model = study.network(data.train.classes)
        output, count = getattr(model, "output", None), study.directions(data.train.classes)
        if isinstance(output, TaughtCosine):
            pixels = lfw(self.root, DETAILED).pixels[data.places]
            teacher = Teacher(pixels, data.train.labels, count, study.seed)
            output.directions.copy_(teacher.directions)
        return model

    def _first(self, folder: Path, told: Told) -> tuple[nn.Module, Pictured, int]:
        """The network without maxout, trained or as it was kept."""
        first = replace(self, way=FIRST)

        def make(place: Checkpoints | None) -> tuple[nn.Module, Pictured]:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(derive(self.study.seed, "initial", self.fold))
                model = self.initial()
            return steps.trained(model, steps.way.retraining, BASELINE, place)

        with first.space(folder) as space:
            steps = first.work(space, told)
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


def read_table(
    work: Sequence[FacePiece], folder: Path, coded: Sequence[str] = ()
) -> list[FaceCell]:
    """The table of pieces that are done.

    Args:
        work: the pieces.
        folder: of theirs.
        coded: the names of further pieces, whose steps come after those of the same network.
    """
    runs = [read_run(folder / piece.name) for piece in work if piece.way != FIRST]
    more = {(run.network, run.fold): run for run in (read_run(folder / name) for name in coded)}
    runs = [_together(run, more.get((run.network, run.fold))) for run in runs]
    return face_table(runs, {piece.fold: piece.data() for piece in work})


def read_run(folder: Path) -> FaceRun:
    """What a piece measured.

    Raises:
        StoreError: it has not ended, or its file is damaged.
    """
    path = folder / RESULT
    try:
        return FaceRun.model_validate(read_json(path))
    except ValidationError as error:
        raise StoreError(f"{path} is damaged: {first_wrong(error)}") from error


def _together(run: FaceRun, more: FaceRun | None) -> FaceRun:
    """One run of the steps of both."""
    if more is None:
        return run
    steps, sizes = [*run.steps, *more.steps], [*run.sizes, *more.sizes]
    return run.model_copy(update={"steps": steps, "sizes": sizes})
