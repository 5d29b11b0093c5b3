"""Compressed sparse rows: the same outputs without the zeros."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from maxprune import apply, sparse_rows, zero_plan
from maxprune.errors import UsageError
from maxprune.networks import lenet5
from maxprune.store.graph import as_graph, from_graph
from maxprune.weights.sparse import SparseConv2d, SparseLinear


def zeroed(layer: nn.Module, share: float = 0.8) -> nn.Module:
    torch.manual_seed(0)
    for weight in layer.parameters():
        if weight.ndim > 1:
            weight.data[torch.rand_like(weight) < share] = 0
    return layer


def same(layer: nn.Module, x: Tensor) -> None:
    with torch.no_grad():
        torch.testing.assert_close(sparse_rows(layer)(x), layer.eval()(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(7,), (1, 7), (5, 7), (2, 3, 7), (0, 7)])
@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_layer_gives_the_same(shape: tuple[int, ...], bias: bool) -> None:
    same(zeroed(nn.Linear(7, 4, bias=bias)), torch.randn(shape))


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(3, 5, 3, padding=1), nn.Conv2d(3, 5, 1), nn.Conv2d(3, 5, 1, stride=2, bias=False),
        nn.Conv2d(3, 5, (3, 5), stride=(2, 1), padding=(0, 2), dilation=(1, 2)),
        nn.Conv2d(3, 5, 3, padding="same", dilation=2), nn.Conv2d(3, 5, 3, padding="valid"),
        nn.Conv2d(3, 5, 1, padding=1),
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("batch", [1, 4])
def test_a_convolution_gives_the_same(layer: nn.Conv2d, batch: int) -> None:
    assert isinstance(sparse_rows(zeroed(layer)), SparseConv2d)
    same(layer, torch.randn(batch, 3, 11, 12))


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 4, 3, groups=2), nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(4, 4, 2, padding="same"), nn.Conv1d(4, 4, 3),
    ],
    ids=str,
)  # fmt: skip
def test_other_convolutions_stay_as_they_are(layer: nn.Module) -> None:
    model = zeroed(nn.Sequential(layer, nn.Linear(9, 9)))
    found = sparse_rows(model)
    assert type(found[0]) is type(layer)
    assert isinstance(found[1], SparseLinear)


def test_a_whole_network_without_its_zeros() -> None:
    torch.manual_seed(0)
    net = lenet5(fc=32)
    net = apply(net, zero_plan(net, 0.9))
    found = sparse_rows(net)
    kept = {name for name, m in found.named_modules() if isinstance(m, SparseConv2d | SparseLinear)}
    stored = sum(len(found.get_submodule(name).values) for name in kept)
    assert stored == sum(int(net.get_submodule(name).weight.count_nonzero()) for name in kept)
    assert {"fc1", "conv2"} <= kept
    same(net, torch.rand(3, 1, 28, 28))
    assert type(net.fc1) is nn.Linear  # the given network is as it was


def test_it_is_copied_and_kept_like_any_network() -> None:
    found = sparse_rows(zeroed(nn.Sequential(nn.Linear(7, 4), nn.ReLU(), nn.Linear(4, 2))))
    other = sparse_rows(zeroed(nn.Sequential(nn.Linear(7, 4), nn.ReLU(), nn.Linear(4, 2))))
    other.load_state_dict(copy.deepcopy(found).state_dict())
    x = torch.randn(3, 7)
    assert torch.equal(other(x), found(x))


def test_it_takes_eight_bytes_a_weight() -> None:
    layer = zeroed(nn.Linear(3000, 1000, bias=False), 0.9)
    found = sparse_rows(layer)
    held = sum(b.untyped_storage().nbytes() for b in found.buffers())
    assert held == 8 * int(layer.weight.count_nonzero()) + 4 * 1001
    assert found.values._base is None  # which would keep more


def test_only_layers_with_so_many_zeros_are_changed() -> None:
    model = nn.Sequential(zeroed(nn.Linear(50, 50), 0.6), zeroed(nn.Linear(50, 50), 0.9))
    found = sparse_rows(model, 0.75)
    assert type(found[0]) is nn.Linear
    assert isinstance(found[1], SparseLinear)


def test_a_shared_layer_is_changed_in_both_places() -> None:
    layer = zeroed(nn.Linear(6, 6))
    found = sparse_rows(nn.Sequential(layer, nn.ReLU(), layer))
    assert isinstance(found[0], SparseLinear)
    assert found[0] is found[2]


class _Odd(nn.Module):
    """Weights that are used twice, turned and not, and a bias that is computed."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(6, 6, bias=False), nn.Linear(6, 3)
        self.shift = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(torch.relu(self.first(x))) @ self.first.weight
        found: Tensor = torch.addmm(self.shift.bias * 2, x.flatten(0, -2), self.shift.weight.T)
        return self.last(x).flatten(0, -2).sum(1) + found.sum(1)


@pytest.mark.parametrize(
    ("net", "shape", "count"),
    [
        (lenet5(fc=32), (1, 28, 28), 4),
        (nn.Sequential(nn.Linear(7, 5), nn.ReLU(), nn.Linear(5, 4, bias=False)), (3, 7), 2),
        (nn.Conv2d(4, 6, (3, 5), stride=(2, 1), padding=(0, 2), dilation=(1, 2)), (4, 11, 12), 1),
        (_Odd(), (5, 6), 2),
    ],
)  # fmt: skip
def test_a_network_that_is_opened_by_its_graph(
    net: nn.Module, shape: tuple[int, ...], count: int
) -> None:
    net, x = zeroed(net, 0.9).eval(), torch.rand(3, *shape)
    graph = from_graph(as_graph(net, x), net.state_dict())
    same(graph, x)
    same(graph, x[:1])
    found = sparse_rows(graph)
    layers = [m for m in found.modules() if isinstance(m, SparseConv2d | SparseLinear)]
    assert len(layers) == count
    if not isinstance(net, _Odd):  # nothing dense is left
        assert not any(p.ndim > 1 for p in found.parameters())
    torch.testing.assert_close(found(x), net(x), rtol=1e-4, atol=1e-5)


def test_other_operators_of_a_graph_stay_as_they_are() -> None:
    grouped, turned = nn.Conv2d(4, 4, 3, groups=2), nn.ConvTranspose2d(4, 4, 2)
    net, x = zeroed(nn.Sequential(grouped, turned, nn.Conv2d(4, 4, 1))), torch.rand(2, 4, 9, 9)
    graph = from_graph(as_graph(net.eval(), x), net.state_dict())
    same(graph, x)
    kinds = [type(m) for m in sparse_rows(graph).children()]
    assert kinds.count(SparseConv2d) == 1
    assert kinds.count(nn.Conv2d) == 1


def test_bad_input() -> None:
    with pytest.raises(UsageError, match="a network is a torch module, not 'x'"):
        sparse_rows("x")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="prune single weights first"):
        sparse_rows(nn.Linear(3, 3))
    with pytest.raises(UsageError, match="share of zeros"):
        sparse_rows(zeroed(nn.Linear(3, 3)), 1.5)
