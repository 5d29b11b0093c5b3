"""VGG-like networks (Simonyan and Zisserman 2015)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from torch import nn

from maxprune.errors import UsageError
from maxprune.lineage import factory
from maxprune.networks.initial import he_normal
from maxprune.plural import plural

VGG16 = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


@factory
def vgg(
    blocks: Sequence[Sequence[int]] = VGG16,
    hidden: Sequence[int] = (512,),
    size: int = 32,
    colours: int = 3,
    classes: int = 10,
    dropout: float = 0.5,
) -> nn.Sequential:
    """Blocks of 3x3 convolutions with batch norm and ReLU, a max pool behind each, then linear.

    The layers are called conv1_1, conv1_2, ..., fc1, ... and, last, `output`. With its defaults it
    is VGG16 with batch norm as it is used on CIFAR-10.

    Args:
        blocks: the filters of every convolution, block by block; each block halves the picture.
        hidden: neurons of the hidden linear layers.
        size: height and width of a picture in pixels.
        colours: channels of a picture.
        classes: outputs.
        dropout: share of the hidden neurons that is dropped in training.

    Raises:
        UsageError: a size below 1, or more blocks than the picture can be halved.

    Example:
        >>> net = vgg([[16, 16], [32, 32]], hidden=[64])
        >>> net.conv2_1
        Conv2d(16, 32, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), bias=False)
    """
    _check(blocks, size, *hidden, colours, classes)
    layers, before = _convolutions(blocks, size, colours, norm=True)
    for i, width in enumerate(hidden, 1):
        layers[f"fc{i}"] = nn.Linear(before, width)
        layers[f"fc{i}_relu"] = nn.ReLU()
        layers[f"fc{i}_dropout"] = nn.Dropout(dropout)
        before = width
    layers["output"] = nn.Linear(before, classes)
    return nn.Sequential(layers).apply(he_normal)


@factory
def vgg_face(
    blocks: Sequence[Sequence[int]] = VGG16,
    hidden: Sequence[int] = (4096, 4096),
    size: int = 224,
    colours: int = 3,
    identities: int = 2622,
    dropout: float = 0.5,
) -> nn.Sequential:
    """VGG16, configuration D, as it tells faces apart (Parkhi et al. 2015; Moya Rueda, sec. 5.2).

    The layers have their published names: conv1_1 to conv5_3, fc6, fc7 and, last, fc8; there is no
    batch norm. The descriptor of a face is what fc7 gives, behind its ReLU.

    Args:
        blocks: the filters of every convolution, block by block; each block halves the picture.
        hidden: neurons of the hidden linear layers.
        size: height and width of a picture in pixels.
        colours: channels of a picture.
        identities: outputs.
        dropout: share of the hidden neurons that is dropped in training.

    Raises:
        UsageError: a size below 1, or more blocks than the picture can be halved.

    Example:
        >>> sum(p.numel() for p in vgg_face([[8], [8]], [16], size=16, identities=5).parameters())
        2957
    """
    _check(blocks, size, *hidden, colours, identities)
    layers, before = _convolutions(blocks, size, colours, norm=False)
    for i, width in enumerate(hidden, len(blocks) + 1):
        layers[f"fc{i}"] = nn.Linear(before, width)
        layers[f"relu{i}"] = nn.ReLU()
        layers[f"dropout{i}"] = nn.Dropout(dropout)
        before = width
    layers[f"fc{len(blocks) + len(hidden) + 1}"] = nn.Linear(before, identities)
    return nn.Sequential(layers).apply(he_normal)


def _check(blocks: Sequence[Sequence[int]], size: int, *others: int) -> None:
    widths = [width for block in blocks for width in block]
    if min(*widths, size, *others, 1) < 1 or not all(blocks) or not blocks:
        raise UsageError("vgg has at least one convolution a block, and every size is at least 1")
    if size >> len(blocks) < 1:
        raise UsageError(
            f"vgg: {plural(size, 'pixel')} cannot be halved {plural(len(blocks), 'time')}"
        )


def _convolutions(
    blocks: Sequence[Sequence[int]], size: int, colours: int, norm: bool
) -> tuple[OrderedDict[str, nn.Module], int]:
    """The layers up to the flattened picture, and how many numbers that has."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    before = colours
    for i, block in enumerate(blocks, 1):
        for j, width in enumerate(block, 1):
            layers[f"conv{i}_{j}"] = nn.Conv2d(before, width, 3, padding=1, bias=not norm)
            if norm:
                layers[f"norm{i}_{j}"] = nn.BatchNorm2d(width)
            layers[f"relu{i}_{j}"] = nn.ReLU()
            before = width
        layers[f"pool{i}"] = nn.MaxPool2d(2)
    layers["flatten"] = nn.Flatten()
    return layers, before * (size >> len(blocks)) ** 2


@factory
def vgg_small(size: int = 32, colours: int = 3, classes: int = 10) -> nn.Sequential:
    """A VGG-like network that trains on a CPU: conv 16-16, pool, conv 32-32, pool, fc 512.

    The network of the published example of PLS pruning (Jordao et al. 2019), with batch norm.

    Args:
        size: height and width of a picture in pixels.
        colours: channels of a picture.
        classes: outputs.

    Raises:
        UsageError: a size below 1, or pictures that cannot be halved twice.

    Example:
        >>> sum(p.numel() for p in vgg_small().parameters())
        1070970
    """
    return vgg(((16, 16), (32, 32)), (512,), size, colours, classes)
