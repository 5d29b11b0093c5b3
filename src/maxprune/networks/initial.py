"""Initial weights."""

from __future__ import annotations

from torch import nn


def xavier_uniform(module: nn.Module) -> None:
    """Draw Xavier-uniform weights and set zero biases, in place, for one layer (Glorot 2010).

    For use with `network.apply`; modules without weights are left alone.
    """
    if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def he_normal(module: nn.Module) -> None:
    """Draw normal weights whose variance fits a ReLU, and set zero biases, in place (He 2015).

    For use with `network.apply`; modules without weights are left alone.
    """
    if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
