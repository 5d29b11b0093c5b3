"""Tables 3 and 4 as the paper has them: VGG16 with its published weights, on somebody's faces.

Moya Rueda, Grzeszick, Fink 2017, section 5.2. The last three layers are fine-tuned, for MC the
last block of convolutions too, by stochastic gradient descent at the rates 1e-2, 1e-3 and 1e-4 in
batches of 128, on pictures of people who are not in LFW; LFW, View 2, is what is tested: all ten
folds at once, as nobody in them is trained on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from maxprune.data.folder import Folder, read_folder
from maxprune.data.images import Images
from maxprune.data.lfw import lfw
from maxprune.data.order import derive
from maxprune.data.pairs import Pairs, view2
from maxprune.data.samples import Pictures
from maxprune.errors import DataError, UsageError
from maxprune.lineage import lineage, remember
from maxprune.networks.initial import xavier_uniform
from maxprune.networks.weighted import weighted_layers
from maxprune.runs.identity import of_network
from maxprune.runs.workspace import Workspace, timed
from maxprune.store import read_vgg_face
from maxprune.studies.faces.people import FoldData, pairs_of
from maxprune.studies.faces.steps import BASELINE, Steps, Told, Way
from maxprune.train import Checkpoints
from maxprune.train.rates import SteppedRates
from maxprune.verification_results import FaceRun, Pictured

K = 4
BATCH = 128
CROP = 224  # of LFW's 250 pixels: the middle, as the paper takes it


@dataclass(frozen=True)
class Vgg16Study:
    """The settings.

    Args:
        weights: the file of VGG-Face.
        pictures: a folder with train/PERSON/*.jpg, people who are not in LFW.
        network: "mfc" or "mc".
        epochs: with the maxout and after each cut of neurons, a third at each rate.
        weight_epochs: after each share of weights.
        shares: of weights, growing.
        held: people held out of the training.
        seed: of order, people held out.
    """

    weights: Path
    pictures: Path
    network: str
    epochs: float = 3.0
    weight_epochs: float = 1.0
    shares: tuple[float, ...] = ()
    held: int = 150
    seed: int = 0

    def way(self, model: nn.Module, images: Images) -> Way:
        """How this network is cut: behind its largest layer, or its last convolution."""
        names = list(weighted_layers(model))
        linear = [n for n in names if isinstance(model.get_submodule(n), nn.Linear)]
        block = [n for n in names if n.startswith(f"conv{len(_blocks(names))}_")]
        mfc = self.network == "mfc"
        return Way(
            name=self.network, layer=linear[0] if mfc else block[-1],
            tuned=tuple(linear if mfc else [*block, *linear]), shares=self.shares, k=K,
            retraining=_stepped(images, self.epochs), sparse=_stepped(images, self.weight_epochs),
            seed=self.seed, whole=True,
        )  # fmt: skip

    def identity(self, model: nn.Module, data: FoldData) -> dict[str, Any]:
        """What makes its steps these steps; the shares of weights may come later."""
        return {
            "study": "vgg16", "name": self.network, "epochs": self.epochs,
            "weight_epochs": self.weight_epochs, "held": self.held, "seed": self.seed,
            "network": of_network(model), "data": data.checksum,
        }  # fmt: skip


def _blocks(names: list[str]) -> set[str]:
    """The blocks of convolutions: 5 of conv1_1 to conv5_3."""
    return {name.partition("_")[0] for name in names if name.startswith("conv")}


def _stepped(images: Images, epochs: float) -> SteppedRates:
    if not epochs > 0:
        raise UsageError(f"a training has more than 0 epochs, not {epochs:g}")
    batch = min(BATCH, len(images))
    return SteppedRates(iterations=max(1, round(epochs * (len(images) // batch))), batch=batch)


def run_vgg16(
    study: Vgg16Study, root: Path | None, folder: Path, told: Told,
    reading: Callable[[int, int], object] | None = None,
) -> tuple[FaceRun, FoldData, list[str]]:  # fmt: skip
    """All steps of one network.

    Args:
        study: the settings.
        root: folder of lfw/.
        folder: of the steps; what is finished there is not done again.
        told: called with a step's name and its iterations done.
        reading: called as pictures are read.

    Returns:
        What was measured, on which pairs, and what has to be known of it.

    Raises:
        StoreError: the weights cannot be read.
        DataError: pictures or LFW are missing, or somebody in LFW is trained on.
        UsageError: a setting is out of its range.
    """
    if study.network not in ("mfc", "mc"):
        raise UsageError(f"a network is mfc or mc, not {study.network!r}")
    converted = read_vgg_face(study.weights)
    model = converted.model
    data, notes = _data(study, _size(model), root, reading)
    model = _with_outputs(model, data.train.classes, study.seed, notes)
    way = study.way(model, data.train)
    notes.append(f"Weights: {study.weights.name}, {converted.about['format']}.")
    identity = study.identity(model, data)
    with Workspace(folder, identity, resume=True, wait=True, record=Pictured) as space:
        steps = Steps(way, data, Pictures(data.train, flip=True), space, told)

        def make(place: Checkpoints | None) -> tuple[nn.Module, Pictured]:
            return model, steps.measured(model, BASELINE)

        first = space.step(BASELINE, timed(make))
        return steps.run(*first)[1], data, notes


def _size(model: nn.Module) -> int:
    """Height and width of the pictures that the network takes, from its factory's arguments."""
    return int(lineage(model).arguments.get("size", CROP))


def _data(
    study: Vgg16Study, size: int, root: Path | None,
    reading: Callable[[int, int], object] | None,
) -> tuple[FoldData, list[str]]:  # fmt: skip
    """The training pictures, LFW's pairs, and pairs of people who are held out of the training."""
    faces = lfw(root, size=size, crop=CROP, channels=3)
    tested = view2(faces, root)
    given = read_folder(study.pictures, (3, size, size), tick=reading)
    known = sorted(set(given.classes) & set(faces.people))
    if known:
        raise DataError(
            f"{known[0]} is in {study.pictures} and in LFW, which is tested ({len(known)} people "
            "are in both); leave them out"
        )
    train, pixels, held = _held_out(study, given)
    places = tested.places.unique()
    where = torch.searchsorted(places, tested.places)
    moved = Pairs(held.places + len(places), held.same, held.fold)
    pairs = Pairs(where, tested.same, torch.zeros_like(tested.fold))
    both = torch.cat([faces.pixels[places], pixels])
    notes = [f"Trained on {len(train):,} pictures of {train.classes:,} people of {given.name}."]
    return FoldData(both, train, pairs, moved), notes


def _held_out(study: Vgg16Study, given: Folder[Images]) -> tuple[Images, torch.Tensor, Pairs]:
    """The pictures to train on, those of people held out, and pairs of these."""
    generator = torch.Generator().manual_seed(derive(study.seed, "held out"))
    counts = torch.bincount(given.train.labels, minlength=given.train.classes)
    several = torch.nonzero(counts >= 2).flatten()
    if study.held < 2 or len(several) < study.held + 2:
        raise DataError(
            f"{study.pictures} has {len(several)} people with two pictures; of them {study.held} "
            "are to be held out (--held), at least 2 of both are needed"
        )
    out = several[torch.randperm(len(several), generator=generator)[: study.held]]
    held = torch.isin(given.train.labels, out)
    people, labels = torch.unique(given.train.labels[~held], return_inverse=True)
    train = Images(given.train.pixels[~held], labels, len(people))
    pixels, person = given.train.pixels[held], given.train.labels[held]
    return train, pixels, pairs_of(person, out.sort().values, generator)


def _with_outputs(model: nn.Module, people: int, seed: int, notes: list[str]) -> nn.Module:
    """The network with an output for each person: a new last layer, with random weights."""
    name, last = list(weighted_layers(model).items())[-1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "output"))
        output = nn.Linear(last.weight.shape[1], people).apply(xavier_uniform)
    origin = lineage(model)
    setattr(model, name, output)
    notes.append(f"{name} is new: {people:,} outputs in place of {last.weight.shape[0]:,}.")
    return remember(model, replace(origin, arguments={**origin.arguments, "identities": people}))
