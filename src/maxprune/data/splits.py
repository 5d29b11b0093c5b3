"""One stratified split for everything: the test set of the digits, every validation set."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from maxprune.errors import UsageError
from maxprune.plural import plural


def stratified(
    labels: Int64[Tensor, " n"], count: int, seed: int
) -> tuple[Int64[Tensor, " rest"], Int64[Tensor, " count"]]:
    """Split 0..n-1 into (rest, chosen), with `count` chosen and every class in its proportion.

    A class gets the whole part of its proportional share; the places left go to the largest
    remainders, on a tie to the lower class. Which pictures of a class are chosen is drawn with
    NumPy's `RandomState`, whose numbers are frozen: the same seed is the same split, whatever the
    machine and the version.

    Args:
        labels: the class of each picture, shape (n,).
        count: how many pictures are chosen, 1 to n - 1.
        seed: 0 to 2**32 - 1.

    Returns:
        Two ascending index tensors on the CPU, shapes (n - count,) and (count,).

    Raises:
        UsageError: `count` or `seed` is out of its range.

    Examples:
        >>> rest, chosen = stratified(torch.tensor([0, 0, 0, 0, 1, 1, 1, 1]), 2, seed=0)
        >>> len(rest), chosen.tolist()
        (6, [2, 4])
    """
    total = len(labels)
    if not 1 <= count < total:
        raise UsageError(
            f"cannot split {count} off {plural(total, 'picture')}: both sides need at least one; "
            f"choose 1 to {total - 1}"
        )
    if not 0 <= seed < 2**32:
        raise UsageError(f"seed is {seed}, but must be in 0 to 2**32 - 1")
    known = labels.cpu().numpy()
    classes, sizes = np.unique(known, return_counts=True)
    shares, remainders = np.divmod(sizes * count, total)
    left = count - int(shares.sum())
    shares[np.argsort(-remainders, kind="stable")[:left]] += 1
    draw = np.random.RandomState(seed)
    chosen = np.zeros(total, dtype=bool)
    for one, share in zip(classes, shares, strict=True):
        chosen[draw.permutation(np.flatnonzero(known == one))[:share]] = True
    return torch.from_numpy(np.flatnonzero(~chosen)), torch.from_numpy(np.flatnonzero(chosen))
