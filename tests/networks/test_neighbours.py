"""Soft signs of a pixel's neighbours."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from maxprune import load, save
from maxprune.errors import UsageError
from maxprune.measure import parameters
from maxprune.networks import Neighbours, descriptor_network, vgg_face_small
from maxprune.plan import least_winning, maxout_plan
from maxprune.store import export_onnx
from maxprune.surgery import apply

SMALL = {"blocks": [[4], [8]], "hidden": [16, 8], "size": 16, "identities": 5}


def test_every_neighbour_has_its_channel() -> None:
    x = torch.rand(2, 1, 5, 6)
    found = Neighbours(3.0)(x)
    assert found.shape == (2, 9, 5, 6)
    assert torch.equal(found[:, :1], x)
    around = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)]
    for channel, (down, right) in enumerate(around, 1):
        expected = torch.tanh(3 * (x[0, 0, 2 + down, 3 + right] - x[0, 0, 2, 3]))
        assert torch.isclose(found[0, channel, 2, 3], expected)
    assert found[0, 1, 0, 0] == 0  # the edge goes on


def test_light_changes_the_picture_alone() -> None:
    x = 0.5 * torch.rand(1, 1, 6, 6)
    one, other = Neighbours(20.0)(x), Neighbours(20.0)(x + 0.3)
    assert torch.allclose(one[:, 1:], other[:, 1:], atol=1e-4)
    with pytest.raises(UsageError, match="above 0"):
        Neighbours(0.0)


def test_a_network_that_sees_them_is_cut_saved_and_exported(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = vgg_face_small(**SMALL, steepness=20.0).eval()  # type: ignore[arg-type]
    plain = vgg_face_small(**SMALL)  # type: ignore[arg-type]
    assert parameters(network) - parameters(plain) == 8 * 4 * 9
    for layer, neurons in (("fc1", 16), ("conv2_1", 8)):
        network = apply(network, maxout_plan(layer, 4))
        for k in (4, 3, 2):
            wins = torch.zeros(neurons // 4, k).long()
            network = apply(network, least_winning(layer, wins))
    body, x = descriptor_network(network.eval()), torch.rand(3, 1, 16, 16)
    assert torch.equal(load(save(body, tmp_path / "body"))(x), body(x))
    export_onnx(body, tmp_path / "body.onnx", x)
