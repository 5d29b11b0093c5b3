"""Is a change real? The paired randomization test (Ojala and Garriga, JMLR 2010).

Per test sample the outcomes of the two networks are swapped at random, many times; the p-value is
how often the difference is at least as large as the one observed. For right-or-wrong outcomes
only samples on which the networks differ matter, and the limit of infinitely many swaps is known:
a two-sided binomial test on those (the exact McNemar test). We use the limit, so no p-value
depends on a seed.
"""

from __future__ import annotations

from jaxtyping import Bool
from torch import Tensor

from maxprune.errors import UsageError
from maxprune.plural import plural

SIGNIFICANT = 0.05
"""A difference with a p-value of at most this is called significant."""


def randomization_test(first: Bool[Tensor, " n"], second: Bool[Tensor, " n"]) -> float:
    """The two-sided p-value for a difference in accuracy on the same test samples.

    Args:
        first: which samples the first network gets right.
        second: the same for the second network.

    Returns:
        A probability in (0, 1]; 1.0 where the two networks are right on the same samples.

    Example:
        >>> import torch
        >>> a = torch.tensor([True] * 6 + [False] * 4)
        >>> b = torch.tensor([False] * 6 + [False] * 4)
        >>> randomization_test(a, b)
        0.03125
    """
    from scipy.stats import binomtest  # slow to import, so only where it is needed

    if first.shape != second.shape:
        raise UsageError(
            f"outcomes of {first.numel()} and {plural(second.numel(), 'sample')} are not paired"
        )
    gained = int((first & ~second).sum())
    lost = int((second & ~first).sum())
    if gained + lost == 0:
        return 1.0
    return float(binomtest(gained, gained + lost, 0.5).pvalue)
