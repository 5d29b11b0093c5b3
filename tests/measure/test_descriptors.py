"""Descriptors of pictures, and the distances of pairs of them."""

from __future__ import annotations

import pytest
import torch
from scipy.spatial.distance import braycurtis
from torch import nn

from maxprune.errors import UsageError
from maxprune.measure import descriptors, verification_distances

PIXELS = torch.randint(0, 256, (7, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator())
NETWORK = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(0.5))


def test_a_row_for_each_picture() -> None:
    NETWORK.train()
    expected = nn.functional.adaptive_avg_pool2d(PIXELS.float() / 255, 2).flatten(1)
    for batch in (2, 7, 100):
        assert descriptors(NETWORK, PIXELS, batch) == pytest.approx(expected, rel=1e-6)
    assert NETWORK.training


def test_distances_of_pairs() -> None:
    rows = descriptors(NETWORK, PIXELS).double().numpy()
    places = torch.tensor([[6, 2], [2, 4], [6, 6]])
    expected = [braycurtis(rows[i], rows[j]) for i, j in places.tolist()]
    assert verification_distances(NETWORK, PIXELS, places).tolist() == pytest.approx(expected)


def test_each_picture_is_described_once() -> None:
    seen: list[int] = []
    hook = NETWORK.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    verification_distances(NETWORK, PIXELS, torch.tensor([[0, 1], [1, 0], [0, 5]]))
    hook.remove()
    assert seen == [3]


def test_what_is_no_descriptor() -> None:
    with pytest.raises(UsageError, match="no pictures"):
        descriptors(NETWORK, PIXELS[:0])
    with pytest.raises(UsageError, match="one row of features"):
        descriptors(nn.Identity(), PIXELS)
