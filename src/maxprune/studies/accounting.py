"""The arithmetic of Table 1: parameters before and after, without any training.

The networks are built and cut, and their parameters counted; no formula is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import torch
from torch import nn

from maxprune.measure import parameters
from maxprune.networks import lenet5
from maxprune.plan import least_winning, maxout_plan
from maxprune.studies.lenet import K, Network, arguments, maxout_layer
from maxprune.surgery import apply


class Row(TypedDict):
    """Parameters of one network at one k; `removed` is their share that is gone, four digits."""

    network: Network
    fc: int
    k: int
    baseline: int
    parameters: int
    removed: float


def accounting(networks: Sequence[Network], sizes: Sequence[int]) -> list[Row]:
    """Rows for every network and size, from k = 4 down to 1."""
    rows: list[Row] = []
    for network in networks:
        for fc in sizes:
            layer = maxout_layer(network)
            model: nn.Module = lenet5(**arguments(network, fc))
            baseline = parameters(model)
            model = apply(model, maxout_plan(layer, K))
            for k in range(K, 0, -1):
                count = parameters(model)
                rows.append(
                    Row(
                        network=network, fc=fc, k=k, baseline=baseline, parameters=count,
                        removed=round(1 - count / baseline, 4),
                    )
                )  # fmt: skip
                if k > 1:
                    units = (fc if network == "mfc" else 52) // K
                    model = apply(model, least_winning(layer, torch.zeros(units, k).long()))
    return rows
