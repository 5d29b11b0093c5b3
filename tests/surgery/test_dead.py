"""Dead and unread neurons go for real, and the outputs stay."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from small_networks import trained
from torch import Tensor, nn

from maxprune.lineage import lineage
from maxprune.measure import parameters
from maxprune.networks import Maxout, lenet5
from maxprune.plan import MaxoutPlan
from maxprune.surgery import DeadRemoval, alive_neurons, apply, remove_dead


def kill(model: nn.Module, layer: str, *neurons: int) -> None:
    model.get_parameter(f"{layer}.weight").data[list(neurons)] = 0.0


def check(model: nn.Module, *shape: int) -> DeadRemoval:
    """Remove the dead; the caller's network is as it was, and the outputs are the same."""
    x = torch.randn(12, *shape, generator=torch.Generator().manual_seed(3))
    model.eval()
    before, expected = [p.clone() for p in model.parameters()], model(x)
    removal = remove_dead(model)
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), before, strict=True))
    difference = (removal.model.eval()(x) - expected).abs().max() / expected.abs().max()
    assert difference <= 1e-6
    return removal


def width(removal: DeadRemoval, layer: str) -> int:
    return int(removal.model.get_parameter(f"{layer}.weight").shape[0])


ACTIVATIONS = [
    nn.ReLU(), nn.ReLU(inplace=True), nn.LeakyReLU(0.3), nn.Tanh(), nn.Sigmoid(), nn.GELU(),
    nn.Identity(), nn.LeakyReLU(0.3, inplace=True),
]  # fmt: skip


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
def test_linear_to_linear(activation: nn.Module) -> None:
    model = trained(nn.Sequential(nn.Linear(4, 8), activation, nn.Linear(8, 3)))
    kill(model, "0", 1, 2, 7)
    removal = check(model, 4)
    assert (width(removal, "0"), removal.stayed) == (5, {})
    assert removal.plans[0].removed("0") == (1, 2, 7)


def test_nothing_dead_nothing_changed() -> None:
    model = trained(nn.Sequential(nn.Linear(4, 8), nn.ReLU(inplace=True), nn.Linear(8, 3)))
    removal = check(model, 4)
    assert (removal.plans, removal.stayed) == ((), {})
    assert removal.model is not model
    assert str(removal.model) == str(model)


@pytest.mark.parametrize("norm_first", [True, False])
def test_through_batch_norm(norm_first: bool) -> None:
    between = [nn.BatchNorm1d(8), nn.LeakyReLU(0.3)]
    layers = between if norm_first else between[::-1]
    model = trained(nn.Sequential(nn.Linear(4, 8, bias=False), *layers, nn.Linear(8, 3)))
    kill(model, "0", 0, 5)
    removal = check(model, 4)
    assert width(removal, "0") == 6
    assert removal.model.get_buffer(f"{1 if norm_first else 2}.running_mean").shape == (6,)


def test_a_batch_norm_without_statistics_is_left_alone() -> None:
    model = nn.Sequential(
        nn.Linear(4, 8), nn.BatchNorm1d(8, track_running_stats=False), nn.Linear(8, 3)
    )
    kill(model, "0", 1)
    removal = check(model, 4)
    assert removal.stayed == {"0": "1 dead: '1' has no running statistics"}


def test_convolution_to_convolution_without_padding() -> None:
    model = trained(
        nn.Sequential(nn.Conv2d(2, 6, 3), nn.LeakyReLU(0.3), nn.Conv2d(6, 3, 3), nn.Flatten())
    )
    kill(model, "0", 0, 4)
    removal = check(model, 2, 8, 8)
    assert (width(removal, "0"), removal.stayed) == (4, {})


@pytest.mark.parametrize("padding", [1, "same", (0, 1)])
def test_padding_lets_only_zeros_be_folded(padding: int | str) -> None:
    model = trained(
        nn.Sequential(nn.Conv2d(2, 6, 3), nn.ReLU(), nn.Conv2d(6, 3, 3, padding=padding))
    )
    model.get_parameter("0.bias").data.copy_(torch.tensor([1.0, 1, 2, -1, 0, 1]))
    kill(model, "0", 2, 3, 4, 5)
    removal = check(model, 2, 8, 8)
    assert removal.plans[0].removed("0") == (3, 4)
    assert removal.stayed == {"0": "2 dead: read through the padding of '2'"}


