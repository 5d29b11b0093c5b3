"""A layer that takes a mean away from pictures."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Subtract(nn.Module):
    """What comes in less a fixed picture, for example the mean of the training pictures.

    Args:
        shape: of the picture, (channels, height, width), where height and width may be 1; it is
            zero until it is filled.
    """

    mean: Tensor

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(*shape))

    def forward(self, x: Float[Tensor, "batch c h w"]) -> Float[Tensor, "batch c h w"]:
        """The difference."""
        return x - self.mean
