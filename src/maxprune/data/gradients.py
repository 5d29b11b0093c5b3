"""Histograms of oriented gradients: which way a picture grows brighter, square by square.

Dalal, Triggs 2005, "Histograms of oriented gradients for human detection", with directions told
from their opposites.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

BINS = 12  # directions
LARGEST = 0.2  # part that one number may have in the length of its square


def gradients(x: Float[Tensor, "n h w"]) -> Float[Tensor, "n bins rows columns"]:
    """How strong the gradient is in each direction, at each pixel that has all its neighbours.

    Between two directions it is shared out, so that a small turn changes little.
    """
    down, right = x[:, 2:, 1:-1] - x[:, :-2, 1:-1], x[:, 1:-1, 2:] - x[:, 1:-1, :-2]
    strength, turn = torch.hypot(down, right), torch.atan2(down, right) * (BINS / (2 * math.pi))
    before = turn.floor()
    share, place = turn - before, before.long() % BINS
    found = x.new_zeros(len(x), BINS, *strength.shape[1:])
    found.scatter_(1, place[:, None], (strength * (1 - share))[:, None])
    return found.scatter_add_(1, (place[:, None] + 1) % BINS, (strength * share)[:, None])


def oriented(found: Float[Tensor, "n bins rows columns"], cell: int) -> Float[Tensor, "n numbers"]:
    """The gradients in each square of two by two cells, at unit length; the squares overlap.

    Args:
        found: what `gradients` gives.
        cell: side of a cell, in pixels; what is left at the edges is not counted.
    """
    squares = F.normalize(F.unfold(F.avg_pool2d(found, cell), 2), dim=1).clamp(max=LARGEST)
    return F.normalize(squares, dim=1).flatten(1)
