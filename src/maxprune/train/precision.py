"""How a training computes: in float32, or in bfloat16 or compiled where that is faster.

Mixed precision (Micikevicius et al. 2018) with bfloat16, which has the range of float32, so that
no loss needs to be scaled: convolutions and products are computed in it, the weights and their
steps stay float32.
"""

from __future__ import annotations

import contextlib
import logging
import statistics
import time
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from maxprune.distributed.world import world
from maxprune.errors import first_line
from maxprune.modes import copied, device_of
from maxprune.train.config import Precision, Training

ROUNDS = 5  # of a step each, of which the median counts
GAIN = 1.1  # so many times faster bfloat16, or a compiled network, has to be
WORTH = 600.0  # seconds that a training takes at least for compiling to be tried

_log = logging.getLogger("maxprune")


@contextlib.contextmanager
def in_precision(precision: Precision, device: torch.device) -> Iterator[None]:
    """Forward passes inside are computed in this precision."""
    if precision == "float32":
        yield
        return
    with torch.autocast(device.type, torch.bfloat16):
        yield


def measured_precision(model: nn.Module, x: Tensor, y: Tensor, training: Training) -> Precision:
    """The faster precision for steps of a training, by the clock; float32 where it is close.

    Two runs may find different ones, so a study measures once and writes down what it found.

    Args:
        model: to be trained, on its device; it is not changed.
        x: a batch of inputs.
        y: their classes.
        training: whose loss is taken.
    """
    seconds = {
        p: _seconds(copied(model).train(), x, y, training, p) for p in ("float32", "bfloat16")
    }
    faster = seconds["float32"] > GAIN * seconds["bfloat16"]
    return "bfloat16" if world().told(faster) else "float32"


def measured_compiling(
    model: nn.Module, x: Tensor, y: Tensor, training: Training, precision: Precision
) -> bool:
    """Whether a training ends sooner with the network compiled (`torch.compile`), by the clock.

    Compiling takes from seconds to minutes, and a network that is cut is compiled again. So it is
    tried only where a training takes longer than ten minutes as it is, and taken where it saves
    more than it costs. Where there is nothing to compile with it is not taken. Several processes
    do without.

    The arguments are those of `measured_precision`, and the precision that was chosen.
    """
    if world().size > 1:
        return False
    plain = _seconds(copied(model).train(), x, y, training, precision)
    if plain * training.iterations < WORTH:
        return False
    started = time.perf_counter()
    try:
        compiled = torch.compile(copied(model).train())
        fast = _seconds(compiled, x, y, training, precision)  # type: ignore[arg-type]
    except Exception as error:  # whatever a compiler stumbles over
        _log.info("the network is not compiled: %s", first_line(error))
        return False
    cost = time.perf_counter() - started - (1 + ROUNDS) * fast
    return plain > GAIN * fast and (plain - fast) * training.iterations > cost


def _seconds(
    model: nn.Module, x: Tensor, y: Tensor, training: Training, precision: Precision
) -> float:
    """The median time of a forward and a backward pass; the first, which prepares, is left out."""
    device = device_of(model)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    found = []
    for _ in range(1 + ROUNDS):
        _wait(device)
        started = time.perf_counter()
        with in_precision(precision, device):
            outputs = model(x.to(device))
        training.loss(outputs.float(), y.to(device), 0).backward()
        _wait(device)
        found.append(time.perf_counter() - started)
    return statistics.median(found[1:])


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
