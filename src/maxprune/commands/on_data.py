"""The options of a command that trains a network on data, whatever it does with it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from maxprune.commands.shared import Factory, Heads, Network, Skip, Weights, names, numbers, shape
from maxprune.errors import UsageError

if TYPE_CHECKING:
    from torch import nn

    from maxprune.compression.fit import Fit
    from maxprune.data.samples import Splits
    from maxprune.data.spec import DataOptions

TRAIN_EPOCHS = 30.0


@dataclass(frozen=True, kw_only=True)
class Tested:
    """The network, and how the data are read that it is tested on."""

    network: Network
    weights: Weights = None
    factory: Factory = None
    input_shape: Annotated[
        str | None,
        typer.Option("--input", help="Bring the pictures of a folder to this shape: 3,64,64."),
    ] = None
    mean: Annotated[
        str | None, typer.Option(help="Taken from each channel: 0.485,0.456,0.406.")
    ] = None
    std: Annotated[
        str | None, typer.Option(help="Each channel is divided by it: 0.229,0.224,0.225.")
    ] = None
    unreadable: Annotated[
        str,
        typer.Option(
            help="At a picture that cannot be read: stop, or skip it and count (with --stream all "
            "are decoded once at the start, to know which)."
        ),
    ] = "stop"
    data_root: Annotated[
        Path | None, typer.Option(help="Folder of mnist/ and cifar10/ (else MAXPRUNE_DATA).")
    ] = None
    stream: Annotated[
        bool | None,
        typer.Option(
            "--stream/--no-stream",
            help="Leave the pictures of a folder or of tar shards on disk and decode them as they "
            "are needed, in place of reading all into memory. It is done, and said, where they "
            "would take more than half of the free memory; the results are the same.",
            show_default=False,
        ),
    ] = None
    workers: Annotated[
        int, typer.Option(min=0, help="Threads that decode them then; 0: one a core.")
    ] = 0

    def data_options(self, seed: int = 0) -> DataOptions:
        """How the data are read; the seed is that of the split."""
        from maxprune.data.spec import DataOptions

        if self.unreadable not in ("stop", "skip"):
            raise UsageError(f"--unreadable is stop or skip, not {self.unreadable!r}")
        return DataOptions(
            size=shape(self.input_shape) if self.input_shape else None,
            mean=numbers("mean", self.mean), std=numbers("std", self.std),
            unreadable="skip" if self.unreadable == "skip" else "stop",
            root=self.data_root, seed=seed, workers=self.workers,
            stream="auto" if self.stream is None else "yes" if self.stream else "no",
        )  # fmt: skip

    def opened_on(self, data: str, seed: int = 0, graph: bool = False) -> tuple[nn.Module, Splits]:
        """The network and the data.

        Args:
            data: which, as --data names them.
            seed: of random weights and of the split.
            graph: whether a saved model's graph will do, for a network that is not cut.

        Raises:
            UsageError: there is no such thing, or the network does not take --input.
        """
        from maxprune.data.order import sow
        from maxprune.data.spec import open_data
        from maxprune.store.source import open_network
        from maxprune.train.fits import check_fits

        sow(seed)
        network = open_network(self.network, self.weights, self.factory, graph)
        splits = open_data(data, self.data_options(seed))
        if self.input_shape is not None:
            try:
                check_fits(network, splits.train)
            except UsageError as error:
                raise UsageError(f"{error} (they have the shape that --input names)") from error
        return network, splits

    def builds(self) -> bool:
        """Whether the network is built here, with random weights."""
        from maxprune.store.source import is_built

        return is_built(self.network, self.weights)

    def check_trained(self) -> None:
        """Refuse what is of no use with random weights.

        Raises:
            UsageError: the network is built here.
        """
        if self.builds():
            raise UsageError(
                f"{self.network} is built here with random weights; give --weights, or a saved "
                "model"
            )


@dataclass(frozen=True, kw_only=True)
class Trained(Tested):
    """The network, and how one is trained and scored on data."""

    epochs: Annotated[float, typer.Option(help="Epochs of every retraining.")] = 10.0
    rate: Annotated[float, typer.Option(help="Learning rate of every retraining.")] = 0.02
    batch: Annotated[int, typer.Option(help="Samples a step of gradient descent.")] = 128
    fit: Annotated[
        str | None,
        typer.Option(
            help="my_fit.py:fit, your own training, for every retraining and the first: "
            "fit(network, data) trains in place; data.train.stream(batch, seed) gives batches "
            "without end, data.validation.batches(size) one pass. --epochs, --rate and --batch "
            "are not for it."
        ),
    ] = None
    augment: Annotated[
        str | None,
        typer.Option(
            help="What is done to training pictures: some of "
            "flip,crop,turn,zoom,light,noise,erase, or none (default for digits and mnist: crop, "
            "for others: flip,crop).",
            show_default=False,
        ),
    ] = None

    shift: Annotated[
        int | None,
        typer.Option(
            help="Pixels by which crop shifts at most (default: an eighth of the picture).",
            show_default=False,
        ),
    ] = None
    validation: Annotated[
        float | None,
        typer.Option(
            help="Percent of the training samples that are held out to judge by, where the data "
            "have none for it (default: 10; squeeze, of a network that it trains first: as many as "
            "make 300 samples, at most 25).",
            show_default=False,
        ),
    ] = None

    def data_options(self, seed: int = 0) -> DataOptions:
        """How the data are read, and augmented in training."""
        augment = None if self.augment is None else names("augment", [self.augment])
        if augment == ("none",):
            augment = ()
        elif augment and "none" in augment:
            raise UsageError(f"--augment none stands alone, not in {self.augment!r}")
        if self.shift is not None and augment is not None and "crop" not in augment:
            raise UsageError(f"--shift is of crop, which is not in --augment {self.augment}")
        held = None if self.validation is None else self.validation / 100
        options = super().data_options(seed)
        return replace(options, augment=augment, shift=self.shift, validation=held)

    def read(self, data: str, seed: int = 0) -> tuple[nn.Module, Fit | None, Splits]:
        """The network, the user's own training, and the data; see `opened_on`."""
        from maxprune.store.source import find_named

        fit = None if self.fit is None else find_named(self.fit)
        network, splits = self.opened_on(data, seed)
        return network, fit, splits


