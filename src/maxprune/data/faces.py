"""Pictures of faces in memory, and whose they are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from maxprune.errors import DataError


@dataclass(frozen=True, eq=False)
class Faces:
    """Square pictures of faces, by person and number, checked once.

    Attributes:
        pixels: uint8, shape (n, channels, size, size), 0 to 255.
        people: the names, sorted, each once, each with at least one picture.
        person: int64, shape (n,): picture i shows people[person[i]]; never falls.
        numbers: int64, shape (n,): the picture's number among those of its person, from 1; rises
            within a person.

    Raises:
        DataError: a wrong type, shape, length or order.
    """

    pixels: UInt8[Tensor, "n c s s"]
    people: tuple[str, ...]
    person: Int64[Tensor, " n"]
    numbers: Int64[Tensor, " n"]

    def __post_init__(self) -> None:
        shape = tuple(self.pixels.shape)
        if self.pixels.dtype != torch.uint8 or len(shape) != 4 or shape[2] != shape[3]:
            raise DataError(
                f"the faces are {self.pixels.dtype} of shape {shape}, but must be torch.uint8 of "
                "shape (n, channels, size, size)"
            )
        for name, values in (("person", self.person), ("numbers", self.numbers)):
            if values.dtype != torch.int64 or tuple(values.shape) != shape[:1]:
                raise DataError(
                    f"{name} is {values.dtype} of shape {tuple(values.shape)}, but must be "
                    f"torch.int64 of shape ({shape[0]},)"
                )
        if list(self.people) != sorted(set(self.people)):
            raise DataError("the people are not sorted, or one is there twice")
        if torch.unique(self.person).tolist() != list(range(len(self.people))):
            raise DataError(
                f"{len(self.people)} people, but person does not have each of 0 to "
                f"{len(self.people) - 1} and nothing else"
            )
        keys = list(zip(self.person.tolist(), self.numbers.tolist(), strict=True))
        if keys != sorted(set(keys)) or (keys and int(self.numbers.min()) < 1):
            raise DataError("the pictures are not in the order of person and number, each once")

    def __len__(self) -> int:
        return len(self.pixels)

    def place(self, name: str, number: int) -> int:
        """The index of one picture.

        Raises:
            DataError: there is none of this person and number.
        """
        found = self._places.get((name, number))
        if found is None:
            raise DataError(f"there is no picture {number} of {name!r} among the {len(self)} faces")
        return found

    @cached_property
    def _places(self) -> dict[tuple[str, int], int]:
        """The index of every (name, number)."""
        both = zip(self.person.tolist(), self.numbers.tolist(), strict=True)
        return {(self.people[one], number): place for place, (one, number) in enumerate(both)}
