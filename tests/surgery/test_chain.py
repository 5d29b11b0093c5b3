"""What can be cut, and the refusals, each with its reason."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune

from maxprune.errors import StructureError
from maxprune.networks import Maxout, lenet5
from maxprune.plan import MaxoutPlan, keep_plan
from maxprune.surgery import apply
from maxprune.surgery.chain import find_chain


class Net(nn.Module):
    """Layers a and b between two more, and whatever path through them the test wants."""

    def __init__(self, path: Callable[[Net, Tensor], Tensor], convolution: bool = False) -> None:
        super().__init__()
        self.a: nn.Module = nn.Conv2d(3, 4, 3) if convolution else nn.Linear(4, 4)
        self.b: nn.Module = nn.Linear(4 * 9 if convolution else 4, 4)
        self.c: nn.Module = nn.Linear(4, 4)
        self.maxout = Maxout(2)
        self.norm = nn.BatchNorm1d(4)
        self.path = path

    def forward(self, x: Tensor) -> Tensor:
        return self.path(self, x)


def test_finds_what_stands_between() -> None:
    chain = find_chain(lenet5(fc=8, dropout="conv"), "conv2")
    assert [link.name for link in chain.links] == ["dropout", "pool2", "flatten"]
    assert (chain.layer, chain.reader, chain.maxout) == ("conv2", "fc1", None)


def test_an_unknown_layer_is_answered_with_those_there_are() -> None:
    with pytest.raises(StructureError, match=r"no layer 'fc7'; it has conv1, conv2, fc1, fc2$"):
        find_chain(lenet5(fc=8), "fc7")
    with pytest.raises(StructureError, match="it has none to cut"):
        find_chain(nn.Sequential(nn.ReLU()), "fc7")


def test_a_layer_of_another_kind() -> None:
    with pytest.raises(StructureError, match="'pool1' is a MaxPool2d, not a linear or conv"):
        find_chain(lenet5(fc=8), "pool1")


def test_the_output_layer() -> None:
    with pytest.raises(StructureError, match="'fc2' is an output layer"):
        find_chain(lenet5(fc=8), "fc2")


LINEAR: list[tuple[str, Callable[[Net, Tensor], Tensor], str]] = [
    ("returned too", lambda n, x: (lambda y: (n.b(y), y))(n.a(x)), "feeds 2 others"),  # type: ignore[arg-type,return-value]
    ("two readers", lambda n, x: (lambda y: n.b(y) + n.c(y))(n.a(x)), r"feeds 2 others \(b, c\)"),
    ("residual", lambda n, x: n.b(x + n.a(x)), "passes through add"),
    ("called twice", lambda n, x: n.b(n.a(n.a(x))), "called 2 times"),
    ("reader twice", lambda n, x: n.b(n.b(n.a(x))), "'b', behind layer 'a', is used several"),
    ("never called", lambda n, x: n.b(x), "called 0 times"),
    ("weights read", lambda n, x: F.linear(n.b(n.a(x)), n.a.weight), "called 2 times or as a func"),  # type: ignore[arg-type]
    ("reader's too", lambda n, x: F.linear(n.b(n.a(x)), n.b.weight), "'b', behind layer 'a', is"),  # type: ignore[arg-type]
    ("softmax", lambda n, x: n.b(F.softmax(n.a(x), 1)), "passes through softmax"),
    ("control flow", lambda n, x: n.b(n.a(x)) if x.sum() > 0 else x, "cannot be traced"),
    ("shared maxout", lambda n, x: n.b(F.pad(n.maxout(n.c(n.maxout(n.a(x)))), (0, 2))), "'maxout'"),
    ("shared norm", lambda n, x: n.c(n.norm(n.b(n.norm(n.a(x))))), "'norm', behind layer 'a'"),
    ("transposed", lambda n, x: n.b(n.a(x).t()), "passes through t"),
    ("hard number", lambda n, x: n.b(n.a(x).view(-1, 4)), r"only flatten\(1\) and view"),
    ("regrouped", lambda n, x: n.b(n.a(x).view(2, 2, -1)), r"only flatten\(1\) and view"),
    ("flat batch", lambda n, x: n.b(torch.flatten(n.a(x))), r"only flatten\(1\) and view"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "reason"), [p[1:] for p in LINEAR], ids=[p[0] for p in LINEAR])
def test_refuses(path: Callable[[Net, Tensor], Tensor], reason: str) -> None:
    model = Net(path)
    if reason == "'maxout'":
        model.c = nn.Linear(2, 4)
    with pytest.raises(StructureError, match=reason):
        find_chain(model, "a")


FLATTENINGS: list[Callable[[Net, Tensor], Tensor]] = [
    lambda n, x: n.b(torch.flatten(n.a(x), 1)),
    lambda n, x: n.b(torch.flatten(n.a(x), start_dim=1)),
    lambda n, x: n.b(n.a(x).flatten(1)),
    lambda n, x: n.b(n.a(x).flatten(start_dim=1)),
    lambda n, x: (lambda y: n.b(y.view(y.size(0), -1)))(n.a(x)),
    lambda n, x: (lambda y: n.b(y.view((y.size(0), -1))))(n.a(x)),
    lambda n, x: (lambda y: n.b(y.reshape(y.shape[0], -1)))(n.a(x)),
]


@pytest.mark.parametrize("path", FLATTENINGS)
def test_knows_the_ways_to_flatten(path: Callable[[Net, Tensor], Tensor]) -> None:
    model = Net(path, convolution=True)
    smaller = apply(model, keep_plan({"a": 4}, {"a": (0, 2, 3)}, "test"))
    assert smaller(torch.randn(5, 3, 5, 5)).shape == (5, 4)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (lambda n, x: n.b(n.a(x)), "does not read its neurons one by one"),
        (lambda n, x: n.b(n.a(x).flatten(2)), "only flatten"),
        (lambda n, x: n.b(n.maxout(n.a(x).flatten(1))), "flattened before the maxout"),
    ],
)
def test_refuses_convolutions_whose_channels_are_not_the_inputs(
    path: Callable[[Net, Tensor], Tensor], reason: str
) -> None:
    with pytest.raises(StructureError, match=reason):
        find_chain(Net(path, convolution=True), "a")


def test_refuses_a_reader_with_other_inputs_beside() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(38, 2))
    with pytest.raises(StructureError, match="the 38 inputs of '2' do not belong to its 4 neurons"):
        find_chain(model, "0")


def test_refuses_grouped_convolutions_on_both_sides() -> None:
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.Conv2d(4, 4, 3, groups=2), nn.Conv2d(4, 2, 1))
    for layer in ("0", "1"):
        with pytest.raises(StructureError, match="'1' is a grouped convolution"):
            find_chain(model, layer)


def test_refuses_tied_weights_on_both_sides() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4))
    model[2].weight = model[1].weight
    with pytest.raises(StructureError, match="'1' shares its weights with '2'"):
        find_chain(model, "0")
    with pytest.raises(StructureError, match="'1' shares its weights with '2'"):
        find_chain(model, "1")


def test_refuses_a_module_under_two_names() -> None:
    shared = nn.Linear(4, 4)
    model = nn.Sequential(shared, nn.ReLU(), shared, nn.Linear(4, 1))
    with pytest.raises(StructureError, match="'0' is called 2 times"):
        find_chain(model, "0")


def test_refuses_weights_that_are_computed() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2))
    parametrizations.weight_norm(model[0])
    prune.l1_unstructured(model[1], "weight", 0.5)
    for layer in ("0", "1"):
        with pytest.raises(StructureError, match=f"'{layer}' is parametrized"):
            find_chain(model, layer)


def test_refuses_weights_that_do_not_exist_yet() -> None:
    model = nn.Sequential(nn.LazyLinear(4), nn.Linear(4, 2))
    with pytest.raises(StructureError, match="has no weights yet"):
        find_chain(model, "0")


def test_a_maxout_of_the_users_own_in_a_custom_module_goes_at_one() -> None:
    model = Net(lambda n, x: n.b(n.maxout(F.relu(n.a(x)))))
    model.b = nn.Linear(2, 4)
    smaller = apply(model, keep_plan({"a": 4}, {"a": (0, 3)}, "test"))
    assert not any(isinstance(m, Maxout) for m in smaller.modules())
    x = torch.randn(3, 4)
    narrow = F.relu(F.linear(x, model.a.weight[[0, 3]], model.a.bias[[0, 3]]))  # type: ignore[index]
    assert torch.allclose(smaller(x), model.b(narrow))
    again = apply(smaller, MaxoutPlan(layer="a", k=2))
    assert sum(isinstance(m, Maxout) for m in again.modules()) == 1
    assert again(x).shape == (3, 4)
