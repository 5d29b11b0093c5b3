"""The study of face verification: its settings, and its pieces of work.

In each fold of View 2 one network is trained from nothing; from it begin the ways of cutting. Every
piece keeps its steps in a folder of its own and leaves what it measured in `run.json` there.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from maxprune.data.images import Images
from maxprune.data.lfw import lfw
from maxprune.data.order import derive
from maxprune.data.pairs import view2
from maxprune.data.samples import Pictures
from maxprune.errors import UsageError
from maxprune.files import read_json, write_json
from maxprune.modes import best_device
from maxprune.networks import descriptor_network, vgg_face_small
from maxprune.runs.workspace import Workspace, place_of, timed
from maxprune.store import load
from maxprune.store.verifier import save_verifier
from maxprune.studies.faces.people import FoldData, fold_data
from maxprune.studies.faces.steps import BASELINE, Steps, Told, Way
from maxprune.studies.faces.table import face_table
from maxprune.studies.published import SHARES
from maxprune.train import Checkpoints, MarginFitting
from maxprune.train.config import Precision
from maxprune.train.precision import measured_precision
from maxprune.verification_results import FaceCell, FaceRun, Pictured

FIRST = "first"
K = 4
BLOCKS = ((16, 16), (32, 32), (64, 64), (128, 128))
WAYS = ("mfc", "mc", "mfc-pls", "mc-pls")
RESULT = "result.json"
MARGIN = 128 / 115
"""Of 250 pixels a face is cut out of 128 (`data.lfw`); the box that the Viola-Jones cascade finds
around it has 115, the median of 400 pictures."""

SHOWN = 16  # faces by which an ONNX file is checked


@dataclass(frozen=True)
class FaceStudy:
    """The settings.

    Args:
        folds: which are tested, from 0.
        ways: of `WAYS`.
        epochs: of the first training.
        retraining: epochs with the maxout and after each cut of neurons.
        sparse: epochs after each share of weights.
        shares: of weights.
        held: people held out.
        least: pictures that a person must have to be trained on.
        blocks: the filters of the network's convolutions, block by block.
        hidden: neurons of its hidden layers.
        dropout: share of the last maps that is dropped in the first training.
        seed: of weights, order, augmentation, people held out.
        precision: in which every training is computed.
    """

    folds: tuple[int, ...]
    ways: tuple[str, ...] = WAYS
    epochs: float = 60.0
    retraining: float = 8.0
    sparse: float = 2.0
    shares: tuple[float, ...] = SHARES
    held: int = 150
    least: int = 2
    blocks: tuple[tuple[int, ...], ...] = BLOCKS
    hidden: tuple[int, ...] = (512, 512)
    dropout: float = 0.5
    seed: int = 0
    precision: Precision = "float32"

    def with_precision(self, precision: Precision) -> FaceStudy:
        """The same, computed in another precision."""
        return replace(self, precision=precision)

    def notes(self) -> list[str]:
        """What a reader has to know."""
        count = len(self.folds)
        which = ", ".join(str(fold + 1) for fold in self.folds)
        return [
            f"Fold{'s' if count != 1 else ''} {which} of 10; each network was trained for "
            f"{self.epochs:g} epochs, {self.retraining:g} after each cut of neurons, "
            f"{self.sparse:g} after each share of weights, in {self.precision}; one seed "
            f"({self.seed}). Parameters are those of the network that gives descriptors."
        ]

    def check(self) -> None:
        """Refuse what cannot work, before anything is read.

        Raises:
            UsageError: no fold, an unknown way, or a number out of its range.
        """
        if not self.folds or len(set(self.folds)) < len(self.folds):
            raise UsageError(f"name folds, each once, not {list(self.folds)}")
        unknown = [way for way in self.ways if way not in WAYS]
        if unknown:
            raise UsageError(f"a network is one of {', '.join(WAYS)}, not {unknown[0]!r}")
        if any(not 0 < share < 1 for share in self.shares):
            raise UsageError(f"shares of weights lie between 0 and 1, not {self.shares}")
        if list(self.shares) != sorted(set(self.shares)):
            raise UsageError(f"shares of weights must grow, not {self.shares}")
        if min(self.epochs, self.retraining, self.sparse) <= 0:
            raise UsageError("every training takes more than 0 epochs")

    def first(self, images: Images) -> MarginFitting:
        """The training of the network without maxout."""
        return self._fitting(images, self.epochs, 0.1)

    def way(self, name: str, images: Images) -> Way:
        """One way of cutting; weights go after neurons have gone by wins."""
        layer, tuned = self._place(name.partition("-")[0])
        shares = () if name.endswith("-pls") else self.shares
        return Way(
            name=name, layer=layer, tuned=tuned, shares=shares, k=K, seed=self.seed,
            retraining=self._fitting(images, self.retraining, 0.03),
            sparse=self._fitting(images, self.sparse, 0.03),
        )  # fmt: skip

    def _place(self, name: str) -> tuple[str, tuple[str, ...]]:
        """Behind which layer the maxout stands, and what is fine-tuned then (section 5.2).

        That is the fully connected layers, and for MC the last block too.
        """
        hidden = [f"fc{i}{part}" for i in range(1, len(self.hidden) + 1) for part in ("", "_norm")]
        head = (*hidden, "output")
        if name == "mfc":
            return "fc1", head
        last, count = len(self.blocks), len(self.blocks[-1])
        convolutions = [
            f"{part}{last}_{j}" for j in range(1, count + 1) for part in ("conv", "norm")
        ]
        return f"conv{last}_{count}", (*convolutions, *head)

    def network(self, identities: int) -> nn.Module:
        """The network before its first training, with random weights."""
        return vgg_face_small(
            blocks=[list(block) for block in self.blocks], hidden=list(self.hidden),
            identities=identities, dropout=self.dropout,
        )  # fmt: skip

    def _fitting(self, images: Images, epochs: float, rate: float) -> MarginFitting:
        """So many epochs, to their end."""
        fitting = MarginFitting.of_epochs(epochs, len(images), rate=rate, batch=64, clip=5.0)
        return fitting.model_copy(update={"judge_every": 0, "precision": self.precision})

    def networks(self, way: str) -> int:
        """How many networks a way has, with the one that it begins with."""
        if way == FIRST:
            return 1
        return 1 + (K - 1 if way.endswith("-pls") else K + len(self.shares))

    def identity(self) -> dict[str, Any]:
        """What makes a fold's steps these steps, as JSON; folds, ways and shares may be added."""
        about = json.loads(json.dumps(asdict(self)))
        return {n: v for n, v in about.items() if n not in ("folds", "ways", "shares")}


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
    """The first network of a fold, or one way of cutting it: work for a process of its own."""

    study: FaceStudy
    fold: int
    way: str
    root: Path | None
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
        return len(found.steps) >= self.study.networks(self.way)

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
        identity |= self.study.identity()
        return Workspace(folder, identity, resume=True, wait=True, record=Pictured)

    def _first(self, folder: Path, told: Told) -> tuple[nn.Module, Pictured, int]:
        """The network without maxout, trained or as it was kept."""
        data = prepared(self.study, self.fold, self.root)
        way = Way(FIRST, "", (), self.study.first(data.train), self.study.first(data.train))
        first = FacePiece(self.study, self.fold, FIRST, self.root, 0)

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
        lengths = {FIRST: study.first(images).iterations}
        lengths |= {name: study.way(name, images).length() for name in study.ways}
        found += [FacePiece(study, fold, name, root, n) for name, n in lengths.items()]
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
        descriptor_network(model), out, data.train.pixels[:SHOWN],
        (torch.tensor(step.tested), data.tested.same), (torch.tensor(step.held), data.held.same),
        MARGIN, f"the {len(data.tested)} pairs of fold {fold + 1} of LFW",
        {"network": cell.network, "step": cell.step, "study": "faces"},
    )  # fmt: skip
