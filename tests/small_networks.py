"""Small networks of every shape that surgery handles, with weights as after some training."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maxprune.networks import lenet5


def plain() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 24), nn.ReLU(), nn.Linear(24, 5))


def normed() -> nn.Module:
    layers = OrderedDict[str, nn.Module](
        fc1=nn.Linear(6, 24, bias=False),
        bn=nn.BatchNorm1d(24),
        relu=nn.ReLU(inplace=True),
        dropout=nn.Dropout(0.5),
        fc2=nn.Linear(24, 5),
    )
    return nn.Sequential(layers)


def nested() -> nn.Module:
    features = nn.Sequential(
        OrderedDict[str, nn.Module](
            conv1=nn.Conv2d(2, 4, 3, padding=1),
            relu1=nn.ReLU(),
            conv2=nn.Conv2d(4, 12, 3, bias=False),
            bn2=nn.BatchNorm2d(12),
            relu2=nn.ReLU(),
            pool2=nn.MaxPool2d(2),
        )
    )
    classifier = nn.Sequential(nn.Linear(12 * 9, 12), nn.ReLU(), nn.Linear(12, 5))
    return nn.Sequential(
        OrderedDict[str, nn.Module](features=features, flatten=nn.Flatten(), classifier=classifier)
    )


def line() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(2, 12, 3), nn.ReLU(), nn.AvgPool1d(2), nn.Conv1d(12, 4, 2), nn.Flatten(),
        nn.Linear(8, 5),
    )  # fmt: skip


def late_norm() -> nn.Module:
    """A batch norm and a ReLU behind the pooling, and one behind the flattening."""
    return nn.Sequential(
        nn.Conv2d(2, 12, 3), nn.MaxPool2d(2), nn.BatchNorm2d(12), nn.ReLU(), nn.Flatten(),
        nn.BatchNorm1d(108), nn.Linear(108, 5),
    )  # fmt: skip


class Functional(nn.Module):
    """Everything between the layers is a function."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 4, 3)
        self.conv2 = nn.Conv2d(4, 12, 3)
        self.fc1 = nn.Linear(12 * 4, 24)
        self.fc2 = nn.Linear(24, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv1(x))
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = x.view(x.size(0), -1)
        return self.fc2(torch.relu(self.fc1(x)))


class Mixed(nn.Module):
    """Modules in a custom forward, a Sequential that runs and one that is picked by index."""

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Conv2d(2, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout2d())
        self.conv = nn.Conv2d(8, 12, 3)
        self.norm = nn.BatchNorm2d(12)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(2)
        self.drop = nn.Dropout(0.5)
        self.picked = nn.ModuleList([nn.Linear(48, 12), nn.ReLU(), nn.Linear(12, 5)])
        self.indexed = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 5))

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.relu(self.norm(self.conv(self.block(x)))))
        x = self.drop(torch.flatten(x, 1))
        x = self.picked[2](self.picked[1](self.picked[0](x)))
        return self.indexed[2](self.indexed[1](self.indexed[0](x)))


def trained(model: nn.Module, seed: int = 0) -> nn.Module:
    """Give every parameter and statistic a value that is neither zero nor one."""
    generator = torch.Generator().manual_seed(seed)

    def normal(like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=generator)

    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d):
            fan_in = module.weight[0].numel()
            module.weight.data = normal(module.weight) * (2 / fan_in) ** 0.5
            if module.bias is not None:
                module.bias.data = 0.1 * normal(module.bias)
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.weight.data = 1 + 0.3 * normal(module.weight)
            module.bias.data = 0.3 * normal(module.bias)
            module.running_mean = 0.3 * normal(module.bias)
            module.running_var = 0.5 + normal(module.bias).abs()
    return model


@dataclass(frozen=True)
class Case:
    """A network, the layer to cut, the shape of one input, where a maxout is expected."""

    name: str
    build: Callable[[], nn.Module]
    layer: str
    shape: tuple[int, ...]
    maxout: str
    relu: bool = True

    def model(self) -> nn.Module:
        return trained(self.build())

    @property
    def neurons(self) -> int:
        """How many neurons the layer has."""
        return int(self.build().get_parameter(f"{self.layer}.weight").shape[0])

    def inputs(self, n: int = 16, seed: int = 1) -> Tensor:
        return torch.randn(n, *self.shape, generator=torch.Generator().manual_seed(seed))


def _lenet_fc() -> nn.Module:
    return lenet5(fc=24, conv=(3, 4))


def _lenet_conv() -> nn.Module:
    return lenet5(fc=24, conv=(3, 12), dropout="conv")


CASES = (
    Case("integer keys", plain, "0", (6,), "0_maxout"),
    Case("batch norm", normed, "fc1", (6,), "fc1_maxout"),
    Case("nested conv", nested, "features.conv2", (2, 8, 8), "features.conv2_maxout"),
    Case("nested fc", nested, "classifier.0", (2, 8, 8), "classifier.0_maxout"),
    Case("conv1d", line, "0", (2, 8), "0_maxout"),
    Case("late norm", late_norm, "0", (2, 8, 8), "0_maxout", relu=False),
    Case("functional conv", Functional, "conv2", (2, 8, 8), "conv2_maxout"),
    Case("functional fc", Functional, "fc1", (2, 8, 8), "fc1_maxout"),
    Case("mixed block", Mixed, "block.0", (2, 8, 8), "block.0_maxout"),
    Case("mixed conv", Mixed, "conv", (2, 8, 8), "conv_maxout"),
    Case("picked", Mixed, "picked.0", (2, 8, 8), "0_maxout"),
    Case("indexed", Mixed, "indexed.0", (2, 8, 8), "0_maxout"),
    Case("lenet fc", _lenet_fc, "fc1", (1, 28, 28), "fc1_maxout"),
    Case("lenet conv", _lenet_conv, "conv2", (1, 28, 28), "conv2_maxout", relu=False),
)
