"""The scores by their names on the command line, each with what it takes from the data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Annotated, Literal, TypeAlias

from pydantic import Field
from torch import nn

from maxprune.data.images import Batch
from maxprune.data.part import WHOLE, Part
from maxprune.data.samples import Pictures, Samples, first_inputs
from maxprune.distributed.world import world
from maxprune.measure import latency_ms, macs, parameters
from maxprune.plan import ChannelGroup
from maxprune.records import Settings
from maxprune.scores.bn_scale import bn_scale
from maxprune.scores.brain_damage import obd
from maxprune.scores.by_lot import random_scores
from maxprune.scores.channel_wins import channel_wins
from maxprune.scores.damage import REACH, Size, damage
from maxprune.scores.features import MEMORY
from maxprune.scores.fpgm import fpgm
from maxprune.scores.gates import skeletonization, taylor
from maxprune.scores.magnitude import magnitude
from maxprune.scores.readers import Scores, cuttable
from maxprune.scores.reduction import Reduce, alone
from maxprune.scores.trimming import apoz
from maxprune.scores.vip import represent

NUMBERS = 3_100_000  # of the inputs of one batch that is scored: 1,000 pictures of CIFAR-10
FORWARD, BACKWARD = 1000, 128  # samples of one batch at most
BATCH, BATCHES = 128, 20  # of the gradients that need not be those of all samples
SINGLE = 512  # samples whose gradients are taken one by one
MEASURED = 1024  # samples on which the damage of every proposal is measured
PROPOSING = ("taylor", "pls", "magnitude", "wins")  # the scores that damage chooses from


class Scoring(Settings):
    """How the scores score.

    Args:
        components: of Partial Least Squares.
        representation: of a filter for it, the maximum or the mean of its map.
        memory: bytes for what it keeps of the samples; more goes to disk.
        seed: of the lot, and of which samples are taken where not all are.
        per: what damage is counted by: the parameters that go, the multiply-adds of one sample, or
            the milliseconds by the clock.
        reach: share of all channels that damage puts in order.
    """

    components: Annotated[int, Field(ge=1)] = 2
    representation: Literal["max", "average"] = "max"
    memory: Annotated[int, Field(ge=1)] = MEMORY
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    per: Literal["parameters", "macs", "latency"] = "parameters"
    reach: Annotated[float, Field(gt=0, le=1)] = REACH


Shared: TypeAlias = tuple[Iterator[Batch], Reduce]
"""Batches of this process, and what adds up over all that have others."""

Scored = Callable[[nn.Module, Sequence[ChannelGroup], Samples, Scoring], Scores]


@dataclass(frozen=True)
class Score:
    """A score with a name.

    Args:
        about: what goes first, and who proposed it.
        of: the channels of groups, by the training samples.
    """

    about: str
    of: Scored


def every(samples: Samples, most: int = FORWARD) -> Shared:
    """All samples in their order, in batches that fit in memory behind large pictures too."""
    numbers = first_inputs(samples, 1)[0].numel()
    size = max(1, min(most, NUMBERS // max(1, numbers)))
    part, reduce = _share(lambda: samples.iterations(size))
    return samples.batches(size, part=part), reduce


def some(samples: Samples, count: int, seed: int, batch: int = BATCH) -> Shared:
    """So many samples, or one pass where there are fewer, shuffled, as they are trained on.

    Args:
        samples: the training samples.
        count: how many.
        seed: of their order and augmentation.
        batch: how many at a time; a loader has its own size. How many of its batches that makes
            nobody knows before, so with one every process takes all of them.
    """
    each = samples.whole(batch)
    part, reduce = _share(lambda: min(samples.iterations(batch), -(-count // each)) if each else 0)
    return part.every(drawn(samples, count, seed, batch)), reduce


def _share(batches: Callable[[], int]) -> tuple[Part, Reduce]:
    """This process's part of so many batches; all of them where there is not one for each."""
    here = world()
    if here.size == 1 or batches() < here.size:
        return WHOLE, alone
    return Part(here.rank, here.size), here.sum


