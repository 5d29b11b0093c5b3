"""How much accuracy is lost at most? Tango's score test for paired outcomes (Tango 1998).

Two networks answer the same samples. `lost` samples only the first gets right, `gained` only the
second; the loss of accuracy is estimated by (lost - gained) / n. The test of non-inferiority at a
margin asks whether a loss as large as the margin is refuted at level 5%, one-sided; the bound is
the largest loss that is not. Unlike the textbook's normal interval it holds where few samples
differ, also where none does (Tango, Statistics in Medicine 17:891-908, 1998, equations 6 to 8).
"""

from __future__ import annotations

import math

from jaxtyping import Bool
from torch import Tensor

from maxprune.errors import UsageError
from maxprune.plural import plural

LEVEL = 0.05


def loss_bound(
    first: Bool[Tensor, " n"], second: Bool[Tensor, " n"], level: float = LEVEL
) -> float:
    """The largest loss of accuracy from the first network to the second, with confidence.

    Args:
        first: which samples the first network gets right.
        second: the same for the second network.
        level: one-sided; 0.05 for a confidence of 95%.

    Returns:
        Points of accuracy, in percent of the samples; negative where the second is surely better.

    Raises:
        UsageError: the outcomes are not paired, there are none, or the level is not in (0, 0.5).

    Example:
        >>> import torch
        >>> same = torch.ones(10_000, dtype=torch.bool)
        >>> round(loss_bound(same, same), 3)  # no sample differs: what 10,000 of them can say
        0.027
    """
    if first.shape != second.shape or first.dim() != 1 or not len(first):
        raise UsageError(
            f"outcomes of {first.numel()} and {plural(second.numel(), 'sample')} are not paired"
        )
    if not 0 < level < 0.5:
        raise UsageError(f"the level of a test lies between 0 and 0.5, not {level!r}")
    lost, gained = int((first & ~second).sum()), int((second & ~first).sum())
    return 100 * _bound(len(first), lost, gained, level)


def _bound(n: int, lost: int, gained: int, level: float) -> float:
    """The loss at which the test statistic reaches the quantile; it falls as the loss grows."""
    from scipy.optimize import brentq  # slow to import, so only where they are needed
    from scipy.stats import norm

    quantile = float(norm.ppf(level))
    estimate = (lost - gained) / n
    if statistic(n, lost, gained, 1 - 1e-9) > quantile:
        return 1.0
    return float(
        brentq(lambda loss: statistic(n, lost, gained, loss) - quantile, estimate, 1 - 1e-9)
    )


def statistic(n: int, lost: int, gained: int, margin: float) -> float:
    """Tango's score statistic for a loss of `margin`; standard normal where that is the truth.

    With p21 the probability of a gain, as likely as possible given the margin:
    T = (lost - gained - n margin) / sqrt(n (2 p21 + margin (1 - margin))).

    Args:
        n: samples.
        lost: that only the first network gets right.
        gained: that only the second gets right.
        margin: a loss as a fraction, in (-1, 1).
    """
    a = 2 * n
    b = -lost - gained + (2 * n - lost + gained) * margin
    c = -gained * margin * (1 - margin)
    p21 = (math.sqrt(max(b * b - 4 * a * c, 0.0)) - b) / (2 * a)
    variance = n * (2 * p21 + margin * (1 - margin))
    difference = lost - gained - n * margin
    if variance <= 0:
        return math.copysign(math.inf, difference) if difference else 0.0
    return difference / math.sqrt(variance)
