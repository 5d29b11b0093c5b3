"""Accuracy of face verification over folds, with a threshold that never saw the fold it is for.

View 2 of Labeled Faces in the Wild (Huang, Ramesh, Berg and Learned-Miller, technical report
07-49, University of Massachusetts, 2007, section 4): each of ten folds is tested with what the
other nine chose; the result is the mean accuracy and its standard error.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Float64, Int
from torch import Tensor

from maxprune.errors import UsageError
from maxprune.measure.accuracy import percent
from maxprune.measure.verification import check_pairs, roc
from maxprune.plural import plural


def choose_threshold(distances: Float[Tensor, " pairs"], same: Bool[Tensor, " pairs"]) -> float:
    """The threshold on the distance with which most of these pairs are answered right.

    It lies in the middle between the two distances that it parts. Of thresholds that are equally
    good the middle one is taken, the lower of two. Where accepting all pairs is best it is the
    largest distance, where accepting none is, the next number under the smallest.

    Args:
        distances: of the two pictures of every pair.
        same: which pairs show the same person.

    Raises:
        UsageError: the two do not fit, a distance is not finite, or all pairs are of one sort.

    Example:
        >>> choose_threshold(torch.tensor([0.25, 0.5, 1.0]), torch.tensor([True, True, False]))
        0.75
    """
    found = roc(distances, same)
    right = (1 - found.frr) * found.same + (1 - found.far) * found.different
    best = (right.round() == right.round().max()).nonzero()[:, 0]
    last = int(best[(len(best) - 1) // 2])
    values = found.thresholds.tolist()
    if last == 0:
        return math.nextafter(values[1], -math.inf)
    if last == len(values) - 1:
        return float(values[last])
    low, high = values[last], values[last + 1]
    middle = low / 2 + high / 2
    return float(middle if low <= middle < high else low)


def verified(
    distances: Float[Tensor, " pairs"], same: Bool[Tensor, " pairs"], threshold: float
) -> Bool[Tensor, " pairs"]:
    """Which pairs are answered right where distances up to the threshold are accepted.

    What `randomization_test` and `loss_bound` compare two networks by, each with a threshold that
    was chosen on other pairs.

    Raises:
        UsageError: the two do not fit, or a distance or the threshold is not a number.
    """
    if distances.shape != same.shape:
        shapes = f"{tuple(distances.shape)} and {tuple(same.shape)}"
        raise UsageError(f"a distance and an answer for every pair are needed, not {shapes}")
    if math.isnan(threshold) or distances.isnan().any():
        raise UsageError("a distance or the threshold is not a number")
    return (distances.cpu().double() <= threshold) == same.cpu()


def fold_accuracies(
    distances: Float[Tensor, " pairs"], same: Bool[Tensor, " pairs"], fold: Int[Tensor, " pairs"]
) -> Float64[Tensor, " folds"]:
    """The accuracy on every fold, with the threshold that is best on all other folds.

    Where a single fold was tested, take the threshold from other pairs: `choose_threshold` on
    those, then the share of `verified` pairs.

    Args:
        distances: of the two pictures of every pair.
        same: which pairs show the same person.
        fold: the number of the fold that each pair belongs to; any whole numbers.

    Returns:
        In percent, in the order of the folds' numbers.

    Raises:
        UsageError: the three do not fit, a distance is not finite, there are not two folds, or
            the other folds of one hold pairs of one sort only.
    """
    check_pairs(distances, same)
    if fold.shape != same.shape:
        raise UsageError(
            f"{plural(fold.numel(), 'fold number')} do not fit {plural(same.numel(), 'pair')}"
        )
    numbers = fold.unique().tolist()
    if len(numbers) < 2:
        raise UsageError("one fold leaves no pairs to choose its threshold on")
    found = []
    for number in numbers:
        own = fold == number
        threshold = choose_threshold(distances[~own], same[~own])
        found.append(percent(verified(distances[own], same[own], threshold)))
    return torch.tensor(found, dtype=torch.float64)


def mean_and_standard_error(values: Sequence[float]) -> tuple[float, float | None]:
    """The mean over folds and its standard error S_E = sigma / sqrt(n) (Huang et al., section 4).

    sigma is the standard deviation over the n folds with n - 1 in its denominator. Folds share
    what trained the network and all but one fold of what chose the threshold, so S_E says little
    of another training.

    Returns:
        In the unit of the values; no standard error where there is one value.

    Raises:
        UsageError: there are none.

    Example:
        >>> mean_and_standard_error([80.0, 84.0])
        (82.0, 2.0)
    """
    if not len(values):
        raise UsageError("there are no folds to take the mean of")
    n, mean = len(values), math.fsum(values) / len(values)
    if n == 1:
        return mean, None
    variance = math.fsum((value - mean) ** 2 for value in values) / (n - 1)
    return mean, math.sqrt(variance / n)
