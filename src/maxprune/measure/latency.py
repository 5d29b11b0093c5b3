"""How long one forward pass takes, here and now."""

from __future__ import annotations

import statistics
import time

import torch
from torch import Tensor, nn

from maxprune.modes import device_of, evaluating

WARM_UP = 3  # passes that are not counted


def latency_ms(model: nn.Module, inputs: Tensor, seconds: float = 0.5, least: int = 20) -> float:
    """The median time of one forward pass over a batch, in milliseconds.

    Args:
        model: the network; it runs in evaluation mode, where it lives.
        inputs: the batch; one sample for the latency that a user waits for.
        seconds: how long to measure.
        least: passes, even where they take longer.
    """
    device = device_of(model)
    x = inputs.to(device)
    times: list[float] = []
    with evaluating(model), torch.inference_mode():
        for _ in range(WARM_UP):
            model(x)
        end = time.perf_counter() + seconds
        while len(times) < least or time.perf_counter() < end:
            _wait(device)
            started = time.perf_counter()
            model(x)
            _wait(device)
            times.append(time.perf_counter() - started)
    return 1000 * statistics.median(times)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
