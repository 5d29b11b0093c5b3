"""Less dropout for a sparser network (Han et al. 2015, section 3.2)."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator

from torch import nn
from torch.nn.modules.dropout import _DropoutNd

from maxprune.errors import UsageError


@contextlib.contextmanager
def scaled_dropout(model: nn.Module, left: float) -> Iterator[None]:
    """Inside, every dropout's ratio is D_r = D_o sqrt(C_r / C_o); afterwards what it was.

    Pruned connections already limit what a network can learn by heart, so it needs less dropout.

    Args:
        model: the network.
        left: C_r / C_o, the share of its connections that is left, in [0, 1]. With one threshold
            for the whole network it is that of the network, not of the layer as in the paper.

    Raises:
        UsageError: the share is outside [0, 1].

    Example:
        >>> layer = nn.Dropout(0.5)
        >>> with scaled_dropout(layer, 0.04):
        ...     layer.p
        0.1
        >>> layer.p
        0.5
    """
    if not 0 <= left <= 1:
        raise UsageError(f"the share of connections left lies in [0, 1], not {left}")
    ratios = {layer: layer.p for layer in _dropouts(model).values()}
    try:
        for layer, ratio in ratios.items():
            layer.p = ratio * math.sqrt(left)
        yield
    finally:
        for layer, ratio in ratios.items():
            layer.p = ratio


def same_dropout(model: nn.Module, like: nn.Module) -> None:
    """Give every dropout the ratio that the one of its name has in another network, in place."""
    ratios = {name: layer.p for name, layer in _dropouts(like).items()}
    for name, layer in _dropouts(model).items():
        layer.p = ratios.get(name, layer.p)


def _dropouts(model: nn.Module) -> dict[str, _DropoutNd]:
    return {name: m for name, m in model.named_modules() if isinstance(m, _DropoutNd)}
