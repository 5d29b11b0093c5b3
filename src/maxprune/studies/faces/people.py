"""Who is trained on, who is held out and who is tested, for one fold of View 2.

Everything that is chosen (a threshold, a share of weights) is chosen on the pairs of people who are
held out: they are neither trained on nor tested. The pairs of the other nine folds cannot serve, as
their people are trained on.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Int, Int64, UInt8
from torch import Tensor

from maxprune.data.faces import Faces
from maxprune.data.images import Images, Stock
from maxprune.data.order import derive
from maxprune.data.pairs import Pairs, allowed, check_no_leak
from maxprune.errors import DataError, UsageError

PICTURES_EACH = 5  # of a person who is held out, at most, in pairs of that person
DIFFERENT_PAIRS = 3000  # of people who are held out


@dataclass(frozen=True, eq=False)
class FoldData:
    """The faces of one fold's study.

    Attributes:
        pixels: uint8, shape (n, channels, size, size); pairs are places in these.
        train: the pictures that are trained on, and whose they are, counted from 0.
        tested: the pairs of the fold.
        held: pairs of the people who are held out.
        places: of the pictures that are trained on, among all; None where they are others.
    """

    pixels: UInt8[Tensor, "n c s s"]
    train: Images
    tested: Pairs
    held: Pairs
    places: Int64[Tensor, " n"] | None = None

    @cached_property
    def checksum(self) -> str:
        """Of the pictures that are trained on and those in pairs, and whose they are."""
        digest = hashlib.sha256()
        for pairs in (self.tested, self.held):
            for part in (self.pixels[pairs.places.unique()], pairs.places, pairs.same):
                digest.update(part.contiguous().numpy().tobytes())
        for part in (self.train.pixels, self.train.labels):
            digest.update(part.contiguous().numpy().tobytes())
        return digest.hexdigest()


def fold_data(
    faces: Faces, pairs: Pairs, fold: int, held: int = 150, least: int = 2, seed: int = 0
) -> FoldData:
    """Part the faces for one fold.

    Args:
        faces: all pictures.
        pairs: View 2.
        fold: the one that is tested, from 0.
        held: people to hold out, drawn from those who may be trained on and have two pictures.
        least: pictures that a person must have to be trained on.
        seed: of the draw.

    Raises:
        UsageError: no such fold, or a number below what makes sense.
        DataError: there are too few people.
    """
    if held < 2 or least < 1:
        raise UsageError(f"at least 2 people are held out and 1 picture wanted: {held}, {least}")
    generator = torch.Generator().manual_seed(derive(seed, "held out", fold))
    pictures = torch.bincount(faces.person, minlength=len(faces.people))
    may = torch.zeros(len(faces.people), dtype=torch.bool)
    may[faces.person[allowed(faces, pairs, fold)]] = True
    several = torch.nonzero(may & (pictures >= 2)).flatten()
    if len(several) < held + 2:
        raise DataError(
            f"fold {fold} leaves {len(several)} people with two pictures; {held} cannot be held "
            "out of them with two left to train on"
        )
    out = several[torch.randperm(len(several), generator=generator)[:held]].sort().values
    may[out] = False
    train = torch.nonzero((may & (pictures >= least))[faces.person]).flatten()
    check_no_leak(faces, train, pairs, fold)
    held_pairs = pairs_of(faces.person, out, generator)
    labelled = _labelled(faces, train)
    return FoldData(faces.pixels, labelled, pairs.fold_pairs(fold), held_pairs, train)


def _labelled(faces: Faces, places: Int64[Tensor, " n"]) -> Images:
    """Some pictures with the people counted from 0."""
    people, labels = torch.unique(faces.person[places], return_inverse=True)
    return Images(faces.pixels[places], labels, len(people))


def pairs_of(
    person: Int64[Tensor, " n"], people: Int64[Tensor, " m"], generator: torch.Generator
) -> Pairs:
    """All pairs of a few pictures of each of these people, and pairs of two of them.

    Args:
        person: whom each picture shows.
        people: of two pictures at least.
        generator: draws pictures and pairs.
    """
    chosen = [_some(person == one, generator) for one in people.tolist()]
    same = torch.cat([torch.combinations(places) for places in chosen])
    together = torch.cat(chosen)
    drawn = together[torch.randint(len(together), (2 * DIFFERENT_PAIRS, 2), generator=generator)]
    different = drawn[person[drawn[:, 0]] != person[drawn[:, 1]]][:DIFFERENT_PAIRS]
    places = torch.cat([same, different])
    return Pairs(
        places, torch.arange(len(places)) < len(same), torch.zeros(len(places), dtype=torch.int64)
    )


def _some(theirs: Bool[Tensor, " n"], generator: torch.Generator) -> Int[Tensor, " some"]:
    """A few of one person's pictures."""
    places = torch.nonzero(theirs).flatten()
    return places[torch.randperm(len(places), generator=generator)[:PICTURES_EACH]]


def training_pairs(
    images: Stock, count: int, seed: int
) -> tuple[Int64[Tensor, "pairs 2"], Bool[Tensor, " pairs"]]:
    """Pairs of pictures that are trained on, half of one person and half of two.

    Args:
        images: with at least one person of two pictures, and two people.
        count: of the pairs.
        seed: of the draw.

    Returns:
        The places of both pictures of every pair, and whether they show one person.

    Raises:
        DataError: there are no two pictures of one person, or no two people.
    """
    generator = torch.Generator().manual_seed(derive(seed, "training pairs"))
    order = images.labels.argsort(stable=True)
    sizes = torch.bincount(images.labels, minlength=images.classes)
    starts = sizes.cumsum(0) - sizes
    several = torch.nonzero(sizes >= 2).flatten()
    if not len(several) or images.classes < 2:
        raise DataError("pairs need two pictures of one person, and two people")
    person = several[torch.randint(len(several), (count // 2,), generator=generator)]
    first = (torch.rand(len(person), generator=generator) * sizes[person]).long()
    further = 1 + (torch.rand(len(person), generator=generator) * (sizes[person] - 1)).long()
    second = (first + further) % sizes[person]
    same = torch.stack([order[starts[person] + first], order[starts[person] + second]], 1)
    different = torch.randint(len(images), (2 * count, 2), generator=generator)
    apart = images.labels[different[:, 0]] != images.labels[different[:, 1]]
    different = different[apart][: count - len(same)]
    places = torch.cat([same, different])
    return places, torch.arange(len(places)) < len(same)
