"""Labelled pictures in memory: bytes at rest, floats by the batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, Self, TypeVar

import torch
from jaxtyping import Float, Int, Int64, UInt8
from torch import Tensor

from maxprune.data.order import batches
from maxprune.data.part import WHOLE, Part
from maxprune.data.splits import stratified
from maxprune.errors import DataError, UsageError
from maxprune.plural import kind_of, plural

Batch = tuple[Float[Tensor, "b c h w"], Int[Tensor, " b"]]


class Stock(Protocol):
    """Labelled pictures of one size: `Images` in memory, or `streamed.Streamed` on disk."""

    @property
    def labels(self) -> Int64[Tensor, " n"]:
        """The class of each picture."""

    @property
    def classes(self) -> int:
        """How many classes there are."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of every picture."""

    def __len__(self) -> int:
        """How many pictures."""

    def about(self) -> list[int]:
        """The shape of all pictures."""

    def iterations(self, size: int) -> int:
        """Batches of this size in one pass of training."""

    def whole(self, size: int) -> int:
        """Pictures of every batch of training."""

    def batches(
        self, size: int, device: torch.device | str = "cpu", part: Part = WHOLE
    ) -> Iterator[Batch]:
        """All pictures in their order, `size` at a time, or that part of these batches."""

    def stream(
        self, size: int, seed: int, start: int = 0, device: torch.device | str = "cpu",
        part: Part = WHOLE,
    ) -> Iterator[Batch]:  # fmt: skip
        """Shuffled batches from iteration `start` on, without end, or that part of each."""

    def subset(self, index: Int[Tensor, " b"]) -> Self:
        """The pictures at `index`, in that order."""

    def to(self, device: torch.device | str) -> Self:
        """The same pictures, kept on a device where they can be."""


S = TypeVar("S", bound=Stock)


