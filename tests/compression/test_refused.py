"""What compress refuses, before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import maxprune
from maxprune.compress import Run
from maxprune.data import Dataset
from maxprune.errors import StructureError, UsageError
from maxprune.networks import lenet5, vgg

MAXOUT = {"method": "maxout"}


class Tuple(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(784, 10)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.out(x.flatten(1)), x


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (Tuple, "does not give one row of outputs"),
        (lambda: lenet5().double(), "RuntimeError"),
        (lambda: nn.Conv2d(1, 10, 3), "does not give one row of outputs"),
        (lambda: nn.Sequential(nn.Flatten(0), nn.Linear(1568, 10)), "one row of outputs"),
    ],
)
def test_a_network_that_is_no_classifier_is_refused_first(data: Dataset, build, says) -> None:
    with pytest.raises(UsageError, match=says):
        maxprune.compress(build(), data, keep_accuracy=5.0)


def test_arguments_of_another_kind_are_refused(data: Dataset) -> None:
    with pytest.raises(UsageError, match="a network is a torch module, not 'net'"):
        maxprune.compress("net", data, keep_accuracy=5.0)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="settings are a Compression, not 5"):
        maxprune.compress(lenet5(), data, 5)  # type: ignore[arg-type]


def test_zeros_that_are_too_many_are_refused_first(trained: nn.Module, data: Dataset) -> None:
    with pytest.raises(UsageError, match="takes every weight"):
        maxprune.compress(trained, data, zero=0.9999, keep_accuracy=5.0)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"keep_acuracy": 1}, "no setting 'keep_acuracy'; there are method, layers"),
        ({"method": "magic"}, "^method must be 'maxout', 'pls', 'magnitude'"),
        ({"keep_accuracy": 0}, "^keep_accuracy must be above 0, not 0$"),
        ({"keep_accuracy": None}, "say when to stop"),
        ({"k": 1}, "^k must be at least 2, not 1$"),
        ({"share": 1.0}, "^share must be below 1, not 1$"),
        ({"max_parameters": 0}, "^max_parameters must be at least 1, not 0$"),
        ({"layers": ["a"], "skip": ["a"]}, "layer 'a' is both to be cut and to be skipped"),
        ({"zero": 70}, "^zero must be"),
        ({"layers": "fc1"}, "^layers must be a list, not 'fc1'$"),
    ],
)
def test_settings_that_are_none_are_refused(
    trained: nn.Module, data: Dataset, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        maxprune.compress(trained, data, **changes)


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"layers": ["x"]}, UsageError, "no layer 'x' to cut; there are conv1, conv2, fc1"),
        (MAXOUT | {"layers": ["x"]}, UsageError, "no layer 'x'; it has conv1, conv2, fc1, fc2"),
        ({"skip": ["x"]}, UsageError, "no layer 'x' to skip"),
        (MAXOUT | {"skip": ["x"]}, UsageError, "no layer 'x'"),
        ({"layers": ["fc2"]}, StructureError, "'fc2' cannot be cut: it is an output"),
        (MAXOUT | {"layers": ["fc2"]}, StructureError, "'fc2' is an output layer"),
        (MAXOUT | {"layers": ["fc1"], "k": 33}, UsageError, "33 leaves less than two of the 32"),
        ({"skip": ["fc1", "conv1", "conv2"]}, StructureError, "nothing in the network can be cut"),
        (MAXOUT | {"skip": ["fc1", "conv1", "conv2"]}, StructureError, "no layer is left"),
        ({"share": 0.01, "method": "random"}, UsageError, "share of 0.01 of 44 channels"),
        (MAXOUT | {"share": 0.1}, UsageError, "share is a setting of a score, not of maxout"),
        ({"method": "fpgm", "k": 2}, UsageError, "k is a setting of maxout, not of fpgm"),
        (
            {"method": "apoz", "components": 3},
            UsageError,
            "components is a setting of pls and damage",
        ),
        ({"keep_accuracy": 0.5}, UsageError, "144 validation samples cannot show a loss below 0.5"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_trained(
    trained: nn.Module, data: Dataset, changes: dict[str, Any], error: type[Exception], says: str
) -> None:
    told: list[Any] = []
    with pytest.raises(error, match=says):
        maxprune.compress(
            trained, data, **{"keep_accuracy": 5.0, **changes}, run=Run(lambda *a: told.append(a))
        )
    assert told == []


class Own(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.out = nn.Conv2d(1, 8, 5, stride=3), nn.Linear(8 * 8 * 8, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.conv(x))
        return self.out(x.view(x.size(0), -1))


def test_a_network_without_a_factory_stays_in_memory(data: Dataset, tmp_path: Path) -> None:
    found = maxprune.compress(
        Own(), data, method="maxout", k=2, rounds=1, epochs=0.1, keep_accuracy=100
    )
    assert found.model.get_submodule("conv").out_channels == 4
    found.export_onnx(tmp_path / "own.onnx")
    with pytest.raises(UsageError, match="factory"):
        found.save(tmp_path / "own")
    with pytest.raises(UsageError, match="factory"):
        maxprune.compress(Own(), data, folder=tmp_path / "run", keep_accuracy=5.0)
    assert not (tmp_path / "run").exists()


def test_a_network_that_does_not_fit_the_images(data: Dataset) -> None:
    with pytest.raises(UsageError, match="it has 5 outputs for 10 classes"):
        maxprune.compress(lenet5(classes=5), data, epochs=0.1, keep_accuracy=100)
    with pytest.raises(UsageError, match=r"images, of shape \(1, 28, 28\): RuntimeErr"):
        maxprune.compress(vgg(), data, keep_accuracy=5.0)


class Extra(nn.Linear):
    def get_extra_state(self) -> dict[str, int]:
        return {"seen": 3}


def test_a_state_that_is_not_finite_tensors_is_refused(data: Dataset) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.Linear(10, 10))
    net[1].weight.data[0, 0] = torch.nan
    with pytest.raises(UsageError, match=r"1\.weight of the network is not finite"):
        maxprune.compress(net, data, keep_accuracy=5.0)
    net = nn.Sequential(nn.Flatten(), Extra(784, 10), nn.Linear(10, 10))
    with pytest.raises(UsageError, match=r"keeps '1\._extra_state', a dict"):
        maxprune.compress(net, data, keep_accuracy=5.0)


def test_a_network_that_gives_more_in_training_is_for_an_own_function(data: Dataset) -> None:
    class Aside(nn.Sequential):
        def forward(self, x: Tensor) -> Any:
            x = super().forward(x)
            return (x, x) if self.training else x

    net = Aside(nn.Flatten(), nn.Linear(784, 16), nn.ReLU(), nn.Linear(16, 10))
    with pytest.raises(UsageError, match="in training the network gives a tuple"):
        maxprune.compress(net, data, method="random", share=0.5, iterations=1)
