"""Networks that other processes open by name."""

from __future__ import annotations

import os

import torch
from torch import Tensor, nn

from maxprune import apply, zero_plan


def plain() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(1024, 512), nn.ReLU(), nn.Linear(512, 4))


def small() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(1024, 64), nn.ReLU(), nn.Linear(64, 4))


def wide() -> nn.Module:
    return nn.Sequential(nn.Linear(4000, 4000), nn.ReLU(), nn.Linear(4000, 10))


def zeros() -> nn.Module:
    net = plain()
    return apply(net, zero_plan(net, 0.9))


class _Fragile(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if len(x) > 100:
            os._exit(3)
        if len(x) > 2:
            raise ValueError("one sample at a time")
        return x.flatten(1)[:, :4]


def fragile() -> nn.Module:
    return _Fragile()
