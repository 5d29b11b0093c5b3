"""What the study of small networks does, and what its networks are called."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field, model_validator

from maxprune.errors import UsageError
from maxprune.records import Settings
from maxprune.results import Count

UNCUT, CUT, ANEW, TAUGHT = "uncut", "cut", "from nothing", "from nothing, taught"
FINAL, ZEROS, CODED = "cut, trained on", "zeros", "coded"


class Recipe(Settings):
    """How LeNet-5 is cut, and for how long it is trained.

    Args:
        network: filters of both convolutions and neurons of the hidden layer, before it is cut.
        epochs: of the uncut network.
        cut_epochs: behind every cut.
        final_epochs: of the cut network at the sizes that are compared, and behind its zeros.
        code_epochs: in which weights find the values that they share.
        ladder: parameters after each cut.
        sizes: those of them that are compared.
        zeros: share of zeros and the size that it begins from.
        bits: of a weight, for each of these.
        rate: for a network from random weights.
        cut_rate: for one that was cut.
        zero_rate: for one whose weights go to zero.
        teacher: share of the loss that comes from the answers of the uncut network.
        beside: whether the same architectures are trained from nothing, too.
    """

    network: tuple[Count, Count, Count] = (20, 50, 500)
    epochs: Annotated[float, Field(gt=0)] = 12
    cut_epochs: Annotated[float, Field(gt=0)] = 2
    final_epochs: Annotated[float, Field(gt=0)] = 36
    code_epochs: Annotated[float, Field(gt=0)] = 10
    ladder: tuple[Count, ...] = (
        250_000, 140_000, 80_000, 45_000, 26_000, 16_000, 10_000, 6_000, 4_100, 2_800, 2_050, 1_500,
    )  # fmt: skip
    sizes: tuple[Count, ...] = (16_000, 6_000, 2_800, 1_500)
    zeros: tuple[tuple[Count, float], ...] = (
        (16_000, 0.8), (6_000, 0.7), (6_000, 0.82), (2_800, 0.45),
    )  # fmt: skip
    bits: tuple[Count, ...] = (4, 3)
    rate: Annotated[float, Field(gt=0)] = 0.05
    cut_rate: Annotated[float, Field(gt=0)] = 0.05
    zero_rate: Annotated[float, Field(gt=0)] = 0.03
    teacher: Annotated[float, Field(gt=0, le=1)] = 0.9
    beside: bool = True

    @model_validator(mode="after")
    def _check(self) -> Recipe:
        for size in {*self.sizes} - {*self.ladder}:
            raise UsageError(f"{size:,} parameters are no step of the ladder")
        for size in {size for size, _ in self.zeros} - {*self.sizes}:
            raise UsageError(f"zeros begin with a size that is compared, not {size:,} parameters")
        return self

    def scaled(self, times: float) -> Recipe:
        """All trainings so many times as long."""
        names = ("epochs", "cut_epochs", "final_epochs", "code_epochs")
        return self.model_copy(update={name: times * getattr(self, name) for name in names})

    def epochs_to(self, size: int) -> float:
        """How many epochs a network of this size has seen when it is compared."""
        cuts = self.ladder.index(size) + 1
        return self.epochs + cuts * self.cut_epochs + self.final_epochs

    def ways(self) -> tuple[str, ...]:
        """How a network of one size comes about."""
        return (FINAL, ANEW, TAUGHT) if self.beside else (FINAL,)

    def all_epochs(self) -> float:
        """Of all trainings of one seed."""
        others = len(self.ways()) - 1
        dense = sum(self.final_epochs + others * self.epochs_to(size) for size in self.sizes)
        coded = len(self.zeros) * (self.final_epochs + len(self.bits) * self.code_epochs)
        return self.epochs + len(self.ladder) * self.cut_epochs + dense + coded


def steps(recipe: Recipe) -> Iterator[str]:
    """The names of all networks of a recipe."""
    yield UNCUT
    for size in recipe.ladder:
        yield f"{size} {CUT}"
    for size in recipe.sizes:
        yield from (f"{size} {way}" for way in recipe.ways())
    for size, share in recipe.zeros:
        yield zeros_name(size, share)
        yield from (f"{zeros_name(size, share)} {bits} bits" for bits in recipe.bits)


def zeros_name(size: int, share: float) -> str:
    """Of the network of a size with this share of zeros."""
    return f"{size} zeros {100 * share:g}%"
