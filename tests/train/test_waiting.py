"""The clock beside the batches of a training."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from maxprune.data.images import Images
from maxprune.data.loaded import Loaded
from maxprune.data.samples import Pictures, Splits
from maxprune.train import Training, Watch, train
from maxprune.train import waiting as module
from maxprune.train.waiting import Waiting, advice_of


def test_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(module.time, "perf_counter", lambda: clock[0])

    def slow() -> Iterator[int]:
        for batch in range(3):
            clock[0] += 2.0
            yield batch

    waiting, seen = Waiting(), []
    assert (waiting.share, waiting.is_much) == (None, False)
    for batch in waiting.through(slow()):
        seen.append(batch)
        clock[0] += 6.0
    assert seen == [0, 1, 2]
    assert (waiting.waited, waiting.passed) == (6.0, 18.0)  # the last step is not in it
    assert waiting.share == 1 / 3
    assert not waiting.is_much  # too short to tell
    list(waiting.through(slow()))
    list(waiting.through(slow()))
    assert (waiting.waited, waiting.passed) == (18.0, 30.0)
    assert waiting.is_much


def images() -> Images:
    pixels = torch.randint(0, 256, (12, 1, 4, 4), generator=torch.Generator().manual_seed(0))
    return Images(pixels.to(torch.uint8), torch.arange(12) % 3, 3)


def test_a_training_tells_it_and_is_no_other_for_it() -> None:
    waiting, networks = Waiting(), []
    for watch in (Watch(), Watch(waiting=waiting)):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
        train(net, Pictures(images()), Training(iterations=5, batch=4), watch=watch)
        networks.append(net[1].weight)
    assert torch.equal(*networks)
    assert 0 < waiting.waited < waiting.passed


def test_the_advice_fits_the_data() -> None:
    held = Pictures(images())
    loaded = Loaded([images().batch(torch.arange(12))], "own", 3)
    data = [Splits("own", part, part, None, (1, 4, 4)) for part in (held, loaded)]
    assert [advice_of(one) for one in data] == ["", "give the loader more workers"]
