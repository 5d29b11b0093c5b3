"""From a trained network to one that gives descriptors."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from maxprune.data.images import Stock
from maxprune.data.order import derive
from maxprune.measure import nonzero, parameters
from maxprune.measure.descriptors import BATCH, descriptors
from maxprune.modes import device_of
from maxprune.networks import Discriminant, descriptor_network, discriminant


def describer(model: nn.Module, images: Stock, dimensions: int, seed: int) -> nn.Module:
    """The network that gives the descriptor of a face.

    Args:
        model: a network for faces with its output layer; it is not changed.
        images: those it was trained on, to which a discriminant is fitted. It has as large a share
            of zeros as the layers that it reads.
        dimensions: of a descriptor; 0 for the last hidden layer, as the paper has it, and no
            discriminant.
        seed: of the pictures that are mirrored, and of the principal components.
    """

    def fit(network: nn.Module) -> Discriminant:
        rows = descriptors(network, "", half_mirrored(images, seed))
        zeros = 1 - nonzero(network) / parameters(network)
        found = discriminant(rows, images.labels.cpu(), dimensions, zeros=zeros, seed=seed)
        return found.to(device_of(model))

    return descriptor_network(model, fit if dimensions else None)


def half_mirrored(images: Stock, seed: int) -> Iterator[Tensor]:
    """The pictures in their order, each of them or its mirror image by chance."""
    generator = torch.Generator().manual_seed(derive(seed, "mirrored"))
    for x, _ in images.batches(BATCH):
        yield torch.where(torch.rand(len(x), 1, 1, 1, generator=generator) < 0.5, x.flip(3), x)
