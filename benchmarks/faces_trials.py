"""The first network of `maxprune reproduce faces` with other settings, by people held out alone.

It is trained on the people of a fold but those who are held out, and its Equal Error Rate on pairs
of these is shown every few epochs: by a discriminant, by the last hidden layer, and that of the
teacher alone. The pairs that the fold tests are never looked at. One thread; half an hour.

    python3 benchmarks/faces_trials.py [--epochs 60] [--dropout 0.5] [--taught 10]
        [--widths 16,32,64,128] [--hidden 512,512] [--held 200] [--fold 10] [--seed 0]
        [--every 10] [--data DIR] [--out FILE]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from shared import show
from torch import Tensor, nn

from maxprune.data.lfw import lfw
from maxprune.measure import pair_distances, roc, verification_distances
from maxprune.networks import Mirrored
from maxprune.runs.environment import environment
from maxprune.studies.faces import FacePiece, FaceStudy, pieces
from maxprune.studies.faces.describing import describer
from maxprune.studies.faces.teacher import Teacher
from maxprune.studies.faces.work import DETAILED, augmented
from maxprune.train import Watch, derive, train

DIMENSIONS = (0, 32, 64, 100)  # of a descriptor


def asked() -> argparse.Namespace:
    """The settings."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default in (("epochs", 60.0), ("dropout", 0.5), ("taught", 10.0), ("every", 10.0)):
        parser.add_argument(f"--{name}", type=float, default=default)
    for name, number in (("held", 200), ("fold", 10), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=number)
    parser.add_argument("--widths", default="16,32,64,128", help="two layers of each")
    parser.add_argument("--hidden", default="512,512")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def study_of(given: argparse.Namespace) -> FaceStudy:
    """The study whose first network is tried."""
    widths, hidden = (
        tuple(int(part) for part in text.split(",")) for text in (given.widths, given.hidden)
    )
    return FaceStudy(
        folds=(given.fold - 1,), ways=(), epochs=given.epochs, held=given.held,
        blocks=tuple((width, width) for width in widths), hidden=hidden, dropout=given.dropout,
        taught=given.taught, seed=given.seed,
    )  # fmt: skip


class Judged:
    """The error rates of people held out, in percent."""

    def __init__(self, piece: FacePiece) -> None:
        self.data, self.seed = piece.data(), piece.study.seed
        data = self.data
        assert data.places is not None  # noqa: S101  (for the type checker)
        used, where = torch.unique(data.held.places, return_inverse=True)
        detailed = lfw(piece.root, DETAILED).pixels
        teacher = Teacher(detailed[data.places], data.train.labels, 100, self.seed)
        self.teacher = self._eer(pair_distances(teacher(detailed[used]), where, "euclidean"))

    def __call__(self, model: nn.Module) -> dict[str, Any]:
        """By descriptors of several dimensions; 0 is the last hidden layer."""
        found = {}
        for count in DIMENSIONS:
            network = Mirrored(describer(model, self.data.train, count, self.seed))
            kind = "euclidean" if count else "hellinger"
            places = self.data.held.places
            found[count] = self._eer(
                verification_distances(network, self.data.pixels, places, kind)
            )
        return {"by dimensions": found, "teacher alone": self.teacher}

    def _eer(self, apart: Float[Tensor, " pairs"]) -> float:
        return 100 * roc(apart, self.data.held.same).eer


def main() -> None:
    """Train, and show what is measured as it goes on."""
    given = asked()
    torch.set_num_threads(1)
    study = study_of(given)
    (piece,) = pieces(study, given.data)
    images = piece.data().train
    judged, model, started = Judged(piece), piece.initial(), time.perf_counter()
    training = study.first(images)
    every = max(1, round(given.every * len(images) / training.batch))
    training = training.model_copy(update={"judge_every": every, "patience": 10**9})
    seen: list[dict[str, Any]] = []

    def judge(network: nn.Module) -> float:
        minutes = (time.perf_counter() - started) / 60
        seen.append({"minutes": minutes, **judged(network)})
        print(seen[-1], flush=True)
        return float(len(seen))  # the last one is kept

    train(
        model,
        augmented(images),
        training,
        derive(study.seed, "trial"),
        watch=Watch(judge=judge),
    )
    about = {name: str(value) for name, value in vars(given).items() if name not in ("data", "out")}
    show({**about, "held": seen, "environment": environment(1)}, given.out)


if __name__ == "__main__":
    main()
