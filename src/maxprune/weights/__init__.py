"""Single weights: one global magnitude threshold, zeros that are held, the share to choose."""

from maxprune.weights.choose import choose_share
from maxprune.weights.magnitude import hold_zeros, prunable, zero_plan

__all__ = ["choose_share", "hold_zeros", "prunable", "zero_plan"]
