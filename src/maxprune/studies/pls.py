"""Filter pruning with Partial Least Squares: the published example, and its authors' ResNet-56.

Jordao et al. 2019, and the README of their code: ResNet-56 on CIFAR-10 loses a tenth of the inner
filters of its blocks in every iteration; the example is a small VGG-like network that loses 5% of
its filters in each of 5 iterations, trained by RMSprop for 10 epochs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from maxprune.compress import Run, compress
from maxprune.compression import Compressed, Compression
from maxprune.compression.fit import Trainer
from maxprune.compression.search import UNPRUNED
from maxprune.data import load
from maxprune.data.download import given
from maxprune.data.images import Dataset
from maxprune.data.order import derive
from maxprune.data.samples import Splits
from maxprune.data.spec import DataOptions, of_dataset
from maxprune.errors import DataError
from maxprune.measure import correct, macs, parameters, percent, randomization_test
from maxprune.modes import best_device
from maxprune.naming import giving
from maxprune.networks import vgg_small
from maxprune.plural import plural
from maxprune.results import Author
from maxprune.runs.identity import of_data, of_network
from maxprune.runs.measured import Measured, measure_step
from maxprune.runs.workspace import Workspace, timed
from maxprune.store.keras import check_h5py, read_keras
from maxprune.surgery import channel_groups
from maxprune.train import Checkpoints, Fitting
from maxprune.train.config import Precision
from maxprune.train.rmsprop import RMSprop

UNPRUNED_MACS = 125_747_840  # of the ResNet-56 that the authors began with
LATER = (4, 8)  # iterations of the authors whose networks ours is compared with
ITERATIONS = (0, *LATER)  # those whose networks are there; 0 is after the first cut
FULL, SHORT = 40.0, 0.25  # epochs of a retraining on CUDA and on a CPU
SHORT_FINAL = 8.0  # more of them on a CPU, for the networks that are compared with the authors'
PUBLISHED_SHARE = 0.1  # of the inner filters, in every iteration
PUBLISHED = {1: (7.09, 0.60), 5: (35.23, 0.90), 8: (52.56, 0.62)}  # MACs gone in %, points gained
FOLDER = "resnet56-pls"
FILTERS = ("conv1_1", "conv1_2", "conv2_1")  # of the example
F = TypeVar("F", bound=Fitting)


@dataclass(frozen=True)
class Example:
    """The example of the published README.

    Args:
        epochs: of the first training and of each retraining.
        iterations: cuts.
        share: of the filters that go in each.
        seed: of weights, order and dropout.
    """

    epochs: float = 10.0
    iterations: int = 5
    share: float = 0.05
    seed: int = 0


def run_example(example: Example, root: Path | None, folder: Path, run: Run) -> Compressed:
    """Conv 16-16, pool, 32-32, pool, fc 512 on CIFAR-10, cut five times.

    Args:
        example: the settings.
        root: folder of cifar10/.
        folder: of the results; what is finished there is not done again.
        run: who is told.
    """
    splits = of_dataset(load("cifar10", root), DataOptions(augment=(), seed=example.seed))
    torch.manual_seed(derive(example.seed, "initial"))
    fitting = _to_the_end(RMSprop.of_passes(example.epochs, splits.train))
    settings = Compression(
        method="pls", layers=FILTERS, share=example.share, iterations=example.iterations,
        epochs=example.epochs, batch=fitting.batch, rate=fitting.rate, seed=example.seed,
    )  # fmt: skip
    run = replace(run, first=fitting)
    return compress(vgg_small(), splits, settings, fit=fitting, folder=folder, run=run)


def _to_the_end(fitting: F) -> F:
    """Every iteration is taken, and the last weights; nothing is judged on the way."""
    return fitting.model_copy(update={"judge_every": 0})


@dataclass(frozen=True)
class ResNet56:
    """Eight more iterations from the authors' first network.

    That is retrained first, as after every cut: what is measured is then what the cuts cost, not
    that the network has never seen these pictures before (a JPEG copy, for example).

    Args:
        epochs: of each retraining.
        rate: its learning rate at the highest.
        iterations: cuts.
        share: of the inner filters that go in each.
        seed: of order and augmentation.
        retrain_authors: give the authors' other networks as many epochs on the same pictures.
        final: epochs of one more retraining for the networks that are compared with the authors':
            short retrainings between the cuts do not heal them.
        final_rate: its learning rate at the highest, for the authors' networks too. Of 0.01 and
            0.05, half an epoch each, the larger was better on validation data (78.9 and 78.6%).
        final_precision: in which it is computed.
        beside: of `LATER`; the authors' other networks are measured as published.
    """

    epochs: float
    rate: float = 0.01
    iterations: int = 8
    share: float = 0.1
    seed: int = 0
    retrain_authors: bool = True
    final: float = 0.0
    final_rate: float = 0.05
    final_precision: Precision = "float32"
    beside: tuple[int, ...] = LATER

    def notes(self) -> list[str]:
        """What a reader has to know: whether the retraining is a short one."""
        if self.epochs >= FULL:
            return []
        numbers = f" in {self.final_precision}" if self.final_precision != "float32" else ""
        final = f", and for {self.final:g} before the comparison{numbers}" if self.final else ""
        return [
            f"Retrained for {plural(self.epochs, 'epoch')} after each cut{final}, which is short: "
            f"the whole study has {FULL:g}."
        ]


def run_resnet56(study: ResNet56, root: Path | None, folder: Path, run: Run) -> Compressed:
    """Our iterations on the authors' network.

    Args:
        study: the settings.
        root: folder of cifar10/ and resnet56-pls/.
        folder: of the results; what is finished there is not done again.
        run: who is told.

    Raises:
        DataError: the networks or the pictures are not there.
    """
    author_files(root)  # before any download
    dataset = load("cifar10", root)
    splits = of_dataset(dataset, DataOptions(augment=("flip", "crop"), seed=study.seed))
    splits = replace(splits, notes=(*splits.notes, *study.notes()))
    network = read_author(0, root, dataset)
    inner = inner_layers(network)
    settings = Compression(
        method="pls", layers=inner, share=study.share, iterations=study.iterations,
        epochs=study.epochs, rate=study.rate, seed=study.seed,
    )  # fmt: skip
    fitting = _fitting(splits, study.epochs, study.rate)
    run = replace(run, first=fitting)
    return compress(network, splits, settings, fitting, folder / "ours", run)


def _fitting(splits: Splits, epochs: float, rate: float) -> Fitting:
    """So many epochs in one."""
    return _to_the_end(Fitting.of_passes(epochs, splits.train, rate=rate))


def inner_layers(network: nn.Module) -> tuple[str, ...]:
    """The convolutions whose filters go nowhere but into the next one: the first of each block."""
    x = torch.zeros(2, 3, 32, 32)
    groups = channel_groups(network, x)
    return tuple(g.name for g in groups if not g.reason and len(g.layers) == 1)


def author_files(root: Path | None) -> dict[int, tuple[Path, Path]]:
    """The files of the authors' networks, layers and weights, by their iteration.

    Raises:
        DataError: some are not there.
        UsageError: the package h5py is not installed.
    """
    check_h5py()
    what = "the authors' networks, iteration0.json, iteration0.h5 and so on"
    folder = given(root, FOLDER, what, public=False)
    if folder is None:
        raise DataError(
            f"the authors' networks are not there: give {giving('root', 'DIR')} or set "
            f"MAXPRUNE_DATA, a folder that has {FOLDER}/ with iteration0.json, iteration0.h5 "
            "and so on"
        )
    found = {i: (folder / f"iteration{i}.json", folder / f"iteration{i}.h5") for i in ITERATIONS}
    missing = [path for files in found.values() for path in files if not path.is_file()]
    if missing:
        raise DataError(f"{missing[0]} is not there; {FOLDER}/ has {what}")
    return found


def read_author(iteration: int, root: Path | None, dataset: Dataset) -> nn.Module:
    """One of the authors' networks; it takes the mean training picture away itself.

    Raises:
        DataError: its files are not there.
    """
    return read_keras(*author_files(root)[iteration], mean_picture(dataset))


def mean_picture(dataset: Dataset) -> Float[Tensor, "channels height width"]:
    """The mean of all training pictures, in [0, 1]."""
    pixels = dataset.train.pixels
    return (pixels.sum(0, dtype=torch.int64).double() / (255 * len(pixels))).float()


def beside_authors(
    study: ResNet56, ours: Compressed, root: Path | None, folder: Path, run: Run
) -> list[Author]:
    """The authors' networks on the same pictures, beside ours of the same size."""
    dataset = load("cifar10", root)
    return [_beside(study, i, ours, dataset, root, folder, run) for i in ITERATIONS]


