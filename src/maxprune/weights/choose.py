"""How many weights can go for nothing (Moya Rueda et al. 2017, section 4.2, first step)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

from torch import nn

from maxprune.errors import UsageError
from maxprune.plan import ZeroPlan
from maxprune.weights.magnitude import prunable, zero_below, zero_plan, zeros_wanted

PERCENTS = tuple(i / 100 for i in range(100))
ROUNDING = 1e-9  # percentage points; far less than one picture


def choose_share(
    model: nn.Module,
    accuracy: Callable[[nn.Module], float],
    shares: Sequence[float] = PERCENTS,
    tolerance: float = 0.0,
) -> ZeroPlan:
    """The largest share of weights that can be zero without loss on a validation set.

    Every share is tried without retraining; the largest at which the accuracy is still within
    `tolerance` of the unpruned network's is taken, even where a smaller one is worse by chance.

    Args:
        model: the network; it is not changed.
        accuracy: gives a network's accuracy, in percent, on validation data: never on test data.
        shares: the candidates, of all parameters, in [0, 1).
        tolerance: accepted loss, in percentage points.

    Returns:
        The plan for the chosen share; a share of 0 is always acceptable.
    """
    if tolerance < 0:
        raise UsageError(f"the tolerance is a number of points, at least 0, not {tolerance}")
    floor = accuracy(model) - tolerance
    weights = sum(w.numel() for w in prunable(model))
    for share in sorted(shares, reverse=True):
        if share < 1 and zeros_wanted(model, share) >= weights:
            continue  # not even one weight would be left
        plan = zero_plan(model, share)
        pruned = copy.deepcopy(model)
        zero_below(pruned, plan.threshold)
        if accuracy(pruned) >= floor - ROUNDING:
            return plan
    return zero_plan(model, 0.0)
