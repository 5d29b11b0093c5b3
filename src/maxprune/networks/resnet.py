"""Residual networks of basic blocks (He et al. 2016)."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from maxprune.errors import UsageError
from maxprune.lineage import factory
from maxprune.networks.initial import he_normal


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with batch norm beside a shortcut (He et al. 2016, figure 2).

    Args:
        inputs: channels that come in.
        width: channels that go out, and between the convolutions.
        stride: of the first convolution, and of the shortcut, which is a 1x1 convolution where
            the shape changes.
    """

    def __init__(self, inputs: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != width:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, width, 1, stride, bias=False), nn.BatchNorm2d(width)
            )

    def forward(
        self, x: Float[Tensor, "batch inputs height width"]
    ) -> Float[Tensor, "batch outputs h w"]:
        """The sum of both ways, behind a ReLU."""
        y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return F.relu(y + self.shortcut(x))


class ResNet(nn.Module):
    """A stem, stages of basic blocks, global average pooling and one linear layer.

    Args:
        depths: blocks in each stage; every stage but the first halves the picture.
        widths: channels of each stage.
        large: the stem for large pictures (7x7 with stride 2, then a max pool) instead of 3x3.
        colours: channels of a picture.
        classes: outputs.
    """

    def __init__(
        self, depths: Sequence[int], widths: Sequence[int], large: bool, colours: int, classes: int
    ) -> None:
        super().__init__()
        first = widths[0]
        self.stem = nn.Sequential(
            nn.Conv2d(colours, first, 7, 2, 3, bias=False)
            if large
            else nn.Conv2d(colours, first, 3, 1, 1, bias=False),
            nn.BatchNorm2d(first),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, 1) if large else nn.Identity(),
        )
        blocks: list[nn.Module] = []
        before = first
        for stage, (depth, width) in enumerate(zip(depths, widths, strict=True)):
            for i in range(depth):
                blocks.append(BasicBlock(before, width, 2 if stage and not i else 1))
                before = width
        self.blocks = nn.Sequential(*blocks)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.output = nn.Linear(before, classes)

    def forward(
        self, x: Float[Tensor, "batch colours height width"]
    ) -> Float[Tensor, "batch classes"]:
        """The scores of the classes."""
        result: Tensor = self.output(self.pool(self.blocks(self.stem(x))).flatten(1))
        return result


@factory
def resnet18(colours: int = 3, classes: int = 10) -> ResNet:
    """ResNet-18 for large pictures (He et al. 2016, table 1).

    Raises:
        UsageError: a size below 1.
    """
    _check(colours, classes)
    return ResNet((2, 2, 2, 2), (64, 128, 256, 512), True, colours, classes).apply(he_normal)


@factory
def resnet56(colours: int = 3, classes: int = 10) -> ResNet:
    """ResNet-56 for 32x32 pictures (He et al. 2016, section 4.2), with 1x1 shortcuts.

    Raises:
        UsageError: a size below 1.
    """
    _check(colours, classes)
    return ResNet((9, 9, 9), (16, 32, 64), False, colours, classes).apply(he_normal)


def _check(colours: int, classes: int) -> None:
    if min(colours, classes) < 1:
        raise UsageError("a residual network has at least one colour and one class")
