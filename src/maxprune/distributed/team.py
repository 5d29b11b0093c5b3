"""One training by all processes: each takes its part of every batch, all take the same step."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from maxprune.data.part import Part
from maxprune.distributed.shared_memory import mean_by
from maxprune.distributed.whole_batch import as_whole_batch
from maxprune.distributed.world import World, world


@dataclass(frozen=True)
class Team:
    """The processes of one training.

    Args:
        world: they.
        forward: the network, or what wraps it so that its gradients become the mean over all.
        whole: samples of every batch; None where batches differ.
    """

    world: World
    forward: nn.Module
    whole: int | None

    @staticmethod
    def of(model: nn.Module, whole: int | None, compiled: bool = False) -> Team:
        """For a network in training, which gets the first process's weights in all of them."""
        here = world()
        if here.size == 1:
            forward = torch.compile(model) if compiled else model
            return Team(here, forward, whole)  # type: ignore[arg-type]
        here.equalise(model)
        forward = here.fabric.strategy.setup_module(model)
        if here.memory is not None:
            forward.register_comm_hook(here.memory, mean_by)
        return Team(here, forward, whole)

    @property
    def part(self) -> Part:
        """What this process takes of every batch."""
        return Part(self.world.rank, self.world.size)

    @contextlib.contextmanager
    def step(self, here: int) -> Iterator[float]:
        """Forward passes inside are those of a part of a batch.

        Args:
            here: samples of the batch in this process.

        Yields:
            The factor of the mean loss over them: the mean over the processes of the products is
            the mean loss over the whole batch.
        """
        size = self.world.size
        if size == 1:
            yield 1.0
            return
        before, count = self._place(here)
        with as_whole_batch(self.world, before, count):
            yield here * size / count

    def mean(self, number: Tensor) -> float:
        """The mean of a number over the processes."""
        return float(self.world.sum(number)) / self.world.size

    def _place(self, here: int) -> tuple[int, int]:
        """Samples in front of this part, and those of all parts."""
        rank, size = self.world.rank, self.world.size
        if self.whole is not None and self.whole >= size:
            return self.part.rows(self.whole).start, self.whole
        each = torch.zeros(size, dtype=torch.int64)
        each[rank] = here
        counts = self.world.sum(each).tolist()
        return sum(counts[:rank]), sum(counts)
