"""The output layer of networks that tell faces apart: cosines in place of products."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from maxprune.errors import UsageError


class Cosine(nn.Module):
    """The cosine between a descriptor and the direction of every class, times a scale.

    For training with a margin (`train.MarginFitting`); Wang et al. 2018, "CosFace", section 3.1.

    Args:
        features: of a descriptor.
        classes: outputs.
        scale: by which the cosines are multiplied.

    Raises:
        UsageError: a size below 1, or a scale that is not above 0.

    Example:
        >>> layer = Cosine(2, 3, scale=10)
        >>> layer(5 * layer.weight)[1, 1].round(decimals=3).item()
        10.0
    """

    def __init__(self, features: int, classes: int, scale: float = 24.0) -> None:
        super().__init__()
        if min(features, classes) < 1 or not scale > 0:
            raise UsageError("a cosine layer has features, classes and a scale above 0")
        self.scale = scale
        self.weight = nn.Parameter(torch.randn(classes, features) / features**0.5)

    def forward(self, x: Float[Tensor, "batch features"]) -> Float[Tensor, "batch classes"]:
        """The scaled cosines, in [-scale, scale]; in float32 under `torch.autocast` too."""
        with torch.autocast(x.device.type, enabled=False):
            return self.scale * F.linear(F.normalize(x.float()), F.normalize(self.weight.float()))

    def extra_repr(self) -> str:
        """Show the sizes when the network is printed."""
        classes, features = self.weight.shape
        return f"features={features}, classes={classes}, scale={self.scale:g}"
