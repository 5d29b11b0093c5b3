"""What a network says of each picture, and how often it is right."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn

from maxprune.data.images import Images
from maxprune.errors import UsageError
from maxprune.modes import device_of, evaluating


def predict(model: nn.Module, images: Images, batch: int = 1000) -> Int[Tensor, " n"]:
    """The class with the largest output for every picture, in evaluation mode, on the CPU."""
    device = device_of(model)
    with evaluating(model), torch.inference_mode():
        found = [model(x).argmax(1).cpu() for x, _ in images.batches(batch, device)]
    return torch.cat(found).clone()


def correct(model: nn.Module, images: Images) -> Bool[Tensor, " n"]:
    """Which pictures the network gets right."""
    return predict(model, images) == images.labels.cpu()


def accuracy(model: nn.Module, images: Images) -> float:
    """Share of pictures that the network gets right, in percent."""
    return percent(correct(model, images))


def percent(outcomes: Bool[Tensor, " n"]) -> float:
    """Share of true outcomes, in percent.

    Raises:
        UsageError: there are none.
    """
    if outcomes.numel() == 0:
        raise UsageError("there are no outcomes to take a share of")
    return 100.0 * int(outcomes.sum()) / outcomes.numel()
