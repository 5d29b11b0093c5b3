"""In which order images are seen: a function of the seed alone, so that a run can be resumed."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from maxprune.errors import UsageError

T = TypeVar("T")


def derive(seed: int, *names: object) -> int:
    """A seed for one purpose, derived from the run's seed.

    Example:
        >>> derive(0, "a") == derive(0, "a"), derive(0, "a") == derive(0, "b")
        (True, False)
    """
    text = ":".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")


def sow(seed: int) -> None:
    """Seed what somebody's own function may draw its weights by: Python, NumPy and torch."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def apart(source: Iterator[T], seed: int) -> Iterator[T]:
    """What somebody's own iterator gives, drawn by chance of its own.

    While it draws, torch, NumPy and Python have a random state that begins with the seed and that
    nobody else sees; in between they have their own. So what it gives depends on the seed alone,
    and it takes nothing from the dropout of the network that is trained on it.
    """
    outside = _random_state()
    torch.default_generator.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)
    inside = _random_state()
    _set_random_state(outside)
    while True:
        outside = _random_state()
        _set_random_state(inside)
        try:
            given = next(source)
        except StopIteration:
            return
        finally:
            inside = _random_state()
            _set_random_state(outside)
        yield given


def _random_state() -> tuple[Tensor, Any, Any]:
    return torch.get_rng_state(), np.random.get_state(), random.getstate()


def _set_random_state(state: tuple[Tensor, Any, Any]) -> None:
    torch.set_rng_state(state[0])
    np.random.set_state(state[1])
    random.setstate(state[2])


def batches(count: int, batch: int, seed: int, start: int = 0) -> Iterator[Int[Tensor, " batch"]]:
    """Indices of the batches from iteration `start` on, without end.

    Every epoch is a new permutation of all `count` images; those that do not fill the last batch
    of an epoch are left out of that epoch. Fewer images than a batch make one batch of them all.

    Raises:
        UsageError: there are no images.
    """
    if count < 1:
        raise UsageError("there are no images to train on")
    batch = min(batch, count)
    per_epoch = count // batch
    epoch, skip = divmod(start, per_epoch)
    while True:
        generator = torch.Generator().manual_seed(derive(seed, "epoch", epoch))
        order = torch.randperm(count, generator=generator)
        for i in range(skip, per_epoch):
            yield order[i * batch : (i + 1) * batch]
        epoch, skip = epoch + 1, 0