def test_padding_of_the_dead_layer_itself_does_not_matter() -> None:
    model = trained(nn.Sequential(nn.Conv2d(2, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 3, 3)))
    model.get_parameter("0.bias").data.fill_(1.0)
    kill(model, "0", 2)
    assert width(check(model, 2, 8, 8), "0") == 5


def test_a_neuron_that_nobody_reads_goes_even_where_padding_is() -> None:
    model = trained(nn.Sequential(nn.Conv2d(2, 6, 3), nn.ReLU(), nn.Conv2d(6, 3, 3, padding=1)))
    model.get_parameter("0.bias").data.fill_(1.0)
    kill(model, "0", 2)
    model.get_parameter("2.weight").data[:, [1, 2]] = 0.0
    removal = check(model, 2, 8, 8)
    assert removal.plans[0].removed("0") == (1, 2)
    assert removal.stayed == {}


@pytest.mark.parametrize("norm", [False, True])
def test_convolution_to_linear_through_flatten(norm: bool) -> None:
    layers = [nn.Conv2d(2, 6, 3), nn.LeakyReLU(0.3), nn.MaxPool2d(2), nn.Flatten()]
    if norm:
        layers.append(nn.BatchNorm1d(54))
    model = trained(nn.Sequential(*layers, nn.Flatten(), nn.Linear(54, 3)))
    kill(model, "0", 1, 5)
    removal = check(model, 2, 8, 8)
    assert width(removal, "0") == 4
    assert removal.model[-1].in_features == 36  # type: ignore[index,union-attr]


POOLS: list[tuple[nn.Module, bool]] = [
    (nn.AvgPool2d(2), True), (nn.AvgPool2d(4, ceil_mode=True), True),
    (nn.AdaptiveAvgPool2d(3), True), (nn.AdaptiveMaxPool2d(3), True),
    (nn.MaxPool2d(3, padding=1), True), (nn.AvgPool2d(3, 2, padding=1), False),
    (nn.AvgPool2d(2, divisor_override=3), False),
]  # fmt: skip


@pytest.mark.parametrize(("pool", "folds"), POOLS, ids=lambda p: str(p))
def test_pooling(pool: nn.Module, folds: bool) -> None:
    body = nn.Sequential(nn.Conv2d(2, 6, 3), pool, nn.LeakyReLU(0.3), nn.Flatten())
    features = body(torch.zeros(1, 2, 8, 8)).shape[1]
    model = trained(nn.Sequential(*body, nn.Linear(features, 3)))
    kill(model, "0", 1, 5)
    removal = check(model, 2, 8, 8)
    assert width(removal, "0") == (4 if folds else 6)
    reason = "2 dead: read through the padding or divisor of '1'"
    assert removal.stayed == ({} if folds else {"0": reason})


class AsFunctions(nn.Module):
    def __init__(self, padding: int) -> None:
        super().__init__()
        self.conv, self.fc, self.padding = nn.Conv2d(2, 6, 3), nn.Linear(6 * 9, 3), padding

    def forward(self, x: Tensor) -> Tensor:
        x = F.leaky_relu(input=self.conv(x), negative_slope=0.3, inplace=True)
        x = F.avg_pool2d(x, 4, 2, self.padding) if self.padding else F.avg_pool2d(x, 2)
        return self.fc(torch.flatten(x, 1))


@pytest.mark.parametrize("padding", [0, 1])
def test_functions_between_the_layers(padding: int) -> None:
    model = trained(AsFunctions(padding))
    kill(model, "conv", 1, 5)
    removal = check(model, 2, 8, 8)
    assert width(removal, "conv") == (6 if padding else 4)
    assert bool(removal.stayed) == bool(padding)


