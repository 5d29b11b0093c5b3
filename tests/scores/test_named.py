"""Which samples a score looks at, alone and among several processes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from maxprune.data.images import Images
from maxprune.data.loaded import Loaded
from maxprune.distributed.world import World, enter, leave
from maxprune.scores.named import drawn, some


def loader(batch: int) -> Loaded:
    data = TensorDataset(torch.rand(4096, 1, 2, 2), torch.arange(4096) % 3)
    return Loaded(DataLoader(data, batch), "loader", 3)


@pytest.fixture
def last() -> Iterator[World]:
    """The last of four processes."""
    world = World(3, 4)
    enter(world)
    yield world
    leave()


@pytest.mark.parametrize("batch", [16, 256, 1024])
def test_of_a_loader_as_many_samples_come_as_were_asked_for(batch: int) -> None:
    assert sum(len(y) for _, y in drawn(loader(batch), 1024, 0)) == 1024


@pytest.mark.parametrize("batch", [256, 1024])
def test_no_process_is_left_without_samples_of_a_loader(last: World, batch: int) -> None:
    batches, reduce = some(loader(batch), 1024, 0)
    assert sum(len(y) for _, y in batches) == 1024
    assert int(reduce(torch.tensor(7))) == 7


def test_pictures_are_shared(last: World) -> None:
    pictures = Images(torch.zeros(4096, 1, 2, 2, dtype=torch.uint8), torch.arange(4096) % 3, 3)
    batches, _ = some(pictures, 1024, 0)
    assert sum(len(y) for _, y in batches) == 1024 // 4
