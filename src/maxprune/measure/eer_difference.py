"""Is one network's Equal Error Rate really lower? The randomization test over pairs.

Ojala and Garriga (JMLR 2010), as the paper applies it (Moya Rueda et al. 2017, section 5.2): where
the two networks are no different, the outcomes of a pair may be swapped between them.

What may be swapped? Not the distances: those of two networks differ in scale, and a swap would mix
metres with feet. Not whether each pair is right at each network's own EER threshold either: the
thresholds were chosen on these pairs, and with them fixed the test is too sure of itself wherever
FAR and FRR are not equally steep, or same and different pairs not equally many. We swap ranks:
every network's distances become their ranks among all pairs, which is the same for every increasing
map of the distances and changes no error rate. Networks of equal ROC curves have ranks of equal
distribution, so a swap changes nothing that counts, and each round takes both EERs anew, each at
its new crossing. Ranks are swapped this way to compare paired ROC curves by Venkatraman and Begg
(Biometrika 83:835-848, 1996) and Bandos, Rockette and Gur (Statistics in Medicine 24:2873-2893,
2005).

The null hypothesis is that of equal ROC curves. Curves of very different shape that happen to meet
at one EER are called different somewhat more often than the level says. Pairs count as independent;
in LFW some people are in several pairs, which the test does not know.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor

from maxprune.errors import UsageError
from maxprune.measure.verification import check_pairs

_NUMBERS = 2**20  # ranks of one network that are held at a time
_ROUNDING = 1e-12  # EERs that differ by less are equal


def eer_difference_p_value(
    first: Float[Tensor, " pairs"],
    second: Float[Tensor, " pairs"],
    same: Bool[Tensor, " pairs"],
    rounds: int = 10_000,
    seed: int = 0,
    fold: Int[Tensor, " pairs"] | None = None,
) -> float:
    """The two-sided p-value for a difference in EER of two networks on the same pairs.

    With folds, each of which other networks of the two sorts were trained for, it is that of the
    difference in the mean EER over folds: distances of different folds are never compared.

    Args:
        first: the first network's distances, in any unit.
        second: the second's, in any other.
        same: which pairs show the same person.
        rounds: of random swaps.
        seed: of the swaps; nothing else is random.
        fold: the number of the fold that each pair belongs to; None for a single one.

    Returns:
        (1 + rounds with a difference at least as large) / (1 + rounds), so never 0 and at least
        1 / (1 + rounds) (Ojala and Garriga, definition 1).

    Raises:
        UsageError: the three do not fit, a distance is not finite, all pairs are of one sort (in
            a fold), or there are no rounds.
    """
    check_pairs(first, same)
    check_pairs(second, same)
    if rounds < 1:
        raise UsageError(f"the number of rounds is at least 1, not {rounds}")
    fold = torch.zeros_like(same, dtype=torch.int64) if fold is None else fold
    if fold.shape != same.shape:
        raise UsageError(f"{fold.numel()} fold numbers do not fit {same.numel()} pairs")
    folds = [_Fold.of(first, second, same, fold == number) for number in fold.unique().tolist()]
    observed = abs(float(sum(each.difference(*each.ranks).item() for each in folds)))
    generator = np.random.default_rng(seed)
    each = max(1, _NUMBERS // len(same))
    extreme = 0
    for start in range(0, rounds, each):
        count = min(each, rounds - start)
        found = np.abs(sum((part.swapped(count, generator) for part in folds), np.zeros(count)))
        extreme += int((found >= observed - _ROUNDING).sum())
    return (1 + extreme) / (1 + rounds)


@dataclass(frozen=True)
class _Fold:
    """The ranks of two networks' distances among the pairs of a fold, different pairs first."""

    ranks: tuple[NDArray[np.int32], NDArray[np.int32]]
    different: int

    @classmethod
    def of(cls, first: Tensor, second: Tensor, same: Tensor, chosen: Tensor) -> _Fold:
        """Those of the chosen pairs."""
        same = same[chosen]
        check_pairs(first[chosen], same)
        order = same.cpu().numpy().argsort(kind="stable")
        one, other = (_ranks(distances[chosen])[order] for distances in (first, second))
        return cls((one, other), int((~same).sum()))

    def difference(self, one: NDArray[np.int32], other: NDArray[np.int32]) -> NDArray[np.float64]:
        """The first network's EER less the second's, for every row of ranks, or for one."""
        gap: NDArray[np.float64] = eers(np.atleast_2d(one), self.different) - eers(
            np.atleast_2d(other), self.different
        )
        return gap

    def swapped(self, rounds: int, generator: np.random.Generator) -> NDArray[np.float64]:
        """The differences after so many rounds of random swaps."""
        swap = generator.integers(0, 2, (rounds, len(self.ranks[0])), dtype=np.bool_)
        return self.difference(np.where(swap, *self.ranks), np.where(swap, *self.ranks[::-1]))


def _ranks(distances: Float[Tensor, " pairs"]) -> NDArray[np.int32]:
    """Twice the rank of every distance among all pairs; equal distances share their mean rank."""
    _, places, counts = torch.unique(
        distances.cpu().double(), return_inverse=True, return_counts=True
    )
    doubled = 2 * counts.cumsum(0) - counts + 1
    ranks: NDArray[np.int32] = doubled[places].int().numpy()
    return ranks


def eers(ranks: NDArray[np.int32], different: int) -> NDArray[np.float64]:
    """The EER of every row, by the rule of `Roc.eer`, without sorting.

    FAR - FRR rises with the threshold, so the smallest rank at which it is not negative is found
    by bisection; it and the rank before are what the EER is interpolated between.

    Args:
        ranks: of shape (rounds, pairs), at least 1; the different pairs come first.
        different: how many those are.

    Returns:
        Of shape (rounds,).
    """
    low = np.zeros(len(ranks), ranks.dtype)  # FAR < FRR here
    high = np.full_like(low, ranks.max())  # FAR >= FRR here
    while (high - low > 1).any():
        middle = (low + high) // 2
        far, frr = _rates(ranks, different, middle)
        crossed = far >= frr
        high, low = np.where(crossed, middle, high), np.where(crossed, low, middle)
    (far, frr), (far_after, frr_after) = (_rates(ranks, different, t) for t in (high - 1, high))
    below, above = frr - far, far_after - frr_after
    found: NDArray[np.float64] = far + below / (below + above) * (far_after - far)
    return found


def _rates(
    ranks: NDArray[np.int32], different: int, thresholds: NDArray[np.int32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """FAR and FRR of every row at its own threshold."""
    accepted = ranks <= thresholds[:, None]
    same = ranks.shape[1] - different
    false = np.count_nonzero(accepted[:, :different], axis=1)
    true = np.count_nonzero(accepted[:, different:], axis=1)
    return false / different, (same - true) / same