@dataclass(frozen=True, eq=False)
class Images:
    """Pictures of one size and their classes, checked once.

    Attributes:
        pixels: uint8, shape (n, channels, height, width), 0 to 255.
        labels: int64, shape (n,), each in [0, classes).
        classes: how many classes there are, also those without a picture here.

    Raises:
        DataError: a wrong type, shape or length, or a label that is no class.
    """

    pixels: UInt8[Tensor, "n c h w"]
    labels: Int64[Tensor, " n"]
    classes: int

    def __post_init__(self) -> None:
        _check_tensor("pixels", self.pixels, torch.uint8, 4)
        _check_tensor("labels", self.labels, torch.int64, 1)
        if 0 in self.pixels.shape[1:]:
            raise DataError(f"pixels has the shape {tuple(self.pixels.shape)}: pictures of no size")
        if len(self.pixels) != len(self.labels):
            raise DataError(
                f"{plural(len(self.pixels), 'picture')} but {plural(len(self.labels), 'label')}; "
                "each needs one"
            )
        if self.classes < 1:
            raise DataError(f"classes is {self.classes}, but must be at least 1")
        wrong = torch.nonzero((self.labels < 0) | (self.labels >= self.classes))
        if len(wrong):
            first = int(wrong[0])
            raise DataError(
                f"labels[{first}] is {int(self.labels[first])}, but must be in 0 to "
                f"{self.classes - 1} ({len(wrong)} of {len(self.labels)} labels are no class)"
            )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of every picture."""
        _, channels, height, width = self.pixels.shape
        return channels, height, width

    def batch(self, index: Int[Tensor, " b"], device: torch.device | str = "cpu") -> Batch:
        """The pictures at `index`, as floats.

        The pictures travel to the device as bytes and become floats there.

        Args:
            index: which pictures, shape (b,), each in [0, n), in any order, repeats allowed.
            device: where the batch is to lie.

        Returns:
            The pictures, float32 in [0, 1] (byte / 255), shape (b, channels, height, width), and
            their classes, int64, shape (b,).

        Raises:
            UsageError: `index` is not a vector of integers in [0, n).
        """
        chosen = self._checked(index)
        return floats(self.pixels[chosen], self.labels[chosen], device)

    def batches(
        self, size: int, device: torch.device | str = "cpu", part: Part = WHOLE
    ) -> Iterator[Batch]:
        """All pictures in their order, `size` at a time; the last batch may be smaller.

        Or every so many batches of them, as the part says.

        Yields:
            Batches as `batch` gives them.

        Raises:
            UsageError: `size` is below 1.
        """
        if size < 1:
            raise UsageError(f"the batch size is {size}, but must be at least 1")
        ends = ((start, start + size) for start in range(0, len(self), size))
        mine = part.every(ends)
        return (floats(self.pixels[a:b], self.labels[a:b], device) for a, b in mine)

    def stream(
        self, size: int, seed: int, start: int = 0, device: torch.device | str = "cpu",
        part: Part = WHOLE,
    ) -> Iterator[Batch]:  # fmt: skip
        """Shuffled batches from iteration `start` on, without end; see `data.order.batches`."""
        for index in batches(len(self), size, seed, start):
            yield self.batch(index[part.rows(len(index))], device)

    def iterations(self, size: int) -> int:
        """Batches of this size in one pass of training; what does not fill one is left out."""
        return max(1, len(self) // min(size, max(1, len(self))))

    def whole(self, size: int) -> int:
        """Pictures of every batch of training."""
        return min(size, len(self))

    def about(self) -> list[int]:
        """The shape of the pictures."""
        return list(self.pixels.shape)

    def subset(self, index: Int[Tensor, " b"]) -> Images:
        """The pictures at `index` (shape (b,), each in [0, n)), copied, in that order.

        Raises:
            UsageError: `index` is not a vector of integers in [0, n).
        """
        chosen = self._checked(index)
        return Images(self.pixels[chosen], self.labels[chosen], self.classes)

    def to(self, device: torch.device | str) -> Images:
        """The same pictures with their bytes on `device`."""
        return Images(self.pixels.to(device), self.labels.to(device), self.classes)

    def _checked(self, index: Tensor) -> Tensor:
        """`index` on the device of the pictures, once it is known to be in range."""
        return checked_index(index, len(self)).to(self.pixels.device)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A training and a test set of the same kind of pictures.

    Attributes:
        name: what results files call it.
        train: the training pictures, in the order of the source.
        test: the test pictures; nothing is ever decided on them.

    Raises:
        DataError: one of the two is empty, or they differ in picture size or classes.
    """

    name: str
    train: Images
    test: Images

    def __post_init__(self) -> None:
        for part, images in (("training", self.train), ("test", self.test)):
            if not len(images):
                raise DataError(f"{self.name}: the {part} set has no pictures")
        ours, theirs = self.train.pixels.shape[1:], self.test.pixels.shape[1:]
        if ours != theirs:
            raise DataError(
                f"{self.name}: training pictures are {tuple(ours)}, test pictures {tuple(theirs)}"
            )
        if self.train.classes != self.test.classes:
            raise DataError(
                f"{self.name}: {plural(self.train.classes, 'class', 'classes')} in training, "
                f"{self.test.classes} in the test"
            )

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return self.train.classes

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of one picture."""
        _, channels, height, width = self.train.pixels.shape
        return channels, height, width

    def holdout(self, size: int | float, seed: int) -> tuple[Images, Images]:
        """Split the training set into (rest, validation), every class in its proportion.

        Args:
            size: how many pictures to hold out (an int), or which share of them (a float).
            seed: 0 to 2**32 - 1; the same seed is the same split, everywhere.

        Returns:
            The rest of the training set and the validation set, each in the order of the source.

        Raises:
            UsageError: one of the two would be empty, or the seed is out of its range.
        """
        return held_out(self.train, size, seed)


def held_out(images: S, size: int | float, seed: int) -> tuple[S, S]:
    """Pictures split into (rest, held out), every class in its proportion.

    The arguments and errors are those of `Dataset.holdout`.
    """
    total = len(images)
    if isinstance(size, bool):
        raise UsageError(f"the size of the validation set is {size}, but must be a number")
    if isinstance(size, float) and not 0 < size < 1:
        raise UsageError(f"the share held out is {size}, but must lie between 0 and 1")
    count = round(size * total) if isinstance(size, float) else size
    rest, chosen = stratified(images.labels, count, seed)
    return images.subset(rest), images.subset(chosen)


def checked_index(index: Tensor, count: int) -> Int64[Tensor, " b"]:
    """Numbers of pictures, once they are known to be some of so many.

    Raises:
        UsageError: it is not a vector of integers in [0, count).
    """
    whole = not (index.is_floating_point() or index.is_complex() or index.dtype == torch.bool)
    if index.ndim != 1 or not whole:
        raise UsageError(
            f"the index is {index.dtype} of shape {tuple(index.shape)}, but must be a vector of "
            "integers"
        )
    if len(index) and not (index.min() >= 0 and index.max() < count):
        raise UsageError(
            f"the index reaches from {int(index.min())} to {int(index.max())}, but the pictures "
            f"are numbered from 0 to {count - 1}"
        )
    return index.to(torch.int64)


def _check_tensor(name: str, value: object, dtype: torch.dtype, dimensions: int) -> None:
    """Refuse what is not a tensor of this type and number of dimensions."""
    if not isinstance(value, Tensor):
        raise DataError(f"{name} is {kind_of(value)}, but must be a tensor")
    if value.dtype != dtype or value.ndim != dimensions:
        raise DataError(
            f"{name} is {value.dtype} of shape {tuple(value.shape)}, but must be {dtype} with "
            f"{dimensions} dimension{'s' if dimensions > 1 else ''}"
        )


def floats(
    pixels: UInt8[Tensor, "b c h w"], labels: Int64[Tensor, " b"], device: torch.device | str
) -> Batch:
    """Bytes to floats in [0, 1], on the device."""
    return pixels.to(device).to(torch.float32).div_(255), labels.to(device)
