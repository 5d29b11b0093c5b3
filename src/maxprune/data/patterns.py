"""Local binary patterns: what a face looks like in numbers that nobody has trained.

Ahonen, Hadid, Pietikainen 2006, "Face description with local binary patterns": each pixel is
described by which of its eight neighbours are at least as bright, and a picture by how often each
pattern occurs in each of its cells.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

NEIGHBOURS = ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))
"""Around a pixel, in their order on the circle."""

RADIUS = 2  # pixels from the middle of a pattern to its neighbours


def uniform() -> Int[Tensor, " 256"]:
    """The number of each pattern: 0 to 57 for those with at most two changes, 58 for all others.

    Nine of ten patterns in a picture have at most two changes from darker to brighter on the circle
    (Ojala, Pietikainen, Maenpaa 2002, section 2.3).
    """
    bits = torch.arange(256)[:, None] >> torch.arange(8) & 1
    plain = (bits != bits.roll(1, 1)).sum(1) <= 2
    return torch.where(plain, plain.cumsum(0) - 1, int(plain.sum()))


def patterns(x: Float[Tensor, "n h w"], radius: int = RADIUS) -> Int[Tensor, "n rows columns"]:
    """The number of the pattern around each pixel that has all its neighbours."""
    middle = x[:, radius:-radius, radius:-radius]
    rows, columns = middle.shape[1:]
    found = torch.zeros(middle.shape, dtype=torch.int64)
    for bit, (down, right) in enumerate(NEIGHBOURS):
        top, left = radius * (1 + down), radius * (1 + right)
        found |= (x[:, top : top + rows, left : left + columns] >= middle).long() << bit
    return uniform()[found]


def histograms(found: Int[Tensor, "n rows columns"], cell: int) -> Float[Tensor, "n numbers"]:
    """How often each pattern occurs in each square of two by two cells; these overlap.

    Args:
        found: the numbers of the patterns, 0 to 58.
        cell: side of a cell, in pixels; what is left at the edges is not counted.
    """
    n, rows, columns = found.shape
    down, right = rows // cell, columns // cell
    top, left = (rows - down * cell) // 2, (columns - right * cell) // 2
    found = found[:, top : top + down * cell, left : left + right * cell]
    row, column = torch.arange(down * cell) // cell, torch.arange(right * cell) // cell
    place = torch.arange(n)[:, None, None] * down * right + row[:, None] * right + column
    counts = torch.bincount((59 * place + found).flatten(), minlength=59 * n * down * right)
    cells = counts.view(n, down, right, 59).permute(0, 3, 1, 2).float()
    return 4 * F.avg_pool2d(cells, 2, 1).flatten(1)
