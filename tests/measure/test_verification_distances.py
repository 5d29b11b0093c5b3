"""The distances of pairs of pictures, each of which is described once."""

from __future__ import annotations

import pytest
import torch
from scipy.spatial.distance import braycurtis
from torch import nn

from maxprune.measure import descriptors, verification_distances

PIXELS = torch.randint(0, 256, (7, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator())
NETWORK = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(0.5))


def test_distances_of_pairs() -> None:
    rows = descriptors(NETWORK, "", [PIXELS / 255]).double().numpy()
    places = torch.tensor([[6, 2], [2, 4], [6, 6]])
    expected = [braycurtis(rows[i], rows[j]) for i, j in places.tolist()]
    assert verification_distances(NETWORK, PIXELS, places).tolist() == pytest.approx(expected)


def test_each_picture_is_described_once() -> None:
    seen: list[int] = []
    hook = NETWORK.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    verification_distances(NETWORK, PIXELS, torch.tensor([[0, 1], [1, 0], [0, 5]]))
    hook.remove()
    assert seen == [3]
