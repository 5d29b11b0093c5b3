"""What a pixel is beside its neighbours, in place of how bright it is."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from maxprune.errors import UsageError


class Neighbours(nn.Module):
    """A picture, and how much brighter each of a pixel's eight neighbours is, as a soft sign.

    The signs are the bits of a local binary pattern (Ahonen, Hadid, Pietikainen 2006), which hardly
    change with the light; tanh(steepness (neighbour - pixel)) lets small differences count less.
    Outside of the picture its edge goes on.

    Args:
        steepness: the soft sign's, above 0; pixels are in [0, 1].

    Raises:
        UsageError: the steepness is not above 0.

    Example:
        >>> layer = Neighbours(20.0)
        >>> layer(torch.tensor([[[[0.0, 1.0]]]]))[0, :, 0, 0].round()
        tensor([0., 0., 0., 1., 0., 1., 0., 0., 1.])
    """

    def __init__(self, steepness: float = 20.0) -> None:
        super().__init__()
        if not steepness > 0:
            raise UsageError(f"the steepness of a soft sign is above 0, not {steepness}")
        self.steepness = steepness

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b nine_c h w"]:
        """The picture, then the neighbours row by row from the upper left one."""
        height, width = x.shape[2:]
        around = F.pad(x, (1, 1, 1, 1), mode="replicate")
        signs = [
            torch.tanh(self.steepness * (around[:, :, i : i + height, j : j + width] - x))
            for i in range(3)
            for j in range(3)
            if (i, j) != (1, 1)
        ]
        return torch.cat([x, *signs], 1)

    def extra_repr(self) -> str:
        """Show the steepness when the network is printed."""
        return f"steepness={self.steepness:g}"
