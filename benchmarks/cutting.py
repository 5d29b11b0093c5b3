"""How long looking into a network, planning and cutting take, without scoring and training.

ResNet-56 (0.86 million parameters, 56 layers) is inspected; a wide ResNet-18 of 25 million
parameters is planned (groups, trial cut, plan) and cut by half. Medians over some repetitions in
one process, imports and the very first call left out and named.

    python3 benchmarks/cutting.py [--repeat 5] [--out FILE]
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from shared import options, show
from torch import nn

from maxprune import apply, channel_groups, inspect, lowest
from maxprune.measure import parameters
from maxprune.networks import resnet56
from maxprune.networks.resnet import ResNet
from maxprune.runs.environment import environment
from maxprune.scores import random_scores


def seconds(work: Callable[[], Any]) -> float:
    """How long it takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def plan_and_cut(model: nn.Module, x: torch.Tensor) -> nn.Module:
    """Find and try the groups, plan by lot, and cut half of the channels."""
    groups = channel_groups(model, x)
    return apply(model, lowest(groups, random_scores(groups), 0.5))


def main() -> None:
    chosen = options(__doc__, repeat=5)
    torch.manual_seed(0)
    small, large = resnet56(), ResNet((2, 2, 2, 2), (96, 192, 384, 768), True, 3, 1000)
    x = torch.randn(2, 3, 64, 64)
    works: dict[str, Callable[[], Any]] = {
        "inspect ResNet-56": lambda: inspect(small, (3, 32, 32)),
        "plan and cut": lambda: plan_and_cut(large, x),
    }
    first = {name: seconds(work) for name, work in works.items()}
    later = {
        name: statistics.median(seconds(work) for _ in range(chosen.repeat))
        for name, work in works.items()
    }
    show(
        {
            "benchmark": "cutting", "parameters": parameters(large), "repeat": chosen.repeat,
            "first_seconds": first, "median_seconds": later, "threads": torch.get_num_threads(),
            "environment": environment(torch.get_num_threads()),
        },
        chosen.out,
    )  # fmt: skip


if __name__ == "__main__":
    main()
