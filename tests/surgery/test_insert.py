"""Where the maxout comes to stand, and what is refused."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
import torch.nn.functional as F
from small_networks import Mixed, line, nested, normed, trained
from torch import Tensor, fx, nn

from maxprune.errors import StructureError, UsageError
from maxprune.networks import Maxout, lenet5
from maxprune.plan import MaxoutPlan
from maxprune.surgery import apply


def order(model: nn.Module) -> list[str]:
    return [name for name, _ in model.named_children()]


def insert(model: nn.Module, layer: str, k: int = 2) -> nn.Module:
    return apply(model, MaxoutPlan(layer=layer, k=k))


def test_stands_behind_batch_norm_activation_and_dropout() -> None:
    wide = insert(normed(), "fc1")
    assert order(wide) == ["fc1", "bn", "relu", "dropout", "fc1_maxout", "fc2"]


def test_stands_in_front_of_the_pooling() -> None:
    assert order(insert(nested(), "features.conv2").get_submodule("features"))[-2:] == [
        "conv2_maxout",
        "pool2",
    ]
    assert order(insert(line(), "0"))[:4] == ["0", "1", "0_maxout", "2"]
    lenet = insert(lenet5(fc=8, conv=(2, 4), dropout="conv"), "conv2")
    assert order(lenet)[2:6] == ["conv2", "dropout", "conv2_maxout", "pool2"]


def test_a_sequential_stays_one_and_another_module_becomes_a_graph() -> None:
    assert type(insert(normed(), "fc1")) is nn.Sequential
    assert isinstance(insert(Mixed(), "conv"), fx.GraphModule)
    assert type(insert(Mixed(), "block.0")) is Mixed


def test_in_a_graph_it_stands_behind_the_activation_too() -> None:
    wide = insert(Mixed(), "conv")
    assert isinstance(wide, fx.GraphModule)
    called = [n.target for n in wide.graph.nodes if n.op == "call_module"]
    assert called[called.index("conv") :][:5] == ["conv", "norm", "relu", "conv_maxout", "pool"]


def test_the_next_layer_reads_a_unit_with_the_mean_of_its_neurons_weights() -> None:
    model = nn.Sequential(nn.Linear(2, 4), nn.Linear(4, 1))
    model[1].weight.data = torch.tensor([[1.0, 3.0, -2.0, 5.0]])
    wide = insert(model, "0")
    assert wide.get_parameter("1.weight").tolist() == [[2.0, 1.5]]


def test_behind_a_flattening_each_position_is_averaged_by_itself() -> None:
    model = nn.Sequential(nn.Conv1d(1, 2, 1), nn.Flatten(), nn.Linear(6, 1))
    model[2].weight.data = torch.tensor([[1.0, 2, 3, 10, 20, 30]])
    assert insert(model, "0").get_parameter("2.weight").tolist() == [[5.5, 11.0, 16.5]]


def test_a_sequential_that_is_picked_by_index_is_left_in_order() -> None:
    model = trained(Mixed()).eval()
    wide = insert(model, "indexed.0")
    assert isinstance(wide, fx.GraphModule)
    x = torch.randn(3, 2, 8, 8)
    seen: list[Tensor] = []
    maxout = next(m for m in wide.modules() if isinstance(m, Maxout))
    maxout.register_forward_hook(lambda _, args, out: seen.extend([args[0], out]))
    out = wide.eval()(x)
    assert torch.equal(seen[1], Maxout(2)(seen[0]))
    assert torch.equal(out, wide.get_submodule("indexed.2")(seen[1]))


def test_the_name_is_free() -> None:
    model = nn.Sequential(
        OrderedDict[str, nn.Module](
            fc=nn.Linear(2, 4), relu=nn.ReLU(), out=nn.Linear(4, 2), fc_maxout=nn.Identity()
        )
    )
    assert order(insert(model, "fc")) == ["fc", "relu", "fc_maxout_", "out", "fc_maxout"]


def test_two_layers_of_the_same_last_name_in_a_graph() -> None:
    wide = insert(insert(trained(Mixed()), "picked.0", 4), "indexed.0", 2)
    sizes = {name: m.k for name, m in wide.named_modules() if isinstance(m, Maxout)}
    assert sizes == {"0_maxout": 4, "0_maxout_": 2}
    assert wide(torch.randn(3, 2, 8, 8)).shape == (3, 5)


def test_where_k_does_not_divide_some_units_have_less() -> None:
    model = nn.Sequential(nn.Linear(2, 5), nn.Linear(5, 1))
    model[1].weight.data = torch.tensor([[1.0, 3.0, 2.0, 5.0, -1.0]])
    wide = insert(model, "0", 3)
    assert wide.get_submodule("0_maxout").sizes == (3, 2)
    assert wide.get_parameter("1.weight").tolist() == [[2.0, 2.0]]


def test_refuses_a_k_of_more_neurons_than_there_are() -> None:
    with pytest.raises(UsageError, match="k = 11 is more than the 10 neurons of 'fc1'"):
        insert(lenet5(fc=10, conv=(2, 2)), "fc1", 11)


def test_refuses_a_second_maxout() -> None:
    with pytest.raises(StructureError, match="feeds the maxout 'fc1_maxout' already"):
        insert(insert(normed(), "fc1"), "fc1")


class Switching(nn.Module):
    """Dropout as a function, or only in training."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.fc1, self.fc2, self.how = nn.Linear(4, 8), nn.Linear(8, 2), how

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.fc1(x))
        if self.how == "function":
            x = F.dropout(x, 0.5, self.training)
        if self.how == "branch" and self.training:
            x = x * 2
        return self.fc2(x)


@pytest.mark.parametrize("how", ["function", "branch"])
def test_refuses_to_freeze_what_differs_in_training(how: str) -> None:
    with pytest.raises(StructureError, match=r"something else in training.*nn\.Dropout"):
        insert(Switching(how), "fc1")
    insert(Switching("no"), "fc1")


def test_dropout_in_a_graph_still_follows_the_mode() -> None:
    wide = insert(trained(Mixed()), "conv")
    x = torch.randn(4, 2, 8, 8)
    assert torch.equal(wide.eval()(x), wide(x))
    assert not torch.equal(wide.train()(x), wide(x))
