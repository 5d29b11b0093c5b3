"""The output layers of networks that tell faces apart: cosines in place of products."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from maxprune.errors import UsageError

_ABOVE = 1e-4  # zero, so that the slope of the root is finite


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


class TaughtCosine(Cosine):
    """The same, and beside each class how near the descriptor comes to what a teacher says of it.

    The teacher says where each class lies in a space of its own; a linear map of the roots of the
    descriptor, which are what Hellinger's distance compares, is to point there (`MarginFitting`,
    `taught`). Classes that the teacher finds alike so have descriptors that are alike.

    Args:
        features: of a descriptor, none of them negative.
        classes: outputs of either kind.
        taught: dimensions of the teacher's space.
        scale: by which the first cosines are multiplied.

    Attributes:
        directions: (classes, taught), to be filled by whoever has a teacher; zero at first.

    Raises:
        UsageError: a size below 1, or a scale that is not above 0.

    Example:
        >>> layer = TaughtCosine(8, 3, taught=2)
        >>> layer.directions.copy_(torch.eye(3, 2)).shape, layer(torch.rand(5, 8)).shape
        (torch.Size([3, 2]), torch.Size([5, 6]))
    """

    directions: Tensor

    def __init__(self, features: int, classes: int, taught: int, scale: float = 24.0) -> None:
        super().__init__(features, classes, scale)
        if taught < 1:
            raise UsageError("a teacher's space has at least one dimension")
        self.map = nn.Parameter(torch.randn(taught, features) / features**0.5)
        self.offset = nn.Parameter(torch.zeros(taught))
        self.register_buffer("directions", torch.zeros(classes, taught))

    def forward(self, x: Float[Tensor, "batch features"]) -> Float[Tensor, "batch twice_classes"]:
        """The scaled cosines of `Cosine`, then the teacher's, in [-1, 1]."""
        cosines = super().forward(x)
        with torch.autocast(x.device.type, enabled=False):
            pointed = F.linear((x.float() + _ABOVE).sqrt(), self.map, self.offset)
            near = F.linear(F.normalize(pointed), F.normalize(self.directions.float()))
        return torch.cat([cosines, near], 1)

    def extra_repr(self) -> str:
        """Show the sizes when the network is printed."""
        return f"{super().extra_repr()}, taught={len(self.map)}"
