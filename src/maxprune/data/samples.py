"""What a network is trained and judged on: pictures, in memory or not, or somebody's own loader.

`Samples` is the contract of the training loop and of everything that measures. `Images` fulfils it
as it is; `Pictures` adds augmentation and normalisation; `Loaded` wraps a loader.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count
from typing import Any, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from maxprune.data.augment import erased, flipped, lit, noisy, shifted, turned
from maxprune.data.images import Batch, Stock
from maxprune.data.loaded import Loaded
from maxprune.data.order import derive
from maxprune.data.part import WHOLE, Chance, Part
from maxprune.data.streamed import Streamed
from maxprune.errors import UsageError


class Samples(Protocol):
    """Inputs and their classes."""

    @property
    def classes(self) -> int:
        """How many classes there are."""

    def __len__(self) -> int:
        """How many samples."""

    def about(self) -> list[int]:
        """What tells these samples from others of another shape: for checkpoints."""

    def iterations(self, size: int) -> int:
        """Batches of this size in one pass of training."""

    def whole(self, size: int) -> int | None:
        """Samples of every batch of training of this size; None where they differ."""

    def batches(
        self, size: int, device: torch.device | str = "cpu", part: Part = WHOLE
    ) -> Iterator[Batch]:
        """All samples in their order, about `size` at a time, as they are to be judged.

        Or every so many of these batches, as the part says.
        """

    def stream(
        self, size: int, seed: int, start: int = 0, device: torch.device | str = "cpu",
        part: Part = WHOLE,
    ) -> Iterator[Batch]:  # fmt: skip
        """Batches to train on from iteration `start` on, without end; shuffled by the seed.

        Or that part of each batch.
        """

    def to(self, device: torch.device | str) -> Samples:
        """The same samples, kept on a device where they can be."""


@dataclass(frozen=True, eq=False)
class Pictures:
    """Pictures, augmented in training.

    Args:
        images: bytes and classes, in memory (`Images`) or on disk (`Streamed`).
        flip: mirror half of the pictures from left to right.
        crop: pixels by which a picture is shifted at most, each way; what comes in is black.
        turn: degrees by which it is turned at most, either way.
        zoom: it is made larger or smaller by a factor of at most 1 + zoom.
        light: largest change of contrast (1 ± light) and, twice over, of brightness.
        noise: largest standard deviation of noise, where white is 1.
        erase: share of the pictures of which a rectangle is erased.
        mean: of each channel, in [0, 1], taken away before the network; () for none.
        std: of each channel, by which is divided then; () for none.
    """

    images: Stock
    flip: bool = False
    crop: int = 0
    turn: float = 0.0
    zoom: float = 0.0
    light: float = 0.0
    noise: float = 0.0
    erase: float = 0.0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return self.images.classes

    def __len__(self) -> int:
        return len(self.images)

    def about(self) -> list[int]:
        """The shape of the pictures, and how they are augmented."""
        amounts = self.turn, self.zoom, self.light, self.noise, self.erase
        more = [round(1000 * value) for value in amounts]
        return [*self.images.about(), int(self.flip), self.crop, *(more if any(more) else [])]

    def iterations(self, size: int) -> int:
        """Batches of this size in one pass of training."""
        return self.images.iterations(size)

    def whole(self, size: int) -> int:
        """Pictures of every batch of training."""
        return self.images.whole(size)

    def to(self, device: torch.device | str) -> Pictures:
        """The same pictures with their bytes on `device`."""
        return replace(self, images=self.images.to(device))

    def batches(
        self, size: int, device: torch.device | str = "cpu", part: Part = WHOLE
    ) -> Iterator[Batch]:
        """All pictures in their order, not augmented."""
        for x, y in self.images.batches(size, device, part):
            yield self._normalised(x), y

    def stream(
        self, size: int, seed: int, start: int = 0, device: torch.device | str = "cpu",
        part: Part = WHOLE,
    ) -> Iterator[Batch]:  # fmt: skip
        """Shuffled and augmented; a function of the seed and the iteration alone."""
        whole = self.whole(size)
        plain = self.images.stream(size, seed, start, device, part)
        for iteration, (x, y) in zip(count(start), plain, strict=False):
            drawn = torch.Generator().manual_seed(derive(seed, "augment", iteration))
            generator = Chance(drawn, whole, part.rows(whole))
            x = flipped(x, generator) if self.flip else x
            x = shifted(x, self.crop, generator) if self.crop else x
            x = turned(x, self.turn, self.zoom, generator) if self.turn or self.zoom else x
            x = lit(x, self.light, generator) if self.light else x
            x = noisy(x, self.noise, generator) if self.noise else x
            x = erased(x, self.erase, generator) if self.erase else x
            yield self._normalised(x), y

    def plain(self) -> Pictures:
        """The same pictures, not augmented in training either."""
        return Pictures(self.images, mean=self.mean, std=self.std)

    def milder(self) -> Pictures:
        """The same pictures, augmented half as much; by a pixel at least; mirrored as before."""
        return replace(
            self, crop=max(self.crop // 2, min(self.crop, 1)), turn=self.turn / 2,
            zoom=self.zoom / 2, light=self.light / 2, noise=self.noise / 2, erase=self.erase / 2,
        )  # fmt: skip

    def _normalised(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        if self.mean:
            x = x - x.new_tensor(self.mean)[:, None, None]
        return x / x.new_tensor(self.std)[:, None, None] if self.std else x


def first_inputs(samples: Samples, count: int) -> Tensor:
    """The first inputs, so many or all where there are fewer; not augmented."""
    found: list[Tensor] = []
    for x, _ in samples.batches(count):
        found.append(x)
        if sum(map(len, found)) >= count:
            break
    return torch.cat(found)[:count]


def fingerprint(samples: Samples) -> str:
    """A checksum of one pass over samples as they are judged: inputs, classes and order.

    Of pictures that stay on disk, of their index: a pass would take as long as an epoch.
    """
    digest = hashlib.sha256()
    if isinstance(samples, Pictures) and isinstance(samples.images, Streamed):
        digest.update(f"{samples.images.checksum()} {samples.mean} {samples.std}".encode())
        return digest.hexdigest()
    for x, y in samples.batches(1000):
        digest.update(y.cpu().contiguous().numpy().tobytes())
        digest.update(x.cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class Splits:
    """What a network is compressed with.

    Args:
        name: of the data.
        train: to train and to score on.
        validation: everything is decided on these.
        test: looked at once, at the end; None where there are none.
        stopping: which epoch of a training is the best is decided on these; None takes the
            validation samples.
        input_shape: of one sample.
        notes: what a reader of the results has to know about the data.
        source: the user's function that gave them, where they came from one.
    """

    name: str
    train: Samples
    validation: Samples
    test: Samples | None
    input_shape: tuple[int, ...]
    notes: tuple[str, ...] = ()
    stopping: Samples | None = None
    source: Callable[..., Any] | None = None

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return self.train.classes

    @cached_property
    def example(self) -> Tensor:
        """(2, ...): the first inputs to train on, to run a network on."""
        return first_inputs(self.train, 2)

    def milder(self) -> Splits | None:
        """With training pictures that are augmented half as much; None where they are not."""
        if not isinstance(self.train, Pictures):
            return None
        milder = self.train.milder()
        return None if milder.about() == self.train.about() else replace(self, train=milder)

    @property
    def streamed(self) -> bool:
        """Whether the pictures stay on disk, and are read as they are needed."""
        return isinstance(self.train, Pictures) and isinstance(self.train.images, Streamed)

    @property
    def tested(self) -> Samples:
        """What is looked at once, at the end: the validation samples where none are to test."""
        return self.validation if self.test is None else self.test

    def remarks(self) -> list[str]:
        """The notes, and what they have to add where there is no test set."""
        without = "There is no test set: all accuracies are on the validation data."
        return [*self.notes, *([without] if self.test is None else [])]


def check_repeatable(data: Splits) -> None:
    """Refuse samples that differ between two passes: networks are compared sample by sample.

    Raises:
        UsageError: the validation or test data do.
    """
    for name, samples in (("validation", data.validation), ("test", data.test)):
        if isinstance(samples, Loaded) and fingerprint(samples) != fingerprint(samples):
            raise UsageError(
                f"the {name} data differ between two passes (a shuffled loader, or random "
                "changes); networks are compared sample by sample, so both passes must be equal"
            )