def test_a_reader_without_a_bias_takes_zeros_only() -> None:
    """A new bias would not be in the network that a stored lineage builds again."""
    model = trained(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3, bias=False)))
    model.get_parameter("0.bias").data[:3] = torch.tensor([-1.0, 1.0, 0.0])
    kill(model, "0", 0, 1, 2)
    removal = check(model, 4)
    assert removal.plans[0].removed("0") == (0, 2)
    assert removal.stayed == {"0": "1 dead: '2' has no bias that could take their constant"}
    assert removal.model.state_dict().keys() == model.state_dict().keys()


def test_one_removal_brings_the_next() -> None:
    layers = [nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6), nn.ReLU()]
    model = trained(nn.Sequential(*layers, nn.Linear(6, 2)))
    model.get_parameter("6.weight").data[:, 3] = 0.0  # neuron 3 of "4" is unread
    weight = model.get_parameter("4.weight").data
    weight[[0, 1, 2, 4, 5], 2] = 0.0  # and was the only one that reads neuron 2 of "2"
    weight = model.get_parameter("2.weight").data
    weight[[0, 1, 3, 4, 5], 1] = 0.0  # which was the only one that reads neuron 1 of "0"
    removal = check(model, 4)
    assert {layer: plan.removed(layer) for plan in removal.plans for layer in plan.keep} == {
        "4": (3,), "2": (2,), "0": (1,),
    }  # fmt: skip


def test_what_goes_in_a_later_round_is_not_named_as_staying() -> None:
    convolutions = [nn.Conv2d(2, 6, 3), nn.ReLU(), nn.Conv2d(6, 4, 3, padding=1), nn.ReLU()]
    model = trained(nn.Sequential(*convolutions, nn.Conv2d(4, 3, 3)))
    model.get_parameter("0.bias").data.fill_(1.0)
    kill(model, "0", 1)
    model.get_parameter("2.weight").data[[0, 2, 3], 1] = 0.0  # read through padding by neuron 1
    model.get_parameter("4.weight").data[:, 1] = 0.0  # which nobody reads
    removal = check(model, 2, 8, 8)
    assert [plan.removed(layer) for plan in removal.plans for layer in plan.keep] == [(1,), (1,)]
    assert removal.stayed == {}


def test_a_layer_keeps_one_neuron() -> None:
    model = trained(nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2)))
    kill(model, "0", *range(6))
    removal = check(model, 4)
    assert width(removal, "0") == 1
    assert removal.stayed == {"0": "1 dead or unread: a layer keeps at least one neuron"}


def test_the_dead_in_maxout_units_stay_and_are_named() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), Maxout(2), nn.Linear(4, 2))
    kill(trained(model), "0", 1, 2)
    removal = check(model, 4)
    assert removal.plans == ()
    assert removal.stayed == {"0": "2 dead: in maxout units, which keep equal sizes"}


def test_the_dead_of_an_output_layer_stay_and_are_named() -> None:
    model = trained(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)))
    kill(model, "2", 1)
    removal = check(model, 4)
    assert removal.stayed == {"2": "1 dead: layer '2' is an output layer; it is not cut"}


def test_frozen_biases_stay_frozen() -> None:
    model = trained(nn.Sequential(nn.Linear(4, 8), nn.Sigmoid(), nn.Linear(8, 3)))
    kill(model.requires_grad_(False), "0", 1)
    assert not any(p.requires_grad for p in check(model, 4).model.parameters())


def test_the_lineage_goes_on() -> None:
    model = apply(trained(lenet5(fc=8, conv=(2, 2))), MaxoutPlan(layer="conv2", k=2))
    kill(model, "fc1", 3)
    removal = check(model, 1, 28, 28)
    assert lineage(removal.model).plans == (*lineage(model).plans, *removal.plans)
    assert parameters(removal.model) == parameters(model) - 16 - 1 - 10
    assert lineage(remove_dead(removal.model).model) == lineage(removal.model)


def test_counts_the_living() -> None:
    model = trained(lenet5(fc=8, conv=(2, 3)))
    kill(model, "fc1", 3, 4)
    kill(model, "conv1", 0)
    assert alive_neurons(model) == {
        "conv1": (1, 2), "conv2": (3, 3), "fc1": (6, 8), "fc2": (10, 10),
    }  # fmt: skip
