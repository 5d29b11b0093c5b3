"""A teacher that is no network: where each person lies, by patterns and gradients of the pictures.

A small network that is trained on a few pictures of each of 1,500 people learns them by heart. What
it is taught beside their names is who looks like whom: the place of each of them in a space in
which the same pictures' `data.textures` tell people apart (`networks.discriminant`), of which the
people who are trained on are all that is seen.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from maxprune.data.textures import textures
from maxprune.networks.discriminant import discriminant

COMPONENTS = 1000  # of the textures


class Teacher:
    """The space in which the people who are trained on are furthest apart.

    Args:
        pixels: of the pictures that are trained on, and of nobody else.
        labels: whom they show, counted from 0; everybody has a picture.
        count: dimensions, fewer than people.
        seed: of the randomized principal components.

    Attributes:
        directions: (people, count), unit vectors: where each person lies.
    """

    def __init__(
        self, pixels: UInt8[Tensor, "n 1 s s"], labels: Int[Tensor, " n"], count: int, seed: int = 0
    ) -> None:
        rows, n = torch.cat([textures(pixels), textures(pixels.flip(3))]), len(labels)
        self.space = discriminant(rows, labels.repeat(2), count, components=COMPONENTS, seed=seed)
        found = self._placed(rows[:n], rows[n:])
        sums = found.new_zeros(int(labels.max()) + 1, count)
        self.directions = F.normalize(sums.index_add_(0, labels, found), dim=1)

    def __call__(self, pixels: UInt8[Tensor, "n 1 s s"]) -> Float[Tensor, "n count"]:
        """Where faces lie, as unit vectors; a face and its mirror image lie in one place."""
        return self._placed(textures(pixels), textures(pixels.flip(3)))

    @torch.no_grad()
    def _placed(self, one: Tensor, other: Tensor) -> Float[Tensor, "n count"]:
        return F.normalize(self.space(one) + self.space(other), dim=1)
