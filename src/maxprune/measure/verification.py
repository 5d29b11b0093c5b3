"""Are these two pictures of the same person? The error rates of a threshold on their distance.

A pair is accepted where its distance is at most the threshold. FAR is the share of pairs of
different people that are accepted, FRR the share of pairs of the same person that are rejected,
TAR = 1 - FRR. All rates here are fractions of 1. The Equal Error Rate is where FAR and FRR cross
(Moya Rueda et al. 2017, section 5.2).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from maxprune.errors import UsageError


@dataclass(frozen=True, eq=False)
class Roc:
    """The error rates at every threshold that makes a difference.

    Attributes:
        thresholds: minus infinity, where nothing is accepted, then every distinct distance,
            smallest first. Equal distances are accepted together: no point lies between them.
        far: the share of different pairs accepted at each threshold; from 0 up to 1.
        frr: the share of same pairs rejected; from 1 down to 0.
        same: how many pairs show the same person.
        different: how many do not.
    """

    thresholds: Float64[Tensor, " points"]
    far: Float64[Tensor, " points"]
    frr: Float64[Tensor, " points"]
    same: int
    different: int

    @property
    def eer(self) -> float:
        """The Equal Error Rate, in [0, 1].

        With finitely many pairs the rates jump. Of the last point with FAR < FRR and the next,
        both rates are interpolated on a straight line; the EER is where they meet. A group of equal
        distances is one jump, so where the crossing lies within one, this is the rate of accepting
        a fitting share of the group by lot. It depends on the order of the distances alone.
        """
        before, after, share = self._crossing()
        return float(self.far[before] + share * (self.far[after] - self.far[before]))

    @property
    def eer_threshold(self) -> float:
        """The distance at which FAR and FRR lie closest together.

        One of the two points that the EER is interpolated between, and the larger where both are
        as close: always one of the distances, never minus infinity.
        """
        before, after, share = self._crossing()
        return float(self.thresholds[before if share < 0.5 else after])

    def tar_at(self, far: float) -> float | None:
        """The largest TAR of a threshold whose FAR is at most `far`.

        Args:
            far: a rate in (0, 1], such as 1e-3.

        Returns:
            None where the pairs cannot show such a rate: of n different pairs the smallest rate
            above zero is 1/n, so 1e-3 needs 1,000 of them, and the 300 of one fold of LFW reach
            down to 3.4e-3.

        Raises:
            UsageError: the rate is not in (0, 1].
        """
        if not 0 < far <= 1:
            raise UsageError(f"a false acceptance rate lies between 0 and 1, not {far!r}")
        if 1 / self.different > far:
            return None
        last = int(torch.searchsorted(self.far, far, right=True)) - 1
        return 1 - float(self.frr[last])

    def rates_at(self, threshold: float) -> tuple[float, float]:
        """FAR and FRR of accepting all distances up to a threshold.

        Raises:
            UsageError: the threshold is not a number.
        """
        if math.isnan(threshold):
            raise UsageError("the threshold is not a number")
        last = int(torch.searchsorted(self.thresholds, threshold, right=True)) - 1
        return float(self.far[last]), float(self.frr[last])

    def _crossing(self) -> tuple[int, int, float]:
        """The points before and after the rates cross, and how far between them, in (0, 1]."""
        gap = self.far - self.frr
        after = int((gap >= 0).nonzero()[0])
        below, above = -float(gap[after - 1]), float(gap[after])
        return after - 1, after, below / (below + above)


def roc(distances: Float[Tensor, " pairs"], same: Bool[Tensor, " pairs"]) -> Roc:
    """The error rates of all thresholds on some pairs.

    Args:
        distances: of the two pictures of every pair; only their order matters.
        same: which pairs show the same person.

    Raises:
        UsageError: the two do not fit, a distance is not finite, or all pairs are of one sort.

    Example:
        >>> found = roc(torch.tensor([0.125, 0.25, 0.75, 0.5]),
        ...             torch.tensor([True, True, False, False]))
        >>> found.eer, found.eer_threshold, found.rates_at(0.5), found.tar_at(0.5)
        (0.0, 0.25, (0.5, 0.0), 1.0)
    """
    check_pairs(distances, same)
    values, places = torch.unique(distances.cpu().double(), return_inverse=True)
    same = same.cpu()
    alike, unlike = (_at_most(places[which], len(values)) for which in (same, ~same))
    start = torch.tensor([-math.inf], dtype=torch.float64)
    return Roc(
        thresholds=torch.cat([start, values]),
        far=unlike.double() / unlike[-1],
        frr=(alike[-1] - alike).double() / alike[-1],
        same=int(alike[-1]),
        different=int(unlike[-1]),
    )


def _at_most(places: Tensor, points: int) -> Tensor:
    """How many of the places are under 0, at most 0, at most 1, and so on."""
    return torch.cat([places.new_zeros(1), torch.bincount(places, minlength=points).cumsum(0)])


def check_pairs(distances: Float[Tensor, " pairs"], same: Bool[Tensor, " pairs"]) -> None:
    """Refuse pairs that no error rate can be taken of.

    Raises:
        UsageError: the two do not fit, a distance is not finite, or all pairs are of one sort.
    """
    if distances.dim() != 1 or distances.shape != same.shape:
        shapes = f"{tuple(distances.shape)} and {tuple(same.shape)}"
        raise UsageError(f"a distance and an answer for every pair are needed, not {shapes}")
    if same.dtype != torch.bool:
        raise UsageError(f"whether a pair is of the same person is a bool, not {same.dtype}")
    wrong = ~torch.isfinite(distances)
    if wrong.any():
        raise UsageError(f"the distance of pair {int(wrong.nonzero()[0])} is not finite")
    if same.all() or not same.any():
        sort = "same" if same.any() else "different"
        raise UsageError(f"error rates need same and different pairs; all {len(same)} are {sort}")
