"""Nine networks of different kinds, as their users write them, for everything that cuts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maxprune.lineage import factory
from maxprune.networks import lenet5, resnet18, resnet56, vgg


@factory
def mlp() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 300), nn.ReLU(), nn.Linear(300, 100), nn.Tanh(),
        nn.Linear(100, 10),
    )  # fmt: skip


class InvertedResidual(nn.Module):
    """MobileNetV2's block: widen by 1x1, filter each channel alone, narrow by 1x1."""

    def __init__(self, inputs: int, outputs: int, stride: int, expand: int) -> None:
        super().__init__()
        self.adds = stride == 1 and inputs == outputs
        hidden = inputs * expand
        layers: list[nn.Module] = []
        if expand != 1:
            layers += [nn.Conv2d(inputs, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nn.ReLU6()]
        layers += [
            nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU6(),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        ]
        self.way = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.way(x) if self.adds else self.way(x)


@factory
def mobilenet_v2() -> nn.Module:
    plan = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
            (6, 160, 3, 2), (6, 320, 1, 1))  # fmt: skip
    layers: list[nn.Module] = [
        nn.Conv2d(3, 32, 3, 2, 1, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU6(),
    ]
    before = 32
    for expand, width, depth, stride in plan:
        for i in range(depth):
            layers.append(InvertedResidual(before, width, 1 if i else stride, expand))
            before = width
    layers += [nn.Conv2d(before, 1280, 1, bias=False), nn.BatchNorm2d(1280), nn.ReLU6()]
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(1280, 10)
    )


class DenseLayer(nn.Module):
    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.BatchNorm2d(inputs), nn.BatchNorm2d(4 * growth)
        self.conv1 = nn.Conv2d(inputs, 4 * growth, 1, bias=False)
        self.conv2 = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(F.relu(self.norm2(self.conv1(F.relu(self.norm1(x))))))
        return torch.cat([x, y], 1)


@factory
def densenet(depths: tuple[int, ...] = (6, 12, 8), growth: int = 12) -> nn.Module:
    before = 2 * growth
    layers: list[nn.Module] = [nn.Conv2d(3, before, 3, padding=1, bias=False)]
    for i, depth in enumerate(depths):
        if i:
            narrower = nn.Conv2d(before, before // 2, 1, bias=False)
            layers += [nn.BatchNorm2d(before), nn.ReLU(), narrower, nn.AvgPool2d(2)]
            before //= 2
        for _ in range(depth):
            layers.append(DenseLayer(before, growth))
            before += growth
    layers += [nn.BatchNorm2d(before), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(before, 10))


def _double(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(),
    )  # fmt: skip


class UNet(nn.Module):
    """Two levels down, two up by transposed convolutions, joined by concatenation."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.down1, self.down2 = _double(3, width), _double(width, 2 * width)
        self.middle = _double(2 * width, 4 * width)
        self.up2 = nn.ConvTranspose2d(4 * width, 2 * width, 2, 2)
        self.join2 = _double(4 * width, 2 * width)
        self.up1 = nn.ConvTranspose2d(2 * width, width, 2, 2)
        self.join1 = _double(2 * width, width)
        self.output = nn.Conv2d(width, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        one = self.down1(x)
        two = self.down2(F.max_pool2d(one, 2))
        x = self.middle(F.max_pool2d(two, 2))
        x = self.join2(torch.cat([two, self.up2(x)], 1))
        x = self.join1(torch.cat([one, self.up1(x)], 1))
        return self.output(x)


@factory
def unet(width: int = 32) -> nn.Module:
    return UNet(width)


class Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        b, n, width = x.shape
        q, k, v = (
            self.qkv(x).reshape(b, n, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        )
        y = F.scaled_dot_product_attention(q, k, v)
        return self.out(y.transpose(1, 2).reshape(b, n, width))


class Encoder(nn.Module):
    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))


class VisionTransformer(nn.Module):
    def __init__(self, size: int, patch: int, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, patch, patch)
        self.token = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.place = nn.Parameter(torch.randn(1, (size // patch) ** 2 + 1, width) * 0.02)
        self.blocks = nn.Sequential(*[Encoder(width, heads, 4 * width) for _ in range(depth)])
        self.norm = nn.LayerNorm(width)
        self.output = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.place
        return self.output(self.norm(self.blocks(x))[:, 0])


@factory
def vision_transformer() -> nn.Module:
    return VisionTransformer(32, 8, 96, 4, 4)


@dataclass(frozen=True)
class Kind:
    """A network of the zoo and the shape of one of its inputs."""

    name: str
    build: Callable[[], nn.Module]
    shape: tuple[int, ...]

    def inputs(self, n: int = 4, seed: int = 1) -> Tensor:
        return torch.randn(n, *self.shape, generator=torch.Generator().manual_seed(seed))


ZOO = (
    Kind("mlp", mlp, (1, 28, 28)),
    Kind("lenet", lenet5, (1, 28, 28)),
    Kind("vgg16", vgg, (3, 32, 32)),
    Kind("resnet18", resnet18, (3, 64, 64)),
    Kind("resnet56", resnet56, (3, 32, 32)),
    Kind("mobilenet_v2", mobilenet_v2, (3, 64, 64)),
    Kind("densenet", densenet, (3, 32, 32)),
    Kind("unet", unet, (3, 32, 32)),
    Kind("vision transformer", vision_transformer, (3, 32, 32)),
)
