"""Somebody's own loader as samples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import count, islice
from typing import Any

import torch
from torch import Tensor

from maxprune.data.images import Batch
from maxprune.data.order import apart, derive
from maxprune.data.part import WHOLE, Part
from maxprune.errors import DataError, MaxpruneError
from maxprune.faults import end_workers, of_loader
from maxprune.plural import kind_of, plural


@dataclass(frozen=True, eq=False)
class Loaded:
    """Somebody's own loader, for example a `torch.utils.data.DataLoader`.

    It is iterated anew for every epoch and every pass, and gives batches (inputs, classes). Its
    own batch size and augmentation stay; its order and its augmentation are as repeatable as the
    loader is under the global seeds of torch, NumPy and Python, so a training that goes on sees
    what it would have seen.

    Args:
        loader: any iterable that can be iterated again.
        name: for messages.
        classes: how many classes there are.
    """

    loader: Iterable[Any]
    name: str
    classes: int

    @cached_property
    def _counted(self) -> tuple[int, int]:
        """Samples and batches of one pass."""
        sizes = [len(y) for _, y in self.batches(0)]
        return sum(sizes), len(sizes)

    def __len__(self) -> int:
        return self._counted[0]

    def iterations(self, size: int) -> int:
        """Batches of one pass; the size is the loader's own."""
        return self._counted[1]

    def whole(self, size: int) -> None:
        """Nobody knows how large the loader's next batch will be."""

    def about(self) -> list[int]:
        """The number of samples."""
        return [len(self)]

    def to(self, device: torch.device | str) -> Loaded:
        """The loader itself: batches move as they come."""
        return self

    def batches(
        self, size: int, device: torch.device | str = "cpu", part: Part = WHOLE
    ) -> Iterator[Batch]:
        """One pass; the size is the loader's own. What is not of the part is drawn, too.

        Raises:
            DataError: the loader fails, a process of it died, or it gives something else than
                batches.
            OutOfMemory: it has not enough memory.
        """
        for batch in part.every(self._drawn()):
            x, y = checked_batch(batch, self.name)
            yield x.to(device), y.to(device)

    def _drawn(self) -> Iterator[Any]:
        """What the loader gives in one pass."""
        batches = iter(self.loader)
        try:
            while True:
                try:
                    yield next(batches)
                except StopIteration:
                    return
                except MaxpruneError:
                    raise
                except Exception as error:
                    raise of_loader(error, self.name) from error
        finally:
            end_workers(batches)

    def stream(
        self, size: int, seed: int, start: int = 0, device: torch.device | str = "cpu",
        part: Part = WHOLE,
    ) -> Iterator[Batch]:  # fmt: skip
        """Pass after pass; an earlier run's batches of this pass are drawn and thrown away."""
        first, skip = divmod(start, max(1, self.iterations(size))) if start else (0, 0)
        whole = islice(self._passes(seed, first, device), skip, None)
        return ((x[part.rows(len(y))], y[part.rows(len(y))]) for x, y in whole)

    def _passes(self, seed: int, first_pass: int, device: torch.device | str) -> Iterator[Batch]:
        for epoch in count(first_pass):
            passes = apart(self.batches(0, device), derive(seed, "epoch", epoch))
            first = next(passes, None)
            if first is None:
                raise DataError(f"{self.name} gives no batch")
            yield first
            yield from passes


def checked_batch(batch: Any, name: str) -> Batch:
    """A batch of a loader as (inputs, classes).

    Raises:
        DataError: it is something else.
    """
    if not isinstance(batch, tuple | list) or len(batch) != 2:
        raise DataError(f"{name} gives {kind_of(batch)}, not pairs (inputs, classes) of tensors")
    x, y = batch
    if not isinstance(x, Tensor) or not isinstance(y, Tensor):
        raise DataError(f"{name} gives no tensors; each batch is (inputs, classes)")
    if y.dim() != 1 or len(x) != len(y) or y.is_floating_point():
        raise DataError(
            f"{name}: classes are whole numbers, one a sample; there are {tuple(y.shape)} of "
            f"{y.dtype} for {plural(len(x), 'input')}"
        )
    if x.is_floating_point() and not bool(x.isfinite().all()):
        raise DataError(f"{name} gives inputs that are not finite: NaN or infinity is among them")
    return x, y.long()
