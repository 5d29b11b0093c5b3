"""The network to take away, with few values for its weights, in every fold.

What the table chooses is coded last (Han, Mao, Dally 2015): which network that is, is known when
all folds are done.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from maxprune.compression.coding import coded_name
from maxprune.files import write_json
from maxprune.networks import Mirrored
from maxprune.runs.workspace import place_of
from maxprune.store import load
from maxprune.store.same import CHECKED
from maxprune.store.verifier import save_verifier
from maxprune.studies.faces.work import RESULT, FacePiece, read_run
from maxprune.verification_results import FaceCell

MARGIN = 128 / 115
"""Of 250 pixels a face is cut out of 128 (`data.lfw`); the box that the Viola-Jones cascade finds
around it has 115, the median of 400 pictures."""


@dataclass(frozen=True)
class CodingPiece:
    """The coding of a network of one fold: work for a process of its own.

    Args:
        cut: the way of cutting, done.
        step: of it, whose network is coded.
    """

    cut: FacePiece
    step: str

    after = ""  # what it comes after is done

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.cut.name}-coded"

    @property
    def fold(self) -> int:
        """From 0."""
        return self.cut.fold

    def length(self) -> int:
        """The iterations of its training."""
        return self.cut.study.coding(self.cut.data().train).iterations

    def is_done(self, folder: Path) -> bool:
        """Whether an earlier run coded the network of this step."""
        name = coded_name(self.cut.study.bits, self.step)
        return (folder / RESULT).exists() and read_run(folder).steps[0].name == name

    def do(self, folder: Path, report: Callable[[int], None]) -> None:
        """Code and measure it, and write what was measured."""
        study = self.cut.study
        model = self.cut.network(folder.with_name(self.cut.name), self.step)
        with self.cut.space(folder) as space:
            steps = self.cut.work(space, lambda _step, done, _all: report(done))
            training = study.coding(self.cut.data().train)
            run = steps.coded(model, self.step, training, study.bits)
        write_json(folder / RESULT, run.model_dump(mode="json"))

    def write_verifier(self, folder: Path, out: Path) -> Path:
        """Write the coded network for `maxprune verify`.

        Args:
            folder: its own, done.
            out: the verifier's folder.
        """
        study, data = self.cut.study, self.cut.data()
        step = read_run(folder).steps[0]
        network = load(place_of(folder, step.name))
        network = Mirrored(network) if study.mirrored else network
        tested = torch.tensor(step.tested), data.tested.same
        held = torch.tensor(step.held), data.held.same
        return save_verifier(
            network, out, data.train.pixels[:CHECKED], tested, held, MARGIN,
            f"the {len(data.tested)} pairs of fold {self.fold + 1} of LFW",
            {"network": self.cut.way, "step": step.name, "study": "faces"}, study.distance,
        )  # fmt: skip


def coding_pieces(work: Sequence[FacePiece], cell: FaceCell) -> list[CodingPiece]:
    """The coding of the network of a cell, fold by fold."""
    return [CodingPiece(piece, cell.step) for piece in work if piece.way == cell.network]
