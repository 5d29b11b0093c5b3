"""The descriptors of pictures: what a network says of a face, in numbers to be compared."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from maxprune.errors import UsageError
from maxprune.measure.distances import pair_distances
from maxprune.modes import device_of, evaluating

BATCH = 256


def descriptors(
    network: nn.Module, pixels: UInt8[Tensor, "n c h w"], batch: int = BATCH
) -> Float[Tensor, "n features"]:
    """The descriptor of every picture.

    Args:
        network: gives a row of features for each picture in [0, 1], (b, c, h, w); see
            `networks.descriptor_network`. It is left as it was.
        pixels: 0 to 255.
        batch: pictures at a time.

    Returns:
        On the CPU.

    Raises:
        UsageError: there are no pictures, or the network gives something else.
    """
    if not len(pixels):
        raise UsageError("there are no pictures to describe")
    device, found = device_of(network), []
    with evaluating(network), torch.inference_mode():
        for part in pixels.split(batch):
            rows = network(part.to(device).float().div_(255))
            if not isinstance(rows, Tensor) or rows.dim() != 2 or len(rows) != len(part):
                raise UsageError("the network does not give one row of features for each picture")
            found.append(rows.cpu())
    return torch.cat(found)


def verification_distances(
    network: nn.Module,
    pixels: UInt8[Tensor, "n c h w"],
    places: Int[Tensor, "pairs 2"],
    kind: str = "bray-curtis",
) -> Float[Tensor, " pairs"]:
    """The distances of pairs of pictures; each picture is described once.

    Args:
        network: as for `descriptors`.
        pixels: all pictures that pairs may be of.
        places: the two pictures of every pair.
        kind: one of `DISTANCES`; the paper takes Bray-Curtis (Moya Rueda et al. 2017, sec. 5.2).

    Raises:
        UsageError: as for `descriptors` and `pair_distances`.
    """
    used, where = torch.unique(places, return_inverse=True)
    return pair_distances(descriptors(network, pixels[used]), where, kind)
