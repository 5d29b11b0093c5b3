"""Single weights: a global magnitude threshold, zeros held or growing, the share to choose."""

from maxprune.weights.choose import choose_share
from maxprune.weights.dropout import scaled_dropout
from maxprune.weights.gradual import growing_zeros
from maxprune.weights.magnitude import hold_zeros, prunable, zero_plan

__all__ = ["choose_share", "growing_zeros", "hold_zeros", "prunable", "scaled_dropout", "zero_plan"]
