"""What a network says of each picture, and how often it is right."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from maxprune.data.images import Batch
from maxprune.data.part import Part
from maxprune.data.samples import Samples
from maxprune.distributed.world import in_turns, world
from maxprune.errors import UsageError
from maxprune.halving import in_halves
from maxprune.modes import device_of, evaluating


def predict(model: nn.Module, images: Samples, batch: int = 1000) -> Int[Tensor, " n"]:
    """The class with the largest output for every sample, in evaluation mode, on the CPU."""
    device = device_of(model)
    with evaluating(model), torch.inference_mode():
        batches = images.batches(batch, device)
        found = list(in_halves(batches, lambda part: model(part[0]).argmax(1).cpu()))
    return torch.cat(found).clone()


def answers(
    model: nn.Module, images: Samples, batch: int = 1000
) -> tuple[Float[Tensor, "n outputs"], Bool[Tensor, " n"]]:
    """The outputs for every sample, and whether the largest is that of its class, on the CPU."""
    device = device_of(model)
    with evaluating(model), torch.inference_mode():
        batches = images.batches(batch, device)
        found = list(in_halves(batches, lambda part: (model(part[0]).cpu(), part[1].cpu())))
    outputs, labels = (torch.cat(parts).clone() for parts in zip(*found, strict=True))
    return outputs, outputs.argmax(1) == labels


def correct(model: nn.Module, images: Samples, batch: int = 1000) -> Bool[Tensor, " n"]:
    """For which samples the class has the largest output, in evaluation mode, on the CPU.

    Several processes share the batches.
    """
    device, here = device_of(model), world()
    lengths: list[int] = []

    def own() -> Iterator[Batch]:
        for x, y in images.batches(batch, device, Part(here.rank, here.size)):
            lengths.append(len(y))
            yield x, y

    with evaluating(model), torch.inference_mode():
        found = list(in_halves(own(), lambda part: (model(part[0]).argmax(1) == part[1]).cpu()))
    return in_turns(here, lengths, found).clone()


def accuracy(model: nn.Module, images: Samples) -> float:
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
