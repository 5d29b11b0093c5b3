"""The arithmetic of Tables 1 and 3: parameters before and after, without any training.

The networks are built and cut, and their parameters counted; no formula is used. Nothing is drawn
and no memory is taken for weights: 145 million of them are counted as fast as 130,000.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypedDict

import torch
from torch import nn

from maxprune.compression.winning import without_last
from maxprune.measure import parameters
from maxprune.networks import lenet5, vgg_face
from maxprune.plan import maxout_plan
from maxprune.studies.lenet import K, Network, arguments, maxout_layer
from maxprune.surgery import apply

FACES: dict[Network, str] = {"mfc": "fc6", "mc": "conv5_3"}
"""Behind which layer of VGG16 the maxout stands (section 5.2)."""


class Row(TypedDict):
    """Parameters of one network at one k; `removed` is their share that is gone, four digits."""

    network: str
    fc: int
    k: int
    baseline: int
    parameters: int
    removed: float


def accounting(networks: Sequence[Network], sizes: Sequence[int]) -> list[Row]:
    """Table 1: rows for every network and size of LeNet-5, from k = 4 down to 1."""
    return [
        row
        for network in networks
        for fc in sizes
        for row in _rows(
            network, fc, partial(lenet5, **arguments(network, fc)), maxout_layer(network)
        )
    ]


def faces_accounting(networks: Sequence[Network]) -> list[Row]:
    """Table 3: rows for VGG16 on 224x224 faces of 2,622 people, from k = 4 down to 1."""
    return [
        row
        for network in networks
        for row in _rows(f"vgg16-{network}", 4096, vgg_face, FACES[network])
    ]


def _rows(network: str, fc: int, build: Callable[[], nn.Module], layer: str) -> Iterator[Row]:
    """The network with the maxout behind the layer, then a neuron less a unit at a time."""
    with torch.device("meta"):
        model = build()
    baseline = parameters(model)
    model = apply(model, maxout_plan(layer, K))
    for k in range(K, 0, -1):
        count = parameters(model)
        yield Row(
            network=network, fc=fc, k=k, baseline=baseline, parameters=count,
            removed=round(1 - count / baseline, 4),
        )  # fmt: skip
        if k > 1:
            model = without_last(model, layer)
