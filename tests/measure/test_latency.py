"""How long a pass takes."""

from __future__ import annotations

import time

import pytest
import torch
from torch import Tensor, nn

from maxprune.measure import latency_ms
from maxprune.measure.latency import times


class Slow(nn.Module):
    """Takes 2 ms, and ten times as long in its first passes and in training."""

    def __init__(self) -> None:
        super().__init__()
        self.passes = 0

    def forward(self, x: Tensor) -> Tensor:
        self.passes += 1
        time.sleep(0.02 if self.passes <= 3 or self.training else 0.002)
        return x


def test_the_median_of_passes_that_are_warmed_up() -> None:
    model = Slow().train()
    assert 2 <= latency_ms(model, torch.zeros(1, 2), seconds=0.0, least=5) < 10
    assert model.passes == 3 + 5
    assert model.training


def test_it_goes_on_for_so_long_and_so_often() -> None:
    called = []

    def call() -> None:
        called.append(time.sleep(0.001))

    found = times(call, 0.05, "cpu", warm_up=2)
    assert len(called) == len(found) + 2
    assert 10 < sum(found) < 500
    assert len(times(call, 0.0, "cpu", least=4)) == 4


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")
def test_on_cuda_the_device_is_waited_for() -> None:
    a = torch.rand(4096, 4096, device="cuda")
    many = times(lambda: [a @ a for _ in range(10)], 0.1, "cuda")
    assert sum(times(lambda: a @ a, 0.1, "cuda")[:3]) < min(many)