def drawn(samples: Samples, count: int, seed: int, batch: int = BATCH) -> Iterator[Batch]:
    """What `some` has, for a process alone."""
    left = count
    for x, y in islice(samples.stream(batch, seed), samples.iterations(batch)):
        yield x[:left], y[:left]
        left -= len(y)
        if left <= 0:
            return


def _vip(
    model: nn.Module, groups: Sequence[ChannelGroup], samples: Samples, how: Scoring
) -> Scores:
    """PLS-VIP of all samples; every process keeps the representations of its own."""
    if not cuttable(model, groups):
        return {}
    batches, reduce = every(samples)
    found = represent(model, groups, batches, how.representation, how.memory)
    return found.importance(how.components, reduce, samples.classes)


def _wins(model: nn.Module, groups: Sequence[ChannelGroup], samples: Samples) -> Scores:
    """Wins over all samples."""
    batches, reduce = every(samples)
    return channel_wins(model, groups, batches, reduce=reduce)


def _damage(
    model: nn.Module, groups: Sequence[ChannelGroup], samples: Samples, how: Scoring
) -> Scores:
    """Measured damage of what other scores propose, on pictures as they are.

    On those that are augmented a network that was not trained on such may be so wrong that the loss
    falls where it is cut most.
    """
    if not cuttable(model, groups):
        return {}
    proposals = {name: SCORES[name].of(model, groups, samples, how) for name in PROPOSING}
    x = first_inputs(samples, 1)
    sizes: dict[str, Size] = {
        "parameters": parameters, "macs": lambda network: macs(network, x),
        "latency": lambda network: float(world().told(latency_ms(network, x, seconds=0.1))),
    }  # fmt: skip
    plain = samples.plain() if isinstance(samples, Pictures) else samples
    batches, reduce = some(plain, MEASURED, how.seed)
    return damage(model, groups, proposals, batches, sizes[how.per], reduce, how.reach)


SCORES: dict[str, Score] = {
    "pls": Score(
        "least importance for the classes by Partial Least Squares (Jordao et al. 2019)",
        lambda m, g, s, how: _vip(m, g, s, how),
    ),
    "magnitude": Score(
        "the smallest sum of absolute weights (Li et al. 2017)",
        lambda m, g, s, how: magnitude(m, g),
    ),
    "magnitude-l2": Score(
        "the smallest Euclidean norm of the weights", lambda m, g, s, how: magnitude(m, g, norm=2)
    ),
    "bn-scale": Score(
        "the smallest factor of batch norm (Liu et al. 2017)",
        lambda m, g, s, how: bn_scale(m, g),
    ),
    "fpgm": Score(
        "what lies nearest to all other filters (He et al. 2019)", lambda m, g, s, how: fpgm(m, g)
    ),
    "taylor": Score(
        "the smallest change of the loss to first order (Molchanov et al. 2019)",
        lambda m, g, s, how: taylor(m, g, *some(s, BATCH * BATCHES, how.seed)),
    ),
    "apoz": Score(
        "what is zero most often (Hu et al. 2016)", lambda m, g, s, how: apoz(m, g, *every(s))
    ),
    "obd": Score(
        "the smallest change of the loss to second order (LeCun et al. 1990)",
        lambda m, g, s, how: obd(m, g, *some(s, SINGLE, how.seed)),
    ),
    "skeletonization": Score(
        "the smallest growth of the loss without it (Mozer and Smolensky 1989)",
        lambda m, g, s, how: skeletonization(m, g, *every(s, BACKWARD)),
    ),
    "wins": Score(
        "the fewest wins among four neighbours (Moya Rueda et al. 2017), without a maxout",
        lambda m, g, s, how: _wins(m, g, s),
    ),
    "damage": Score(
        "what least harms the loss for each parameter it saves, measured cut by cut",
        lambda m, g, s, how: _damage(m, g, s, how),
    ),
    "random": Score("by lot", lambda m, g, s, how: random_scores(g, how.seed)),
}
