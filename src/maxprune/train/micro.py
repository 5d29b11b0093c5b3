"""A batch that does not fit in memory goes through the network in parts.

Their gradients, each times its share of the batch, add up to that of the whole batch, so the step
is the same but for rounding. Two things are not: batch norm sees the means of smaller batches, and
dropout is drawn in other portions.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from maxprune.distributed.world import world
from maxprune.errors import OutOfMemory
from maxprune.faults import is_out_of_memory
from maxprune.naming import called
from maxprune.plural import plural

Pass = Callable[[Tensor, Tensor], Tensor]
"""The loss of inputs and their classes."""

_log = logging.getLogger("maxprune")


class Parts:
    """Takes the gradients of batches, in as many parts as memory needs; one as long as it will do.

    Args:
        model: the network.
        count: parts of a batch; it doubles whenever memory is out, and stays so.
    """

    def __init__(self, model: nn.Module, count: int = 1) -> None:
        self.model, self.count = model, count
        self._buffers = list(model.buffers())
        self._before = [buffer.clone() for buffer in self._buffers]
        self._norms = any(isinstance(module, _BatchNorm) for module in model.modules())

    def backward(self, x: Tensor, y: Tensor, loss_of: Pass) -> Tensor:
        """Add the gradients of a batch to the parameters, which have none; give its mean loss.

        Where memory is out the random state and the network's buffers (the running means of batch
        norms) are put back, and the batch is taken again in twice as many parts.

        Raises:
            OutOfMemory: in the smallest parts, too.
        """
        while True:
            random = self._kept(x.device)
            try:
                return self._backward(x, y, loss_of)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                self._check_smaller(len(x), error)
            self._put_back(x.device, random)
            self.count *= 2
            self._tell(len(x))

    def _backward(self, x: Tensor, y: Tensor, loss_of: Pass) -> Tensor:
        if self.count == 1:
            loss = loss_of(x, y)
            loss.backward()
            return loss.detach()
        total = torch.zeros((), device=x.device)
        count = min(self.count, len(x))
        for some, classes in zip(x.tensor_split(count), y.tensor_split(count), strict=True):
            loss = loss_of(some, classes) * (len(some) / len(x))
            loss.backward()
            total += loss.detach()
        return total

    def _check_smaller(self, batch: int, error: BaseException) -> None:
        """Refuse where there can be no smaller parts; one sample has no variance.

        Several processes that train together cannot take a step again, each for itself.
        """
        if batch // (2 * self.count) >= (2 if self._norms else 1) and world().size == 1:
            return
        size = batch // self.count
        raise OutOfMemory(
            f"out of memory in training, even with {plural(size, 'sample')} of a batch of {batch} "
            f"at a time: lower {called('batch')}, take smaller inputs, or do less at the same "
            "time; what is finished is kept"
        ) from error

    def _kept(self, device: torch.device) -> list[Tensor]:
        """The random state; the buffers are kept, too."""
        if self._buffers:
            torch._foreach_copy_(self._before, self._buffers)
        random = [torch.get_rng_state()]
        return [*random, torch.cuda.get_rng_state(device)] if device.type == "cuda" else random

    def _put_back(self, device: torch.device, random: list[Tensor]) -> None:
        """Undo a step that broke off."""
        self.model.zero_grad(set_to_none=True)
        if self._buffers:
            torch._foreach_copy_(self._buffers, self._before)
        torch.set_rng_state(random[0])
        if device.type == "cuda":
            torch.cuda.set_rng_state(random[1], device)
            torch.cuda.empty_cache()

    def _tell(self, batch: int) -> None:
        norms = "; batch norm sees the smaller parts" if self._norms else ""
        _log.warning(
            "out of memory with %d samples at a time: every batch of %d goes on in %d parts, "
            "whose gradients add up%s",
            -(-batch // (self.count // 2)), batch, self.count, norms,
        )  # fmt: skip
