"""Which channels to cut next by what it does: the loss that grows for each parameter that goes.

A score says which channels of a layer matter least, but is no measure between layers: its scale is
that of the layer. So several scores propose the next channels of every layer, each proposal is cut
and the loss is measured, without any training, and the one that costs least for what it saves is
taken; and so on from there. What comes out is one order of the channels of all layers.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maxprune.errors import UsageError
from maxprune.halving import in_halves
from maxprune.modes import evaluating
from maxprune.plan import ChannelGroup
from maxprune.planner import cut_plan, in_turn
from maxprune.scores.readers import Batches, Scores, cuttable, no_samples, paired, run
from maxprune.scores.reduction import Reduce, alone
from maxprune.surgery.apply import apply

PARTS = 16  # of the channels of a group: what one proposal cuts, at most
REACH = 0.75  # of all channels are put in order by damage, where nobody needs less

Size = Callable[[nn.Module], float]
"""What a network takes: parameters, multiply-adds, milliseconds."""


def damage(
    model: nn.Module, groups: Sequence[ChannelGroup], proposals: Mapping[str, Scores],
    batches: Batches, size: Size, reduce: Reduce = alone, reach: float = REACH,
) -> Scores:  # fmt: skip
    """The order in which channels go, by measured damage for what is saved.

    A proposal is the lowest channels of a group by one of the scores, a sixteenth of the group. Its
    damage is the growth of the mean cross entropy over the samples when they are cut from the
    network as it is cut so far. The proposal with the least damage for each unit of size is taken,
    before all others one that does good; those of the other groups are measured again when their
    turn comes (lazily, as damage grows while others are cut). Channels beyond `reach` are not put
    in order; they come last, by their group's first score.

    Args:
        model: a classifier; it is not changed.
        groups: as `channel_groups` finds them; those that cannot be cut are left out.
        proposals: scores of channels by the name of the score; a group may lack some of them.
        batches: inputs and classes, gone through again and again.
        size: of a network, which is to become small.
        reduce: adds up over processes that have other batches, at least one each.
        reach: share of all channels to put in order; a plan that cuts less needs no more.

    Returns:
        For each channel its place in the order, from 0; equal for those of one row of parts.

    Raises:
        UsageError: no samples, or no score for any group.
        StructureError: the groups are those of another network.
    """
    free = [g for g in cuttable(model, groups) if any(g.name in s for s in proposals.values())]
    if not free:
        raise UsageError("no score has anything to say of any channel that can be cut")
    seen = [(x, y) for x, y in paired(batches)]
    if not sum(len(y) for _, y in seen):
        raise no_samples()
    order = _Order(model, free, proposals, lambda network: _loss(network, seen, reduce), size)
    return order.found(reach)


def _loss(model: nn.Module, batches: Sequence[tuple[Tensor, Tensor]], reduce: Reduce) -> float:
    """The mean cross entropy."""
    total = torch.zeros(2, dtype=torch.float64)

    def look(part: tuple[Tensor, Tensor]) -> list[float]:
        out = run(model, part[0]).float()
        found = F.cross_entropy(out, part[1].to(out.device).long(), reduction="sum")
        return [float(found), float(len(part[1]))]

    with evaluating(model), torch.inference_mode():
        for found in in_halves(batches, look):
            total += torch.tensor(found, dtype=torch.float64)
    total = reduce(total)
    return float(total[0] / total[1])


@dataclass
class _Group:
    """A group on its way: rows of channels that go together, in the order of each score.

    Args:
        group: it.
        orders: rows by the name of the score, (rows, parts).
        left: which channels are still there.
    """

    group: ChannelGroup
    orders: dict[str, Tensor]
    left: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.left = torch.ones(self.group.channels, dtype=torch.bool)

    def next(self, score: str) -> Tensor | None:
        """The channels that go next by a score; None where each part has one left."""
        rows = [row for row in self.orders[score] if bool(self.left[row].all())]
        spare = int(self.left.sum()) // self.group.parts - 1
        take = min(spare, max(1, len(self.orders[score]) // PARTS), len(rows))
        return torch.cat(rows[:take]) if take > 0 else None


class _Order:
    """The greedy search."""

    def __init__(
        self, model: nn.Module, groups: Sequence[ChannelGroup], proposals: Mapping[str, Scores],
        loss: Callable[[nn.Module], float], size: Size,
    ) -> None:  # fmt: skip
        self.model, self.loss, self.size = model, loss, size
        self.groups = {group.name: _Group(group, _orders(group, proposals)) for group in groups}
        self.places = {g.name: torch.full((g.channels,), -1.0).double() for g in groups}
        self.now = loss(model), size(model)
        self.step = 0

    def found(self, reach: float) -> Scores:
        """Channels by their place."""
        total = sum(len(places) for places in self.places.values())
        ticket = itertools.count()
        heap: list[tuple[float, int, int, str, str]] = []
        for name, score in self._pairs():
            heap.append((-math.inf, next(ticket), -1, name, score))  # not measured yet
        while heap and self._gone() < reach * total:
            price, _, measured, name, score = heapq.heappop(heap)
            goes = self.groups[name].next(score)
            if goes is None:
                continue
            if measured < self.step:
                price = self._price(name, goes)
                heapq.heappush(heap, (price, next(ticket), self.step, name, score))
                continue
            self._take(name, goes)
            heapq.heappush(heap, (price, next(ticket), measured, name, score))
        self._rest()
        return self.places

    def _pairs(self) -> Iterator[tuple[str, str]]:
        for name, group in self.groups.items():
            for score in group.orders:
                yield name, score

    def _gone(self) -> int:
        return sum(int((~group.left).sum()) for group in self.groups.values())

    def _cut(self, name: str = "", goes: Tensor | None = None) -> nn.Module:
        """The network without what is gone so far, and without these channels of a group."""
        keep = {}
        for group in self.groups.values():
            left = group.left.clone()
            if goes is not None and group.group.name == name:
                left[goes] = False
            if not bool(left.all()):
                keep[group.group.name] = left.nonzero().flatten().tolist()
        if not keep:
            return self.model
        return apply(self.model, cut_plan([g.group for g in self.groups.values()], keep))

    def _price(self, name: str, goes: Tensor) -> float:
        """The growth of the loss for each unit of size that a proposal saves."""
        network = self._cut(name, goes)
        grown, saved = self.loss(network) - self.now[0], self.now[1] - self.size(network)
        if not math.isfinite(grown) or saved <= 0:  # a clock may say that nothing is saved
            return math.inf
        return grown / saved if grown > 0 else grown * saved  # what does good and saves most first

    def _take(self, name: str, goes: Tensor) -> None:
        group = self.groups[name]
        turns = torch.arange(len(goes)) // group.group.parts
        self.places[name][goes] = self._gone() + turns.double()
        group.left[goes] = False
        self.step += 1
        network = self._cut()
        self.now = self.loss(network), self.size(network)

    def _rest(self) -> None:
        """What is left comes behind, of each group the same share, by its first score."""
        gone, total = self._gone(), sum(len(places) for places in self.places.values())
        for name, group in self.groups.items():
            rows = [r for r in next(iter(group.orders.values())) if bool(group.left[r].all())]
            for turn, row in enumerate(rows):
                self.places[name][row] = gone + total * turn / len(rows)


def _orders(group: ChannelGroup, proposals: Mapping[str, Scores]) -> dict[str, Tensor]:
    """The rows of a group by each score; where it has parts by the first, which pairs them."""
    found = {n: in_turn(group, s)[0] for n, s in proposals.items() if group.name in s}
    return dict(itertools.islice(found.items(), 1)) if group.parts > 1 else found
