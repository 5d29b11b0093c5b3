"""What faces look like in numbers that nobody has trained: patterns and gradients, in three sizes.

Combined they tell people apart better than either (Wolf, Hassner, Taigman 2008; Chen et al. 2013
show how much many numbers from several sizes bring).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from maxprune.data.gradients import gradients, oriented
from maxprune.data.patterns import RADIUS, histograms, patterns
from maxprune.errors import UsageError

SIZES = ((1.0, 9), (0.75, 9), (0.5, 7))
"""A picture is taken in these sizes, as shares of its own, each with the side of a pattern's cell;
a gradient's has 8 pixels."""

CELL = 8
PART = 200  # pictures at a time


def textures(pixels: UInt8[Tensor, "n 1 s s"]) -> Float[Tensor, "n numbers"]:
    """The roots of the histograms of patterns, and the oriented gradients, of grey pictures.

    Roots, as what is compared then is Hellinger's distance. The numbers of each square of either
    kind have the length 1.

    Raises:
        UsageError: the pictures are not grey, or too small for two by two cells.
    """
    side = pixels.shape[-1]
    sizes = [(round(share * side), cell) for share, cell in SIZES]
    if pixels.shape[1] != 1 or min(s - 2 * RADIUS - 2 * cell for s, cell in sizes) < 0:
        raise UsageError(
            f"pictures must be grey and of 35 pixels or more, not {tuple(pixels.shape[1:])}"
        )
    return torch.cat([_described(part.float(), sizes) for part in pixels.split(PART)])


def _described(
    x: Float[Tensor, "n 1 s s"], sizes: list[tuple[int, int]]
) -> Float[Tensor, "n numbers"]:
    parts = []
    for side, cell in sizes:
        taken = F.interpolate(x, (side, side), mode="area")[:, 0]
        parts.append((histograms(patterns(taken), cell) / (4 * cell**2)).sqrt())
        parts.append(oriented(gradients(taken), CELL))
    return torch.cat(parts, 1)
