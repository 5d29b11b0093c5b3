"""What comes behind the cuts: weights drawn anew, zeros, few values, 8 bits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeAlias

from torch import nn

from maxprune.compression.coding import coded_name
from maxprune.compression.proposal import Proposal
from maxprune.compression.quantizing import SAMPLES, int8_name
from maxprune.compression.settings import Compression
from maxprune.data.order import derive
from maxprune.data.samples import Splits
from maxprune.measure import accuracy
from maxprune.modes import copied
from maxprune.networks.anew import anew
from maxprune.plural import plural
from maxprune.runs.measured import step_name
from maxprune.store.quantized import Mode
from maxprune.weights import choose_share

SHARES = (0.3, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98)  # of zeros, one after the other
BITS = (8, 6, 5, 4, 3, 2, 1)
ANEW = "from nothing"

Rung: TypeAlias = Callable[[nn.Module], Proposal]


@dataclass(frozen=True)
class Ladder:
    """What is tried one after the other, until something is not taken.

    Args:
        rungs: each proposes something for a network.
        onward: whether for the network that the one before has left, or all for the same.
    """

    rungs: Sequence[Rung]
    onward: bool = False


def endings(settings: Compression, data: Splits, trainings: float) -> Iterator[Ladder]:
    """The ladders that the settings ask for, in their order.

    Args:
        settings: what is wanted.
        data: to choose by, and to take ranges from.
        trainings: how many retrainings the network so far has had in all; without any there is
            nothing to train as long as.
    """
    if settings.anew and trainings:
        yield Ladder([lambda model: _anew(model, trainings, settings.seed)])
    if settings.zero is not None:
        most = SHARES if settings.zero == "most" else (settings.zero,)
        yield Ladder([partial(_zeroing, data, share) for share in most], onward=True)
    if settings.bits is not None:
        fewest = BITS if settings.bits == "fewest" else (settings.bits,)
        yield Ladder([partial(_coding, bits) for bits in fewest])
    if settings.int8 is not None:
        yield Ladder([partial(_quantizing, data, settings.int8)])


def _anew(model: nn.Module, trainings: float, seed: int) -> Proposal:
    """The same architecture from random weights, trained for as long as the network was in all."""
    remark = (
        f"the same architecture with weights drawn anew, trained for as long as the "
        f"{plural(trainings, 'retraining')} that led to it; taken if it is right more often "
        "than the pruned one"
    )
    make = partial(anew, model, derive(seed, ANEW))
    return Proposal(ANEW, model, make, fresh=trainings, remark=remark)


def _zeroing(data: Splits, share: float | Literal["auto"], model: nn.Module) -> Proposal:
    """Single weights to zero: a share, or the largest that costs nothing."""
    if share == "auto":
        plan = choose_share(model, lambda network: accuracy(network, data.validation))
        share = plan.share
    return Proposal(step_name(share), model, partial(copied, model), zero=share)


def _coding(bits: int, model: nn.Module) -> Proposal:
    """Few values for the weights."""
    return Proposal(coded_name(bits), model, partial(copied, model), bits=bits)


def _quantizing(data: Splits, mode: Mode, model: nn.Module) -> Proposal:
    """8 bits."""
    count = min(SAMPLES, len(data.train))
    ranges = f", with ranges from {plural(count, 'training sample')}"
    remark = f"the ONNX file, as ONNX Runtime runs it{ranges if mode == 'static' else ''}"
    return Proposal(int8_name(mode), model, partial(copied, model), int8=mode, remark=remark)
