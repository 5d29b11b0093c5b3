"""View 2 of LFW (Huang et al. 2007): which pairs are tested, and who may be trained on then.

There are ten folds of pairs, and each is tested once. They count from 0 here, so fold 10 of a paper
is fold 9.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Int, Int64
from torch import Tensor

from maxprune.data.faces import Faces
from maxprune.data.lfw import lfw_folder
from maxprune.data.pairs_file import View2, read_pairs
from maxprune.errors import DataError, UsageError


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of pictures among some faces.

    Attributes:
        places: int64, shape (n, 2), the two indices in `Faces`.
        same: bool, shape (n,), whether both show one person.
        fold: int64, shape (n,), which fold each is in, from 0.
    """

    places: Int64[Tensor, "n 2"]
    same: Bool[Tensor, " n"]
    fold: Int64[Tensor, " n"]

    def __len__(self) -> int:
        return len(self.same)

    def fold_pairs(self, fold: int) -> Pairs:
        """The pairs of fold `fold`, from 0: those that are tested.

        Raises:
            UsageError: there is no such fold.
        """
        return self._chosen(self._in_fold(fold))

    def other_pairs(self, fold: int) -> Pairs:
        """The pairs of all folds but `fold`: those that a threshold may be chosen on.

        Raises:
            UsageError: there is no such fold.
        """
        return self._chosen(~self._in_fold(fold))

    def _in_fold(self, fold: int) -> Bool[Tensor, " n"]:
        """Which pairs are in a fold that has some."""
        chosen = self.fold == fold
        if not chosen.any():
            last = int(self.fold.max()) if len(self) else -1
            raise UsageError(f"there is no fold {fold}; the folds are 0 to {last}")
        return chosen

    def _chosen(self, chosen: Bool[Tensor, " n"]) -> Pairs:
        """Some of the pairs, in their order."""
        return Pairs(self.places[chosen], self.same[chosen], self.fold[chosen])


def located(listed: View2, faces: Faces) -> Pairs:
    """The pairs of a file, by where their pictures are among the faces.

    Raises:
        DataError: one is not there; the message names the line and the picture.
    """
    places = torch.empty((len(listed.pairs), 2), dtype=torch.int64)
    for i, pair in enumerate(listed.pairs):
        for side, picture in enumerate(pair):
            try:
                places[i, side] = faces.place(*picture)
            except DataError as error:
                raise DataError(f"{listed.line(i)}: {error}") from error
    same = torch.tensor([pair.same for pair in listed.pairs])
    return Pairs(places, same, torch.arange(len(listed.pairs)) // (2 * listed.each))


def view2(faces: Faces, root: Path | None = None) -> Pairs:
    """The pairs of the file `pairs.txt` in `lfw_folder(root)`.

    Raises:
        DataError: it is missing or wrong, or names a picture that is not among the faces.
    """
    return located(read_pairs(lfw_folder(root) / "pairs.txt"), faces)


def allowed(faces: Faces, pairs: Pairs, fold: int) -> Int64[Tensor, " m"]:
    """The pictures that may be trained on when fold `fold` is tested.

    They are those whose person is in no pair of that fold; other pictures of a tested person are
    left out too.

    Returns:
        Their indices in `faces`, rising.

    Raises:
        UsageError: there is no such fold.
    """
    tested = _tested(faces, pairs, fold)
    return torch.nonzero(~tested[faces.person]).flatten()


def check_no_leak(faces: Faces, train_places: Int[Tensor, " m"], pairs: Pairs, fold: int) -> None:
    """Refuse training pictures (indices in `faces`) of a person whom fold `fold` tests.

    Raises:
        DataError: there is one; the message names the person.
        UsageError: there is no such fold, or a place is not in [0, n).
    """
    if len(train_places) and not 0 <= int(train_places.min()) <= int(train_places.max()) < len(
        faces
    ):
        raise UsageError(
            f"the training pictures reach from {int(train_places.min())} to "
            f"{int(train_places.max())}, but there are {len(faces)} faces"
        )
    person = faces.person[train_places]
    wrong = person[_tested(faces, pairs, fold)[person]]
    if len(wrong):
        raise DataError(
            f"{faces.people[int(wrong[0])]} is trained on and tested in fold {fold} "
            f"({len(wrong)} of {len(person)} training pictures show people of that fold); train "
            "on `allowed` pictures only"
        )


def _tested(faces: Faces, pairs: Pairs, fold: int) -> Bool[Tensor, " people"]:
    """Which people are in a pair of the fold."""
    tested = torch.zeros(len(faces.people), dtype=torch.bool)
    tested[faces.person[pairs.fold_pairs(fold).places.flatten()]] = True
    return tested
