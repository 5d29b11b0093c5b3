"""Descriptors: what a layer gives, in order, without dropout, and the network is left as it was."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from maxprune.errors import StructureError, UsageError
from maxprune.measure import descriptors


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(8, 3)
    )


@pytest.mark.parametrize(("layer", "width"), [("1", 8), ("2", 8), ("4", 3)])
def test_rows_of_every_batch_in_order(layer: str, width: int) -> None:
    model, x = network(), torch.randn(5, 1, 4, 4)
    found = descriptors(model, layer, [x[:2], (x[2:], torch.zeros(3))])
    with torch.no_grad():
        expected = model.eval()[: int(layer) + 1](x).flatten(1)
    assert found.shape == (5, width)
    assert (expected.std(0) > 0).all()
    torch.testing.assert_close(found, expected)
    assert not found.is_inference()


def test_the_network_is_left_as_it_was() -> None:
    model = network()
    model[2].eval()
    before = [(name, module.training) for name, module in model.named_modules()]

    def broken() -> object:
        yield torch.rand(2, 1, 4, 4)
        raise OSError("no more")

    with pytest.raises(OSError, match="no more"):
        descriptors(model, "1", broken())
    assert [(name, module.training) for name, module in model.named_modules()] == before
    assert not model[1]._forward_hooks


class Odd(nn.Module):
    """One module gives two tensors, one is used twice, and one not at all."""

    def __init__(self) -> None:
        super().__init__()
        self.recurrent, self.twice, self.unused = nn.GRU(4, 4), nn.ReLU(), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.twice(self.twice(self.recurrent(x)[0]))


@pytest.mark.parametrize(("layer", "reason"), [
    ("fc7", "the network has no module 'fc7'"),
    ("recurrent", "layer 'recurrent' gives tuple a batch, not one tensor"),
    ("twice", "layer 'twice' gives Tensor, Tensor a batch, not one tensor"),
    ("unused", "layer 'unused' gives nothing a batch, not one tensor"),
])  # fmt: skip
def test_layers_without_descriptors(layer: str, reason: str) -> None:
    with pytest.raises(StructureError, match=reason):
        descriptors(Odd(), layer, [torch.rand(3, 4)])


def test_no_inputs() -> None:
    with pytest.raises(UsageError, match="no inputs to take the descriptors of layer '1' of"):
        descriptors(network(), "1", [])
