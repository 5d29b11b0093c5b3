"""What comes behind the cuts: long trainings, weights drawn anew, zeros, few values, 8 bits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
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
FINAL, MILDER = "trained on", "augmented less"
ANEW = "from nothing"

Rung: TypeAlias = Callable[[nn.Module], Proposal]


@dataclass(frozen=True)
class Left:
    """What is known of the network that the cuts have left.

    Args:
        trainings: how many retrainings it has had in all, with its first training; 0 if uncut.
        long: whether its last training was as long as those here.
    """

    trainings: float
    long: bool = False


@dataclass(frozen=True)
class Ladder:
    """What is tried one after the other, until something is not taken.

    Args:
        rungs: each proposes something for a network.
        onward: whether for the network that the one before has left, or all for the same.
    """

    rungs: Sequence[Rung]
    onward: bool = False


def _longer(settings: Compression, data: Splits, left: Left) -> Ladder | None:
    """One more training of what was cut, unless that was its last step."""
    if not settings.final_epochs or not left.trainings or left.long:
        return None
    return Ladder([partial(_final, settings.final_epochs, settings.epochs)])


def _milder(settings: Compression, data: Splits, left: Left) -> Ladder | None:
    """And another one, with half the augmentation: what helps many weights is too much for few."""
    if not settings.final_epochs or not left.trainings or data.milder() is None:
        return None
    return Ladder([partial(_less, settings.final_epochs, settings.epochs)])


def _again(settings: Compression, data: Splits, left: Left) -> Ladder | None:
    """Random weights, for what was cut."""
    if not settings.anew or not left.trainings:
        return None
    return Ladder([partial(_anew, left.trainings, settings.seed)])


def _zeros(settings: Compression, data: Splits, left: Left) -> Ladder | None:
    """Zeros; each share from the network that has the one before."""
    if settings.zero is None:
        return None
    most = SHARES if settings.zero == "most" else (settings.zero,)
    return Ladder([partial(_zeroing, data, share) for share in most], onward=True)


def _codes(settings: Compression, data: Splits, left: Left) -> Ladder | None:
    """Few values, fewer and fewer."""
    if settings.bits is None:
        return None
    fewest = BITS if settings.bits == "fewest" else (settings.bits,)
    return Ladder([partial(_coding, bits) for bits in fewest])


def _integers(settings: Compression, data: Splits, left: Left) -> Ladder | None:
    """8 bits."""
    return Ladder([partial(_quantizing, data, settings.int8)]) if settings.int8 else None


def _final(epochs: float, each: float, model: nn.Module) -> Proposal:
    """The network that is left, for longer than between two cuts."""
    remark = f"{_times(epochs / each)}; taken if it is right more often than before"
    make = partial(copied, model)
    return Proposal(FINAL, model, make, times=epochs / each, better=True, remark=remark)


def again(settings: Compression, proposal: Proposal, tried: nn.Module) -> Proposal:
    """What has failed by little, for as long as the training at the end.

    Args:
        settings: how long that is.
        proposal: what was tried.
        tried: the network that it became, which is trained on; what is coded begins anew.
    """
    times = settings.final_epochs / settings.epochs
    if proposal.bits is not None:
        return replace(proposal, title=f"{proposal.title}, longer", times=times)
    make = partial(copied, tried)
    return Proposal(FINAL, tried, make, k=proposal.k, times=times, last=proposal.last)


def _times(times: float) -> str:
    return f"{times:.3g} times as long as behind a cut"


def _less(epochs: float, each: float, model: nn.Module) -> Proposal:
    """As long again, with half the augmentation."""
    remark = (
        f"{_times(epochs / each)}, with pictures that are augmented half as much; taken, for all "
        "that follows, too, if it is right more often than before"
    )
    make = partial(copied, model)
    times = epochs / each
    return Proposal(MILDER, model, make, times=times, better=True, mild=True, remark=remark)


def _anew(trainings: float, seed: int, model: nn.Module) -> Proposal:
    """The same architecture from random weights, trained for as long as the network was in all."""
    remark = (
        f"the same architecture with weights drawn anew, trained for as long as the "
        f"{plural(trainings, 'retraining')} that led to it; taken if it is right more often "
        "than the pruned one"
    )
    make = partial(anew, model, derive(seed, ANEW))
    return Proposal(ANEW, model, make, times=trainings, better=True, fresh=True, remark=remark)


def _zeroing(data: Splits, share: float | Literal["auto"], model: nn.Module) -> Proposal:
    """Single weights to zero: a share, or the largest that costs nothing."""
    if share == "auto":
        plan = choose_share(model, lambda network: accuracy(network, data.validation))
        share = plan.share
    return Proposal(step_name(share), model, partial(copied, model), zero=share, last=True)


def _coding(bits: int, model: nn.Module) -> Proposal:
    """Few values for the weights."""
    return Proposal(coded_name(bits), model, partial(copied, model), bits=bits, last=True)


def _quantizing(data: Splits, mode: Mode, model: nn.Module) -> Proposal:
    """8 bits."""
    count = min(SAMPLES, len(data.train))
    ranges = f", with ranges from {plural(count, 'training sample')}"
    remark = f"the ONNX file, as ONNX Runtime runs it{ranges if mode == 'static' else ''}"
    make = partial(copied, model)
    return Proposal(int8_name(mode), model, make, int8=mode, last=True, remark=remark)


Ending: TypeAlias = Callable[[Compression, Splits, Left], Ladder | None]
"""Gives the ladder that the settings ask for, or None.

Called with the settings, the data to choose by and to take ranges from, and what is left.
"""

TRAININGS: tuple[Ending, ...] = (_longer, _milder, _again)
"""Behind the cuts, in their order."""

LAST: tuple[Ending, ...] = (_zeros, _codes, _integers)
"""Behind the trainings, in their order."""
