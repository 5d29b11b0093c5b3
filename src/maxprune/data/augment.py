"""What is done to training pictures at random, each a pure function of a batch and a generator.

For a part of a batch a `Chance` takes the place of the generator.

Pictures are floats in [0, 1], shape (b, channels, height, width). Whatever comes in from outside a
picture is black. What is drawn is drawn on the CPU, so every device sees the same pictures.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TypeAlias

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from maxprune.data.part import Chance

Generator: TypeAlias = torch.Generator | Chance


def flipped(x: Float[Tensor, "b c h w"], generator: Generator) -> Float[Tensor, "b c h w"]:
    """Each picture mirrored from left to right with probability one half."""
    mirror = Chance.of(generator, x).draw(torch.rand) < 0.5
    return torch.where(mirror.to(x.device)[:, None, None, None], x.flip(3), x)


def shifted(
    x: Float[Tensor, "b c h w"], most: int, generator: Generator
) -> Float[Tensor, "b c h w"]:
    """Each picture shifted by up to `most` pixels in each direction."""
    n, _, height, width = x.shape
    padded = F.pad(x, (most, most, most, most))
    pixel = partial(torch.randint, 0, 2 * most + 1)
    down, right = Chance.of(generator, x).draw(pixel, (2,), (1,)).to(x.device)
    rows = down + torch.arange(height, device=x.device)
    columns = right + torch.arange(width, device=x.device)
    each = torch.arange(n, device=x.device)[:, None, None]
    # Advanced indices around the channels put these last.
    return padded[each, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def turned(
    x: Float[Tensor, "b c h w"], degrees: float, zoom: float, generator: Generator
) -> Float[Tensor, "b c h w"]:
    """Each picture turned around its middle and made larger or smaller, between pixels.

    Args:
        x: the pictures.
        degrees: by at most so many, either way.
        zoom: by a factor between 1 / (1 + zoom) and 1 + zoom, evenly in its logarithm.
        generator: of the angles, then the factors.
    """
    height, width = x.shape[2:]
    angle, size = 2 * Chance.of(generator, x).draw(torch.rand, (2,)) - 1
    angle, size = angle * math.radians(degrees), (size * math.log1p(zoom)).exp()
    cos, sin = (angle.cos() / size)[:, None, None], (angle.sin() / size)[:, None, None]
    across, down = _middles(width), _middles(height)[:, None]
    grid = [
        cos * across - sin * (height / width) * down,
        sin * (width / height) * across + cos * down,
    ]
    return F.grid_sample(x, torch.stack(grid, -1).to(x.device, x.dtype), align_corners=False)


def _middles(pixels: int) -> Float[Tensor, " pixels"]:
    """Where the middles of so many pixels lie between -1 and 1."""
    return (2 * torch.arange(pixels) + 1) / pixels - 1


def lit(x: Float[Tensor, "b c h w"], most: float, generator: Generator) -> Float[Tensor, "b c h w"]:
    """Each picture's contrast changed by a factor in 1 ± most, its brightness by up to most / 2."""
    contrast, brightness = 2 * Chance.of(generator, x).draw(torch.rand, (2,), (1, 1, 1)) - 1
    factor, more = (1 + most * contrast).to(x.device), (most / 2 * brightness).to(x.device)
    middle = x.mean((1, 2, 3), keepdim=True)
    changed: Tensor = ((x - middle) * factor + middle + more).clamp(0, 1)
    return changed


def noisy(
    x: Float[Tensor, "b c h w"], most: float, generator: Generator
) -> Float[Tensor, "b c h w"]:
    """Normal noise of a standard deviation that is drawn for each picture, at most `most`."""
    chance = Chance.of(generator, x)
    strength = most * chance.draw(torch.rand, (), (1, 1, 1))
    noise = chance.draw(torch.randn, (), tuple(x.shape[1:]))
    return (x + (strength * noise).to(x.device)).clamp(0, 1)


ERASED = (0.02, 0.33)  # the smallest and the largest part of a picture that is erased
NARROW = 3.3  # so many times as high as wide at most, or as wide as high


def erased(
    x: Float[Tensor, "b c h w"], share: float, generator: Generator
) -> Float[Tensor, "b c h w"]:
    """A rectangle of some pictures filled with noise (Zhong et al. 2020, "Random Erasing").

    Args:
        x: the pictures.
        share: of the pictures, by chance.
        generator: of which they are, how large, how narrow and where the rectangles are, and of
            the noise.
    """
    height, width = x.shape[2:]
    chance = Chance.of(generator, x)
    chosen, area, shape, down, right = chance.draw(torch.rand, (5,))
    area = (ERASED[0] + (ERASED[1] - ERASED[0]) * area) * height * width
    ratio = ((2 * shape - 1) * math.log(NARROW)).exp()
    high = (area * ratio).sqrt().round().clamp(1, height)
    wide = (area / ratio).sqrt().round().clamp(1, width)
    rows = _inside(height, (down * (height - high + 1)).floor(), high)
    columns = _inside(width, (right * (width - wide + 1)).floor(), wide)
    here = (chosen < share)[:, None, None] & rows[:, :, None] & columns[:, None, :]
    noise = chance.draw(torch.rand, (), tuple(x.shape[1:]))
    return torch.where(here[:, None].to(x.device), noise.to(x.device), x)


def _inside(
    size: int, start: Float[Tensor, " b"], length: Float[Tensor, " b"]
) -> Bool[Tensor, "b size"]:
    """Which of so many places lie in [start, start + length)."""
    place = torch.arange(size)
    return (place >= start[:, None]) & (place < (start + length)[:, None])
