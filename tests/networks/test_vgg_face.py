"""VGG-Face with its mean in front: the same network, and everything can still be done with it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from maxprune import apply, audit, channel_groups, export_onnx, load, lowest, magnitude, save
from maxprune.errors import UsageError
from maxprune.networks import vgg_face
from maxprune.plan import maxout_plan

MEAN = (0.5, 0.4, 0.3)
SMALL = {"blocks": [[4], [6, 8]], "hidden": [12], "size": 16, "identities": 5}


def test_the_mean_is_taken_away_first() -> None:
    torch.manual_seed(0)
    plain = vgg_face(**SMALL).eval()
    torch.manual_seed(0)
    network = vgg_face(**SMALL, mean=MEAN).eval()
    x = torch.rand(2, 3, 16, 16)
    with torch.no_grad():
        expected = plain(x - torch.tensor(MEAN)[:, None, None])
        torch.testing.assert_close(network(x), expected)
    assert [name for name, _ in network.named_children()][:2] == ["mean", "conv1_1"]
    assert next(iter(network.parameters())).shape == (4, 3, 3, 3)


def test_it_is_cut_saved_and_exported(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network, x = vgg_face(**SMALL, mean=MEAN).eval(), torch.rand(4, 3, 16, 16)
    groups = channel_groups(network, x)
    assert not [group.reason for group in groups if group.reason][1:]  # but for the outputs
    plan = lowest(groups, magnitude(network, groups), 0.5)
    smaller = apply(network, plan)
    assert audit(network, smaller, plan, x) < 1e-5
    smaller = apply(apply(smaller, maxout_plan("conv2_2", 2)), maxout_plan("fc3", 2)).eval()
    save(smaller, tmp_path / "saved")
    export_onnx(smaller, tmp_path / "net.onnx", x)
    with torch.no_grad():
        torch.testing.assert_close(load(tmp_path / "saved")(x), smaller(x))


def test_a_mean_of_other_channels() -> None:
    with pytest.raises(UsageError, match="vgg_face: 2 means for 3 channels"):
        vgg_face(**SMALL, mean=(0.5, 0.5))