@dataclass(frozen=True, kw_only=True)
class OnData(Trained):
    """The network, the data, and how one is cut, trained and scored on the other."""

    data: Annotated[
        str,
        typer.Option(
            help="digits, mnist, cifar10, a folder with train/CLASS/ (and val/, test/) or with tar "
            "shards train-*.tar (and val-*, test-*; key.jpg with key.cls, or CLASS/name.jpg), or "
            "my_data.py:loaders, a function that gives (train, validation, test) loaders.",
            show_default=False,
        ),
    ]
    layers: Annotated[
        list[str] | None,
        typer.Option(help="Cut only these layers: give it again, or join them by commas."),
    ] = None
    skip: Skip = None
    heads: Heads = None
    components: Annotated[int, typer.Option(help="pls, damage: components of the regression.")] = 2
    representation: Annotated[
        str, typer.Option(help="pls, damage: max or average, what stands for a filter's map.")
    ] = "max"
    memory: Annotated[
        int,
        typer.Option(min=1, help="pls, damage: MiB of memory for the features; more goes to disk."),
    ] = 1024
    per: Annotated[
        Literal["parameters", "macs", "latency"],
        typer.Option(help="damage: what is to be saved; latency is by the clock."),
    ] = "parameters"
    keep_last: Annotated[
        bool | None,
        typer.Option(
            "--keep-last/--cut-last",
            help="Leave the last convolution of a VGG-like network whole (compress --method pls "
            "does, unless --layers names it; compare does not).",
            show_default=False,
        ),
    ] = None
    train_epochs: Annotated[
        float | None,
        typer.Option(
            help="Train the network first for so many epochs; 0 if it is trained (30 unless there "
            "are --weights or it is a saved model).",
            show_default=False,
        ),
    ] = None
    train_rate: Annotated[float, typer.Option(help="Learning rate of that training.")] = 0.05
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run in --out.")] = False

    def shared(self) -> dict[str, Any]:
        """What these options say of a `Compression`."""
        own = ("components", "representation", "epochs", "rate", "batch", "per")
        values = {name: getattr(self, name) for name in own}
        if self.keep_last is not None:
            values["keep_last"] = self.keep_last
        return values | {
            "memory": self.memory * 2**20, "layers": names("layers", self.layers),
            "skip": names("skip", self.skip), "heads": names("heads", self.heads),
        }  # fmt: skip

    def opened(self, seed: int = 0) -> tuple[nn.Module, Fit | None, Splits]:
        """The network, the user's own training, and the data; see `read`."""
        return self.read(self.data, seed)

    def first_epochs(self) -> float:
        """Epochs of the first training."""
        if self.train_epochs is None:
            return TRAIN_EPOCHS if self.builds() else 0.0
        if self.train_epochs < 0:
            raise UsageError(f"--train-epochs is at least 0, not {self.train_epochs:g}")
        return self.train_epochs


@dataclass(frozen=True, kw_only=True)
class WithMaxouts(OnData):
    """The options of maxouts besides."""

    k: Annotated[int, typer.Option(help="Neurons per maxout unit at first.")] = 4
    relevance: Annotated[
        Literal["wins", "share", "margin"],
        typer.Option(
            help="maxout: of a neuron in its unit: how often it wins, in which share of the unit's "
            "wins, or by how much."
        ),
    ] = "wins"
    units: Annotated[
        Literal["even", "uneven"],
        typer.Option(
            help="maxout: every unit loses one neuron (even), or as many go that are least "
            "relevant over all units (uneven)."
        ),
    ] = "even"
    one_step: Annotated[bool, typer.Option("--one-step", help="maxout: from k to 1 at once.")] = (
        False
    )

    def shared(self) -> dict[str, Any]:
        """What these options say of a `Compression`."""
        own = ("k", "relevance", "units", "one_step")
        return super().shared() | {name: getattr(self, name) for name in own}