def _beside(
    study: ResNet56, iteration: int, ours: Compressed, dataset: Dataset, root: Path | None,
    folder: Path, run: Run,
) -> Author:  # fmt: skip
    """One of them."""
    network = read_author(iteration, root, dataset).to(best_device())
    right = correct(network, ours.samples)
    size = macs(network, ours.data.example)
    steps = ours.results.steps
    place = next((i for i, step in enumerate(steps) if step.macs <= size), None)
    match = None if place is None or iteration not in study.beside else steps[place]
    retrained = None
    if iteration == 0:
        retrained = correct(ours.models[UNPRUNED], ours.samples)
    elif match is not None and study.retrain_authors:
        epochs = (steps.index(match) + 2) * study.epochs + study.final
        where = folder / f"authors{iteration}"
        network = _retrained(study, f"authors {iteration}", network, ours.data, epochs, where, run)
        retrained = correct(network, ours.samples)
    found = Author(
        iteration=iteration, parameters=parameters(network), macs=size,
        removed=1 - size / UNPRUNED_MACS, accuracy=percent(right),
        retrained=None if retrained is None else percent(retrained),
        ours=None, ours_macs=None, ours_accuracy=None, p_value=None,
    )  # fmt: skip
    if match is None:
        return found
    mine = ours.models[match.name]
    if study.final:
        name, where = f"ours {iteration}", folder / f"ours{iteration}"
        mine = _retrained(study, name, mine, ours.data, study.final, where, run)
    own = correct(mine, ours.samples)
    other = right if retrained is None else retrained
    return found.model_copy(
        update={
            "ours": match.name, "ours_macs": match.macs, "ours_accuracy": percent(own),
            "p_value": randomization_test(own, other),
            "p_value_as_published": randomization_test(own, right),
        }
    )  # fmt: skip


def _retrained(
    study: ResNet56, name: str, network: nn.Module, data: Splits, epochs: float, folder: Path,
    run: Run,
) -> nn.Module:  # fmt: skip
    """A network after so many more epochs; kept in the folder."""
    fitting = _fitting(data, epochs, study.final_rate if study.final else study.rate)
    fitting = fitting.model_copy(update={"precision": study.final_precision})
    identity = {
        "study": f"pls-resnet56 {name}", "seed": study.seed, "network": of_network(network),
        "data": of_data(data), "training": fitting.model_dump(),
    }  # fmt: skip

    def make(place: Checkpoints | None) -> tuple[nn.Module, Measured]:
        seed = derive(study.seed, name)
        tick = partial(run.report, name)
        trained, curve = Trainer(data, fitting).fit(network, seed, place, tick)
        return trained, measure_step(trained, data.tested, data.example, name, 1, curve)

    with Workspace(folder, identity, resume=True) as space:
        return space.step(name, timed(make))[0].to(best_device())
