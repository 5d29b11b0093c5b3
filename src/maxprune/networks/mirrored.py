"""A network that looks at a picture and at its mirror image."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from maxprune.lineage import lineage, remember


class Mirrored(nn.Module):
    """The mean of what a network gives for a picture and for its mirror image, left to right.

    Faces are nearly symmetric: the mean of both descriptors tells them apart better than one
    (Parkhi et al. 2015, section 5.1, take the mean over ten cuts of a picture). It takes twice the
    time and no parameters.

    Args:
        body: gives a row for each picture; it stays in its mode, and its lineage is this one's.

    Example:
        >>> Mirrored(nn.Flatten())(torch.tensor([[[[1.0, 3.0]]]])).tolist()
        [[2.0, 2.0]]
    """

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.train(body.training)
        remember(self, lineage(body))

    def forward(self, x: Float[Tensor, "batch c h w"]) -> Float[Tensor, "batch features"]:
        """Both in one pass."""
        both: Tensor = self.body(torch.cat([x, x.flip(3)]))
        mean: Tensor = both.unflatten(0, (2, -1)).mean(0)
        return mean
