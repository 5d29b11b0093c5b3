"""Single weights: zeros by magnitude, held or growing, values that they share, sparse rows."""

from maxprune.weights.choose import choose_share
from maxprune.weights.dropout import scaled_dropout
from maxprune.weights.gradual import growing_zeros
from maxprune.weights.magnitude import hold_zeros, prunable, zero_plan
from maxprune.weights.sharing import hold_shared, share_plan
from maxprune.weights.sparse import sparse_rows

__all__ = [
    "choose_share", "growing_zeros", "hold_shared", "hold_zeros", "prunable", "scaled_dropout",
    "share_plan", "sparse_rows", "zero_plan",
]  # fmt: skip
