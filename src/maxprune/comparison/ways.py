"""How each method gets from one size to the next: cuts, each to be followed by a retraining."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol, TypeAlias

from torch import nn

from maxprune.comparison.pruner import IMPORTANCES, Pruner
from maxprune.comparison.settings import SCRATCH
from maxprune.compression.maxouts import DryMaxouts, MaxoutMethod, places
from maxprune.compression.proposal import audited
from maxprune.compression.scored import Ranked, check_score, chosen_groups, least
from maxprune.compression.settings import UNCUT, Compression
from maxprune.data.samples import Splits
from maxprune.errors import StructureError
from maxprune.modes import copied
from maxprune.plan import KeepPlan
from maxprune.scores import random_scores
from maxprune.surgery import apply

Fits: TypeAlias = Callable[[nn.Module], bool]
Smaller: TypeAlias = Callable[[], nn.Module]
Cut: TypeAlias = Callable[[nn.Module], Smaller]
"""Gives, for a network, what makes the smaller one; called even if that is there already."""

MOST = 0.98  # of all channels, which no method may exceed in one cut


class Way(Protocol):
    """The way of one method down from a network."""

    def cuts(self, model: nn.Module, fits: Fits) -> list[Cut]:
        """The cuts that lead from a network to one that fits, at least one.

        Raises:
            StructureError: no cut leads there.
        """


def way(
    method: str,
    settings: Compression,
    start: nn.Module,
    data: Splits,
    fresh: Callable[[], nn.Module] | None,
) -> Way:
    """The way of a method.

    Args:
        method: one of `COMPARED`.
        settings: of this method and seed.
        start: the unpruned network.
        data: to score on.
        fresh: builds the network with random weights; None where nobody knows how.

    Raises:
        UsageError: a layer is named that is not there.
        StructureError: nothing in the network can be cut like that.
    """
    if method == UNCUT:
        return Uncut()
    if method == "maxout":
        return Maxouts(settings, start, data)
    check_score(settings, start, data)
    if method == SCRATCH:
        return Scratch(settings, fresh, data)
    if method in IMPORTANCES:
        if settings.heads:
            raise StructureError("heads are not cut by Torch-Pruning's pruner here")
        return Shares(partial(_pruner, method, settings, data), data)
    return Shares(lambda model: Ranked.by(settings, model, data).plan, data)


def same(model: nn.Module) -> Smaller:
    """No cut: the network is only retrained."""
    return partial(copied, model)


class Uncut:
    """The control that is retrained alike, and never cut."""

    def cuts(self, model: nn.Module, fits: Fits) -> list[Cut]:
        """None that cuts."""
        return [same]


class Shares:
    """One cut to each size: the smallest share of channels that is enough.

    Args:
        planner: for a network, the plan of any share.
        data: for the audit.
    """

    def __init__(
        self, planner: Callable[[nn.Module], Callable[[float], KeepPlan | None]], data: Splits
    ) -> None:
        self.planner, self.data = planner, data

    def cuts(self, model: nn.Module, fits: Fits) -> list[Cut]:
        """One cut."""
        return [same] if fits(model) else [lambda last: partial(self._smaller, last, fits)]

    def _smaller(self, model: nn.Module, fits: Fits) -> nn.Module:
        plan = least(self.planner(model), lambda plan: fits(apply(model, plan)), MOST)
        if plan is None:
            raise StructureError("no share of the channels that have a score is enough")
        return audited(model, plan, self.data.train)


def _pruner(
    method: str, settings: Compression, data: Splits, model: nn.Module
) -> Callable[[float], KeepPlan | None]:
    groups = chosen_groups(settings, model, data.example)
    return Pruner(method, model, groups, data, settings.seed).plan


class Scratch:
    """The control from random weights: all groups narrower by the same share."""

    def __init__(
        self, settings: Compression, fresh: Callable[[], nn.Module] | None, data: Splits
    ) -> None:
        if fresh is None:
            raise StructureError("nobody knows how the network is built with random weights")
        self.settings, self.fresh, self.data = settings, fresh, data

    def cuts(self, model: nn.Module, fits: Fits) -> list[Cut]:
        """One cut, of a network that is built anew."""
        return [lambda _: partial(self._smaller, fits)]

    def _smaller(self, fits: Fits) -> nn.Module:
        model = self.fresh()
        groups = chosen_groups(self.settings, model, self.data.example)
        ranked = Ranked(groups, random_scores(groups, self.settings.seed), SCRATCH, over="each")
        plan = least(ranked.plan, lambda plan: fits(apply(model, plan)), MOST)
        if plan is None:
            raise StructureError("no share of every group is enough")
        return apply(model, plan)


class Maxouts:
    """A maxout behind one layer after the other, as often as it takes to reach a size.

    The sizes on its way follow from the network alone, so it is known before how many cuts lead to
    a size.
    """

    def __init__(self, settings: Compression, start: nn.Module, data: Splits) -> None:
        if settings.heads:
            raise StructureError("heads are cut by a score, not by a maxout")
        found = places(settings, start, data.example)
        self.method = MaxoutMethod(settings, data, found)
        self.dry, self.reached = DryMaxouts(settings, data, found), start
        self.waiting = False

    def cuts(self, model: nn.Module, fits: Fits) -> list[Cut]:
        """As many as lead to the first network on the way that fits."""
        count = 0
        while not fits(self.reached):
            proposal = self.dry.propose(self.reached)
            if proposal is None:
                raise StructureError("no layer is left behind which a maxout can stand")
            self.reached = self.dry.answer(proposal.make(), good=True)
            count += 1
        return [self._cut] * count if count else [self._same]

    def _same(self, model: nn.Module) -> Smaller:
        return same(self._take(model))

    def _cut(self, model: nn.Module) -> Smaller:
        proposal = self.method.propose(self._take(model))
        if proposal is None:
            raise StructureError("no layer is left behind which a maxout can stand")
        self.waiting = True
        return proposal.make

    def _take(self, model: nn.Module) -> nn.Module:
        """Say that what was proposed is taken, once it has been retrained."""
        if self.waiting:
            self.waiting = False
            return self.method.answer(model, good=True)
        return model
