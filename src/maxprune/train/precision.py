"""In which numbers a training computes: float32, or bfloat16 where that is faster.

Mixed precision (Micikevicius et al. 2018) with bfloat16, which has the range of float32, so that
no loss needs to be scaled: convolutions and products are computed in it, the weights and their
steps stay float32.
"""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from maxprune.distributed.world import world
from maxprune.modes import copied, device_of
from maxprune.train.config import Precision, Training

ROUNDS = 5  # of a step each, of which the median counts
GAIN = 1.1  # so many times faster bfloat16 has to be


@contextlib.contextmanager
def in_precision(precision: Precision, device: torch.device) -> Iterator[None]:
    """Forward passes inside are computed in this precision."""
    if precision == "float32":
        yield
        return
    with torch.autocast(device.type, torch.bfloat16):
        yield


def measured_precision(model: nn.Module, x: Tensor, y: Tensor, training: Training) -> Precision:
    """The faster precision for steps of a training, by the clock; float32 where it is close.

    Two runs may find different ones, so a study measures once and writes down what it found.

    Args:
        model: to be trained, on its device; it is not changed.
        x: a batch of inputs.
        y: their classes.
        training: whose loss is taken.
    """
    seconds = {
        p: _seconds(copied(model).train(), x, y, training, p) for p in ("float32", "bfloat16")
    }
    faster = seconds["float32"] > GAIN * seconds["bfloat16"]
    return "bfloat16" if world().told(faster) else "float32"


def _seconds(
    model: nn.Module, x: Tensor, y: Tensor, training: Training, precision: Precision
) -> float:
    """The median time of a forward and a backward pass; the first, which prepares, is left out."""
    device = device_of(model)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    found = []
    for _ in range(1 + ROUNDS):
        _wait(device)
        started = time.perf_counter()
        with in_precision(precision, device):
            outputs = model(x.to(device))
        training.loss(outputs.float(), y.to(device), 0).backward()
        _wait(device)
        found.append(time.perf_counter() - started)
    return statistics.median(found[1:])


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
