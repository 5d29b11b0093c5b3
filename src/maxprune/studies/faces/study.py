"""The settings of the study of face verification."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, TypeVar

from torch import nn

from maxprune.data.images import Images
from maxprune.errors import UsageError
from maxprune.networks import vgg_face_small
from maxprune.studies.faces.steps import Way
from maxprune.studies.published import SHARES
from maxprune.train import MarginAdam, MarginFitting
from maxprune.train.config import Precision

K = 4
BATCH = 64
DIRECTIONS = 100  # of the teacher's space
BLOCKS = ((16, 16), (32, 32), (64, 64), (128, 128))
FIRST = "first"
"""The network of a fold that is not cut yet."""

WAYS = {"mfc": False, "mc": False, "mfc-pls": True, "mc-pls": True}
"""The ways of cutting, and whether neurons go by PLS-VIP in the place of wins."""

DISTANCE = {"bray-curtis": "Bray-Curtis", "euclidean": "Euclidean"}
TEACHER = (
    "The networks are taught, beside who is who, where the people who are trained on lie by local "
    "binary patterns and oriented gradients of the same pictures."
)

DISCRIMINANT = (
    "A descriptor is what a linear discriminant of {} dimensions, fitted to the training pictures "
    "in closed form, makes of the first hidden layer and of the last maps but one. It belongs to "
    "the network, and has as large a share of zeros."
)

F = TypeVar("F", bound=MarginFitting)


@dataclass(frozen=True)
class FaceStudy:
    """The settings.

    Args:
        folds: which are tested, from 0.
        ways: of `WAYS`.
        epochs: of the first training.
        retrain_epochs: with the maxout and after each cut of neurons.
        weight_epochs: after each share of weights.
        shares: of weights.
        held: people held out.
        least: pictures that a person must have to be trained on.
        blocks: the filters of the network's convolutions, block by block.
        hidden: neurons of its hidden layers.
        dropout: share of the last maps that is dropped in the first training.
        taught: how much the distance counts from what the teacher says (`studies.faces.teacher`,
            `MarginFitting.taught`); 0 for no teacher.
        dimensions: of a descriptor, which a discriminant gives (`networks.discriminant`); 0 for the
            last hidden layer's activations.
        mirrored: the descriptor is the mean over a face and its mirror image.
        bits: of the values that weights share in the network to take away.
        seed: of weights, order, augmentation, people held out.
        precision: in which every training is computed.
    """

    folds: tuple[int, ...]
    ways: tuple[str, ...] = tuple(WAYS)
    epochs: float = 60.0
    retrain_epochs: float = 8.0
    weight_epochs: float = 2.0
    shares: tuple[float, ...] = SHARES
    held: int = 150
    least: int = 2
    blocks: tuple[tuple[int, ...], ...] = BLOCKS
    hidden: tuple[int, ...] = (512, 512)
    dropout: float = 0.5
    taught: float = 10.0
    dimensions: int = 64
    mirrored: bool = True
    bits: int = 5
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
            f"{self.epochs:g} epochs, {self.retrain_epochs:g} after each cut of neurons, "
            f"{self.weight_epochs:g} after each share of weights, in {self.precision}; one seed "
            f"({self.seed}). Parameters are those of the network that gives descriptors.",
            f"Descriptors are compared by the {DISTANCE[self.distance]} distance"
            + (", each the mean over a face and its mirror image." if self.mirrored else "."),
            *([DISCRIMINANT.format(self.dimensions)] if self.dimensions else []),
            *([TEACHER] if self.taught else []),
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
        if self.dimensions < 0:
            raise UsageError(f"a descriptor has 0 dimensions or more, not {self.dimensions}")
        if self.dimensions and len(self.hidden) < 2:
            raise UsageError("a discriminant reads the first of several hidden layers")
        if not 0 <= self.taught < math.inf:
            raise UsageError(f"taught is a finite number from 0, not {self.taught}")
        if min(self.epochs, self.retrain_epochs, self.weight_epochs) <= 0:
            raise UsageError("every training takes more than 0 epochs")

    def first(self, images: Images) -> MarginFitting:
        """The training of the network without maxout."""
        return self._fitting(images, self.epochs, 0.1)

    def way(self, name: str, images: Images) -> Way:
        """One way of cutting; weights go after neurons have gone by wins. `FIRST` cuts nothing."""
        first, by_pls = name == FIRST, WAYS.get(name, False)
        layer, tuned = ("", ()) if first else self._place(name.partition("-")[0])
        retraining = self._fitting(images, self.retrain_epochs, 0.03)
        return Way(
            name=name, layer=layer, tuned=tuned, shares=() if by_pls else self.shares, k=K,
            seed=self.seed, by_pls=by_pls, retraining=self.first(images) if first else retraining,
            sparse=self._fitting(images, self.weight_epochs, 0.03), distance=self.distance,
            mirrored=self.mirrored, dimensions=min(self.dimensions, images.classes - 1),
        )  # fmt: skip

    @property
    def distance(self) -> Literal["bray-curtis", "euclidean"]:
        """Of two descriptors; the paper takes Bray-Curtis."""
        return "euclidean" if self.dimensions else "bray-curtis"

    def coding(self, images: Images) -> MarginAdam:
        """The training of values that weights share; nothing rises, all is trained already."""
        return self._to_the_end(
            MarginAdam.of_epochs(
                self.weight_epochs, len(images), batch=BATCH, margin_rise=0.0, taught=self.taught
            )
        )

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
            identities=identities, dropout=self.dropout, taught=self.directions(identities),
        )  # fmt: skip

    def directions(self, identities: int) -> int:
        """Dimensions of the teacher's space; 0 where there is none."""
        return min(DIRECTIONS, identities - 1) if self.taught else 0

    def _fitting(self, images: Images, epochs: float, rate: float) -> MarginFitting:
        """So many epochs, to their end."""
        return self._to_the_end(
            MarginFitting.of_epochs(
                epochs, len(images), rate=rate, batch=BATCH, clip=5.0, taught=self.taught
            )
        )

    def _to_the_end(self, fitting: F) -> F:
        """Never judged, so that nobody's pictures stop it."""
        return fitting.model_copy(update={"judge_every": 0, "precision": self.precision})

    def identity(self) -> dict[str, Any]:
        """What makes a fold's steps these steps, as JSON; folds and ways may be added."""
        about = json.loads(json.dumps(asdict(self)))
        return {n: v for n, v in about.items() if n not in ("folds", "ways")}
