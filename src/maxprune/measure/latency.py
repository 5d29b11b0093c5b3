"""How long one forward pass takes, here and now."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from maxprune.modes import device_of, evaluating


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
    with evaluating(model), torch.inference_mode():
        return statistics.median(times(lambda: model(x), seconds, device, least, warm_up=3))


def times(
    call: Callable[[], object],
    seconds: float,
    device: torch.device | str,
    least: int = 3,
    warm_up: int = 1,
) -> list[float]:
    """Milliseconds of each call, one after the other; on CUDA those between two of its events.

    Args:
        call: what is timed.
        seconds: how long to go on.
        device: where it computes.
        least: calls, even where they take longer.
        warm_up: calls before these that are not counted.
    """
    timed = partial(_on_cuda if torch.device(device).type == "cuda" else _here, call, device)
    for _ in range(warm_up):
        timed()
    found: list[float] = []
    end = time.perf_counter() + seconds
    while len(found) < least or time.perf_counter() < end:
        found.append(timed())
    return found


def _here(call: Callable[[], object], _: torch.device | str) -> float:
    started = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - started)


def _on_cuda(call: Callable[[], object], device: torch.device | str) -> float:
    stream = torch.cuda.current_stream(device)
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    first.record(stream)
    call()
    last.record(stream)
    last.synchronize()
    return float(first.elapsed_time(last))
