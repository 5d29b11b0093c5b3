"""A verifier whose weights lie in a coded file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from verify_helpers import write_picture, write_verifier

from maxprune import apply, share_plan, zero_plan
from maxprune.coding import decode
from maxprune.coding.onnx import decode_weights, encode_weights
from maxprune.errors import StoreError
from maxprune.networks import vgg_face_small
from maxprune.verify import Gallery, Verifier

BLOCKS = ((16, 16), (32,))


def trained(seed: int = 0) -> nn.Module:
    """Batch norms that have seen something, so that the exporter has something to fold."""
    torch.manual_seed(seed)
    net = vgg_face_small(BLOCKS, (64, 64), size=8, identities=0).train()
    with torch.no_grad():
        for _ in range(5):
            net(torch.rand(32, 1, 8, 8))
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
                module.weight.uniform_(0.5, 2)
                module.bias.uniform_(-1, 1)
    net.eval()
    net = apply(net, zero_plan(net, 0.8))
    return apply(net, share_plan(net, 4))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_verifier(tmp_path_factory.mktemp("coded"), trained())


def test_it_describes_a_face_as_the_network_does(folder: Path, tmp_path: Path) -> None:
    picture = write_picture(tmp_path / "a.png", [10, 60, 110, 250], side=8)
    described = Verifier(folder, "none").describe(picture)
    levels = torch.tensor([[10.0, 60], [110, 250]]).repeat_interleave(4, 0).repeat_interleave(4, 1)
    with torch.no_grad():
        (expected,) = trained()(levels[None, None] / 255)
    np.testing.assert_allclose(described.descriptor, expected.numpy(), rtol=1e-4, atol=1e-5)


def test_it_is_a_tenth_of_the_weights(folder: Path) -> None:
    size = sum(path.stat().st_size for path in folder.glob("verifier.[om]*"))
    plain = 4 * sum(p.numel() for p in trained().parameters())
    assert (folder / "verifier.mxp").stat().st_size < plain / 10
    assert size < plain / 4  # the graph and what batch norms leave do not shrink
    described = json.loads((folder / "verifier.json").read_text())
    assert described["format"] == 2


def test_only_few_values_are_kept_of_a_folded_layer(folder: Path) -> None:
    content = (folder / "verifier.mxp").read_bytes()
    tensors = decode(content).tensors
    assert tensors["conv1_2.weight/rows"].shape == (16,)
    assert len(np.unique(tensors["conv1_2.weight"])) <= 17
    assert len(np.unique(decode_weights(content)["conv1_2.weight"])) > 17


def test_a_verifier_that_replaces_it_is_whole(tmp_path: Path) -> None:
    write_verifier(tmp_path, trained())
    write_verifier(tmp_path)
    assert not (tmp_path / "verifier.mxp").exists()
    assert json.loads((tmp_path / "verifier.json").read_text())["format"] == 1
    Verifier(tmp_path, "none")


def test_damage_is_found(folder: Path, tmp_path: Path) -> None:
    for name in ("verifier.onnx", "verifier.mxp"):
        place = tmp_path / name.replace(".", "-")
        shutil.copytree(folder, place)
        content = bytearray((place / name).read_bytes())
        content[len(content) // 2] ^= 1
        (place / name).write_bytes(content)
        with pytest.raises(StoreError, match=f"{name} is damaged"):
            Verifier(place)
    shutil.copytree(folder, tmp_path / "gone")
    (tmp_path / "gone" / "verifier.mxp").unlink()
    with pytest.raises(StoreError, match="does not exist"):
        Verifier(tmp_path / "gone")


def test_a_gallery_knows_other_weights_in_the_same_graph(folder: Path, tmp_path: Path) -> None:
    other = write_verifier(tmp_path / "other", trained(seed=1))
    assert (other / "verifier.onnx").read_bytes() == (folder / "verifier.onnx").read_bytes()
    gallery = Gallery(Verifier(folder).about.checksum())
    gallery.write(tmp_path / "known")
    with pytest.raises(StoreError, match="enroll the people again"):
        Gallery.read(tmp_path / "known", Verifier(other))


def test_factors_that_do_not_fit() -> None:
    few = np.array([[1.0, 2, 0], [2, 1, 1]], np.float32)
    folded = few * np.array([[3.0], [-0.5]], np.float32)
    content = encode_weights({"a": folded, "b": few, "c": folded}, {"a": few, "b": few})
    found = decode_weights(content)
    assert {name: array.tolist() for name, array in found.items()} == {
        "a": folded.tolist(), "b": few.tolist(), "c": folded.tolist(),
    }  # fmt: skip
    assert set(decode(content).tensors) == {"a", "a/rows", "b", "c"}
    dead = np.zeros((2, 3), np.float32)
    assert decode_weights(encode_weights({"a": dead}, {"a": dead}))["a"].tolist() == dead.tolist()
    with pytest.raises(StoreError, match="a/rows does not fit"):
        decode_weights(encode_weights({"a/rows": few[0], "a": few}, {}))
