"""VGG-Face at full size: read, a maxout put in, its winners counted, and cut from 4 to 1."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from maxprune import Maxout, apply, count_wins, least_winning, maxout_plan
from maxprune.measure import parameters
from maxprune.networks import vgg_face
from maxprune.store import read_vgg_face

LEFT = {
    "fc6": [132_419_966, 106_728_830, 81_037_694, 55_346_558],
    "conv5_3": [67_932_542, 67_342_590, 66_752_638, 66_162_686],
}
"""Parameters at k = 4, 3, 2, 1, as published (Moya Rueda et al. 2017, Table 3)."""


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> nn.Module:
    """VGG-Face from a file of random weights: a block of them, over and over."""
    block = torch.randn(10_007, generator=torch.Generator().manual_seed(0))
    with torch.device("meta"):
        shapes = {name: value.shape for name, value in vgg_face().state_dict().items()}
    state = {name: filled(block, shape) for name, shape in shapes.items()}
    path = tmp_path_factory.mktemp("full") / "vgg_face_dag.pth"
    torch.save(state, path)
    model = read_vgg_face(path).model
    path.unlink()
    assert torch.equal(model.fc6.weight, state["fc6.weight"])
    return model


def filled(block: Tensor, shape: torch.Size) -> Tensor:
    """Weights that keep the activations as large as they are, and biases of zero."""
    if len(shape) == 1:
        return torch.zeros(shape)
    tiled = block.repeat(math.ceil(shape.numel() / len(block)))[: shape.numel()].view(shape)
    return tiled * (2 / shape[1:].numel()) ** 0.5


@pytest.mark.parametrize("layer", LEFT)
def test_the_published_sizes(layer: str, network: nn.Module) -> None:
    pictures = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    assert parameters(network) == 145_002_878
    model = apply(network, maxout_plan(layer, 4))
    left = [parameters(model)]
    for k in (4, 3, 2):
        wins = count_wins(model, layer, [pictures]).wins
        assert wins.shape == (len(network.get_submodule(layer).weight) // 4, k)
        assert (wins.sum(0) > 0).all()
        model = apply(model, least_winning(layer, wins))
        left.append(parameters(model))
    assert left == LEFT[layer]
    assert not any(isinstance(module, Maxout) for module in model.modules())
    before = network.get_submodule(layer).weight.flatten(1).unflatten(0, (-1, 4))
    after = model.get_submodule(layer).weight.flatten(1)
    kept = torch.stack([(before[:, i] == after).all(1) for i in range(4)], 1)
    assert (kept.sum(1) == 1).all()  # one neuron of every unit is there, whole and in its place
    assert len({*kept.int().argmax(1).tolist()}) == 4
    with torch.inference_mode():
        found = model(pictures)
    assert found.shape == (2, 2622)
    assert found.isfinite().all()
    assert found.std(0).min() > 0
