"""Zeros that grow while the network trains (Zhu and Gupta 2017, *To prune, or not to prune*).

Where a threshold takes most weights at once, the few that are left start from a ruined network.
Here it takes many at first, while plenty are left, and ever fewer as the share comes near.
"""

from __future__ import annotations

from torch import nn

from maxprune.errors import UsageError
from maxprune.weights.magnitude import prunable, zero_plan

PARTS = 10


def growing_zeros(
    model: nn.Module, share: float, iterations: int, parts: int = PARTS
) -> dict[int, float]:
    """The share of zeros from an iteration on, for each of `parts` equally long stretches.

    In part j of n it is s_f + (s_0 - s_f) (1 - j / n)^3, j = 1 ... n (eq. 1): s_0 is the model's
    share of zeros now, s_f is `share`, which the last part has.

    Args:
        model: the network before the training.
        share: of all parameters, in [0, 1).
        iterations: after how many the last part ends; 0 takes the whole share at once.
        parts: how many times weights go.

    Returns:
        {iteration: share of all parameters that is zero from there on}.

    Raises:
        UsageError: the share is outside [0, 1), or takes every weight.

    Example:
        >>> layer = nn.Linear(10, 10, bias=False)
        >>> growing_zeros(layer, 0.5, iterations=100, parts=2)
        {0: 0.4375, 50: 0.5}
    """
    if iterations < 0 or parts < 1:
        raise UsageError(f"{parts} parts of {iterations} iterations are no stretches")
    zero_plan(model, share)
    total = sum(p.numel() for p in model.parameters())
    start = min(share, sum(int((w == 0).sum()) for w in prunable(model)) / total)
    parts = max(1, min(parts, iterations))
    return {
        (j - 1) * iterations // parts: share + (start - share) * (1 - j / parts) ** 3
        for j in range(1, parts + 1)
    }
