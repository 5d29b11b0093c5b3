"""VGG-like networks (Simonyan and Zisserman 2015)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import Any

import torch
from torch import nn

from maxprune.errors import UsageError
from maxprune.lineage import Lineage, factory, lineage, remember
from maxprune.modes import copied
from maxprune.networks.cosine import Cosine, TaughtCosine
from maxprune.networks.describer import Describer
from maxprune.networks.discriminant import Discriminant
from maxprune.networks.initial import he_normal
from maxprune.networks.maxout import Maxout
from maxprune.networks.subtract import Subtract
from maxprune.plural import plural

LEAK = 0.25  # slope of the first hidden layer of `vgg_face_small`, where it is below zero
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
    mean: Sequence[float] = (),
) -> nn.Sequential:
    """VGG16, configuration D, as it tells faces apart (Parkhi et al. 2015; Moya Rueda, sec. 5.2).

    The layers have their published names: conv1_1 to conv5_3, fc6, fc7 and, last, fc8; there is no
    batch norm. The descriptor of a face is what fc7 gives, behind its ReLU: `relu7`.

    Args:
        blocks: the filters of every convolution, block by block; each block halves the picture.
        hidden: neurons of the hidden linear layers.
        size: height and width of a picture in pixels.
        colours: channels of a picture.
        identities: outputs; 0 for none, the network that gives descriptors.
        dropout: share of the hidden neurons that is dropped in training.
        mean: of each channel, which a first layer takes away from every picture; () for none.

    Raises:
        UsageError: a size below 1, more blocks than the picture can be halved, or a mean of
            another number of channels.

    Example:
        >>> sum(p.numel() for p in vgg_face([[8], [8]], [16], size=16, identities=5).parameters())
        2957
    """
    _check(blocks, size, *hidden, colours, identities or 1)
    if len(mean) not in (0, colours):
        raise UsageError(f"vgg_face: {len(mean)} means for {colours} channels")
    layers, before = _convolutions(blocks, size, colours, norm=False)
    if mean:
        layers["mean"] = subtract = Subtract((colours, 1, 1))
        layers.move_to_end("mean", last=False)
        subtract.mean += torch.tensor(mean)[:, None, None]
    for i, width in enumerate(hidden, len(blocks) + 1):
        layers[f"fc{i}"] = nn.Linear(before, width)
        layers[f"relu{i}"] = nn.ReLU()
        layers[f"dropout{i}"] = nn.Dropout(dropout)
        before = width
    if identities:
        layers[f"fc{len(blocks) + len(hidden) + 1}"] = nn.Linear(before, identities)
    return nn.Sequential(layers).apply(he_normal)


@factory
def vgg_face_small(
    blocks: Sequence[Sequence[int]] = ((16, 16), (32, 32), (64, 64), (128, 128)),
    hidden: Sequence[int] = (512, 512),
    size: int = 64,
    colours: int = 1,
    identities: int = 1500,
    dropout: float = 0.0,
    scale: float = 24.0,
    taught: int = 0,
    dimensions: int = 0,
) -> nn.Sequential:
    """A VGG-like network that tells faces apart and trains on a CPU.

    With batch norm behind every convolution and hidden layer, and cosines for an output, to be
    trained with a margin (Wang et al. 2018). The layers are called conv1_1, ..., fc1, fc2 and,
    last, `output`. The first of several hidden layers is followed by a leaky ReLU, so that a
    discriminant can read what is below zero.

    For the descriptor of a face see `descriptor_network`.

    Args:
        blocks: the filters of every convolution, block by block; each block halves the picture.
        hidden: neurons of the hidden linear layers.
        size: height and width of a picture in pixels.
        colours: channels of a picture.
        identities: outputs; 0 for none, the network that gives descriptors.
        dropout: share of the numbers in front of the first hidden layer that is dropped in
            training.
        scale: by which the cosines are multiplied.
        taught: dimensions of a teacher's space (`TaughtCosine`); 0 where there is no teacher.
        dimensions: of a descriptor, where there are no outputs; what `descriptor_network` with a
            discriminant gives. 0 for the last hidden layer.

    Raises:
        UsageError: a size below 1, or more blocks than the picture can be halved, or descriptors
            beside outputs.

    Example:
        >>> sum(p.numel() for p in vgg_face_small(identities=0).parameters())
        1606480
    """
    _check(blocks, size, *hidden, colours, identities or 1, dimensions or 1)
    if identities and dimensions:
        raise UsageError("a network with outputs gives no descriptors")
    layers, before = _convolutions(blocks, size, colours, norm=True)
    layers["dropout"] = nn.Dropout(dropout)
    for i, width in enumerate(hidden[:1] if dimensions else hidden, 1):
        layers[f"fc{i}"] = nn.Linear(before, width, bias=False)
        layers[f"fc{i}_norm"] = nn.BatchNorm1d(width)
        is_read = i == 1 and (dimensions or len(hidden) > 1)
        layers[f"fc{i}_relu"] = nn.LeakyReLU(LEAK) if is_read else nn.ReLU()
        before = width
    if dimensions:
        maps = blocks[-2][-1] * (size >> len(blocks) - 1) ** 2 if len(blocks) > 1 else 0
        last = Discriminant(maps + before, dimensions)
        return Describer(layers, _reads(layers), last).apply(he_normal)
    if identities:
        output = TaughtCosine(before, identities, taught, scale) if taught else None
        layers["output"] = output or Cosine(before, identities, scale)
    return nn.Sequential(layers).apply(he_normal)


def descriptor_network(
    model: nn.Module, fit: Callable[[nn.Module], Discriminant] | None = None
) -> nn.Module:
    """A copy of a network for faces without its output layer: faces in, descriptors out.

    Args:
        model: a `vgg_face` or `vgg_face_small`, cut or not.
        fit: for a `vgg_face_small` of several hidden layers: is given the network that puts side by
            side what its last maps but one and its first hidden layer (with the maxout behind it)
            give, and fits the discriminant to that. Without it a descriptor is what the last hidden
            layer gives.

    Raises:
        UsageError: it has no output layer, or is another network.
    """
    origin = lineage(model)
    if not origin.arguments.get("identities", 1) or not isinstance(model, nn.Sequential):
        raise UsageError("the network has no output layer to do without")
    build = next((f for f in (vgg_face, vgg_face_small) if _built(f) == origin.factory), None)
    if build is None or (fit and build is not vgg_face_small):
        raise UsageError(
            f"a network for faces is wanted, not one of {origin.factory or 'somebody'}"
        )
    body, arguments = copied(model), {**origin.arguments, "identities": 0}
    if fit is None:
        delattr(body, list(dict(body.named_children()))[-1])  # `del body[-1]` renames the others
        return remember(body, replace(origin, arguments=arguments))
    if not hasattr(body, "fc2"):
        raise UsageError("a discriminant reads the first of several hidden layers")
    stay = takewhile(lambda child: child[0] not in ("fc2", "output"), body.named_children())
    layers = OrderedDict(stay)
    found = Describer(layers, _reads(layers)).train(model.training)
    found.discriminant = last = fit(found)
    arguments |= {"dimensions": len(last.weights), **_widths(found)}
    if any(isinstance(layer, Maxout) for layer in found):
        return remember(found, Lineage())  # no arguments build it
    return remember(found, Lineage(origin.factory, arguments))


def _widths(model: nn.Module) -> dict[str, Any]:
    """The sizes of a network's blocks and of its first hidden layer, as they are now."""
    blocks: dict[str, list[int]] = {}
    for name, layer in model.named_children():
        if isinstance(layer, nn.Conv2d):
            blocks.setdefault(name.partition("_")[0], []).append(layer.out_channels)
    return {"blocks": list(blocks.values()), "hidden": [model.get_submodule("fc1").out_features]}


def _built(build: Callable[..., nn.Module]) -> str:
    """The factory's name in a lineage."""
    return f"{__name__}:{build.__name__}"


def _reads(layers: Iterable[str]) -> list[str]:
    """The last maps but one, as they are pooled, and the last layer."""
    names = list(layers)
    return [*[name for name in names if name.startswith("pool")][-2:-1], names[-1]]


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
