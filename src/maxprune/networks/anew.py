"""The same architecture with weights that nobody has trained."""

from __future__ import annotations

import torch
from torch import nn

from maxprune.errors import StructureError
from maxprune.modes import copied

_RESETS = ("reset_parameters", "_reset_parameters")


def anew(model: nn.Module, seed: int) -> nn.Module:
    """A copy with all weights drawn anew, as each layer draws them when it is made.

    Layers that were cut draw for the size that they have now, as those of a small network would.
    Those that are frozen, none of whose weights is trained, stay as they are.

    Args:
        model: the network; it is not changed.
        seed: of the weights; torch's own random state is not changed.

    Raises:
        StructureError: a module has weights and no way to draw them.

    Example:
        >>> net = nn.Linear(2, 3)
        >>> torch.equal(anew(net, 0).weight, net.weight)
        False
    """
    fresh = copied(model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for name, module in fresh.named_modules():
            own = list(module.parameters(recurse=False))
            if own and not any(parameter.requires_grad for parameter in own):
                continue
            reset = next((getattr(module, r) for r in _RESETS if hasattr(module, r)), None)
            if reset is not None:
                with torch.no_grad():
                    reset()
            elif own:
                raise StructureError(
                    f"nobody knows how {name or type(module).__name__!r} draws its weights: it "
                    "has no reset_parameters"
                )
    return fresh
