"""Every score of channels as a method: those with the lowest go, share by share."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from maxprune.compression.proposal import Proposal, audited
from maxprune.compression.settings import Compression
from maxprune.compression.sizes import measure_sizes
from maxprune.data.order import derive
from maxprune.data.samples import Splits
from maxprune.errors import Remark, StructureError, UsageError
from maxprune.naming import called, on_command_line
from maxprune.plan import ChannelGroup, KeepPlan
from maxprune.planner import NothingToCutError, lowest, tie
from maxprune.plural import plural
from maxprune.runs.identity import of_network
from maxprune.runs.workspace import Memory, Space
from maxprune.scores.bn_scale import bn_scale
from maxprune.scores.damage import REACH
from maxprune.scores.features import too_small
from maxprune.scores.named import SCORES
from maxprune.scores.readers import Scores, readers
from maxprune.surgery import apply, channel_groups

LARGEST = 0.5  # share that one grows to
COARSE, RESOLUTION = 0.05, 1e-4  # steps of a share that is searched for


class ScoreMethod:
    """A share of all channels, those with the lowest score; half the share after a failure."""

    def __init__(self, settings: Compression, data: Splits, model: nn.Module, space: Space) -> None:
        self.settings, self.data, self.space = settings, data, space
        self.share, self.failed, self.left = settings.share, 0, settings.iterations
        self.ranked: tuple[nn.Module, Ranked] | None = None
        self.proposed, self.why = False, ""
        found = check_score(settings, model, data)
        free, self.notes = found.groups, found.notes
        channels = sum(group.channels for group in free)
        if settings.share * channels < 1:
            raise UsageError(
                f"a share of {settings.share:g} of {plural(channels, 'channel')} is less than one "
                "channel"
            )

    def propose(self, model: nn.Module) -> Proposal | None:
        """The channels with the lowest score, unless too many tries have failed."""
        if self.failed >= self.settings.fails or self.left == 0:
            return None
        if self.ranked is None or self.ranked[0] is not model:
            by = Ranked.by(self.settings, model, self.data, self.space, self.share)
            self.ranked = model, by
        ranked = self.ranked[1]
        if not ranked.groups and not self.proposed:
            raise StructureError(
                f"{self.settings.method} has nothing to say of any channel that can be cut"
            )
        self.proposed = True
        plan = ranked.plan(self.share)
        if plan is None:
            self.why = f"a share of {self.share:g} of the channels that are left is less than one"
            return None
        plan = self._no_further(model, ranked, plan)
        gone = sum(len(plan.removed(name)) for name in plan.keep)
        title = f"-{plural(gone, 'channel')}"
        said = [*ranked.remarks, tie(ranked.groups, ranked.scores, plan)]
        remark = "; ".join(filter(None, said))
        return Proposal(title, model, lambda: audited(model, plan, self.data.train), remark=remark)

    def answer(self, model: nn.Module, good: bool, easily: bool = True) -> nn.Module:
        """Halve the share after a failure; let it grow after a success where that is asked for.

        It stays as it is where a step was taken only after a longer training.
        """
        if self.left is not None:
            self.left -= 1
        if not good:
            self.failed += 1
            self.share /= 2
        elif self.settings.growth > 1:
            self.failed = 0
            growth = self.settings.growth if easily else 1.0
            self.share = min(self.share * growth, max(LARGEST, self.settings.share))
        return model

    def _no_further(self, model: nn.Module, ranked: Ranked, plan: KeepPlan) -> KeepPlan:
        """The smallest plan that meets the budgets, where the whole one does; else the whole."""
        budgets = self.settings.budgets()
        if not budgets or "latency_ms" in budgets or self._over(model, plan, budgets):
            return plan  # milliseconds are too noisy to search by
        found = least(ranked.plan, lambda cut: not self._over(model, cut, budgets), self.share)
        return found or plan

    def _over(self, model: nn.Module, plan: KeepPlan, budgets: dict[str, float]) -> bool:
        return bool(measure_sizes(apply(model, plan), self.data.example).over(budgets))


@dataclass(frozen=True)
class Ranked:
    """Groups, each with a score for each of its channels.

    Args:
        groups: those that can be cut and have a score.
        scores: low for what matters little.
        method: whose scores.
        over: "all" ranks the channels of all groups together, "each" takes the share of every one.
        remarks: what the score said of itself.
    """

    groups: Sequence[ChannelGroup]
    scores: Scores
    method: str
    over: Literal["all", "each"] = "all"
    remarks: tuple[str, ...] = ()

    @staticmethod
    def by(
        settings: Compression, model: nn.Module, data: Splits, space: Space | None = None,
        reach: float = REACH,
    ) -> Ranked:  # fmt: skip
        """The groups that the settings let be cut, scored by their method.

        Args:
            settings: which groups, and the method.
            model: the network.
            data: what is scored on.
            space: where the scores are kept; None keeps them nowhere.
            reach: the largest share that is to be cut by them.
        """
        groups = chosen_groups(settings, model, data.example)
        if not groups:
            return Ranked([], {}, settings.method)

        def score() -> tuple[Scores, tuple[str, ...]]:
            with torch.random.fork_rng(devices=[]), warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always", Remark)
                torch.manual_seed(derive(settings.seed, "scores"))  # a loader may draw by it
                found = SCORES[settings.method].of(
                    model, groups, data.train, settings.scoring(reach)
                )
            return found, tuple(str(one.message) for one in said if one.category is Remark)

        key = f"{settings.method} {of_network(model)[:16]}"
        scores, remarks = (space or Memory()).scored(key, score)
        ranked = [group for group in groups if group.name in scores]
        return Ranked(ranked, scores, settings.method, remarks=remarks)

    def plan(self, share: float) -> KeepPlan | None:
        """Remove the share of the channels with the lowest scores; None if that is less than one.

        Args:
            share: in (0, 1).
        """
        try:
            return lowest(self.groups, self.scores, share, self.over, self.method)
        except NothingToCutError:
            return None


def least(
    plan_of: Callable[[float], KeepPlan | None], fits: Callable[[KeepPlan], bool], most: float
) -> KeepPlan | None:
    """The plan of the smallest share, up to `most`, that fits; None if none does.

    A larger share should cut more. Where the largest does not fit (Torch-Pruning's pruner leaves a
    group whole that would be emptied) smaller ones are tried.

    Args:
        plan_of: the plan of a share; None for a share too small to cut anything.
        fits: whether a plan cuts enough.
        most: the largest share to try.
    """
    low, high = 0.0, most
    best = plan_of(high)
    while best is None or not fits(best):
        high -= COARSE
        if high <= 0:
            return None
        best = plan_of(high)
    while high - low > RESOLUTION:
        middle = (low + high) / 2
        plan = plan_of(middle)
        if plan is None or not fits(plan):
            low = middle
        else:
            high, best = middle, plan
    return best


@dataclass(frozen=True)
class Free:
    """Groups that can be cut and that the settings let be cut.

    Args:
        groups: at least one.
        notes: what the user has to know of those that are cut and of those that are not.
    """

    groups: list[ChannelGroup]
    notes: tuple[str, ...]


def check_score(settings: Compression, model: nn.Module, data: Splits) -> Free:
    """The groups that can be cut, or why there are none.

    Raises:
        UsageError: a layer or attention is named that is not there, or there are to be more
            components than there can be.
        StructureError: it cannot be cut, nothing can, or the score has nothing to look at.
    """
    x = data.example
    found = channel_groups(model, x, settings.skip, settings.heads)
    known = {name: group for group in found for name in (group.name, *group.layers)}
    for name in (*settings.layers, *settings.heads):
        if name not in known:
            cut = [layer for layer, group in known.items() if not group.reason]
            raise UsageError(f"no layer {name!r} to cut; there are {', '.join(cut)}")
        if known[name].reason:
            raise StructureError(f"{name!r} cannot be cut: {known[name].reason}")
    free, last = _chosen(settings, model, found)
    if not free and settings.method == "bn-scale":
        raise StructureError("there is no batch norm in the network for bn-scale to look at")
    if not free:
        raise StructureError("nothing in the network can be cut; see maxprune inspect")
    numbers = sum(len(readers(group)) * group.channels for group in free)
    by_pls = settings.method in ("pls", "damage")
    if by_pls and 4 * numbers > settings.memory:
        raise UsageError(too_small(numbers, settings.memory))
    most = min(numbers, len(data.train) - 1)
    if by_pls and settings.components > most:
        raise UsageError(
            f"{called('components')} must be at most {most}, not {settings.components}: "
            f"{len(data.train):,} samples to train on, each as {numbers:,} numbers, have no more"
        )
    return Free(free, tuple(_notes(settings, free, last)))


def _notes(
    settings: Compression, free: Sequence[ChannelGroup], last: ChannelGroup | None
) -> Iterator[str]:
    """What is cut along with a named layer, and what is left whole unasked."""
    for group in free:
        named = [layer for layer in group.layers if layer in settings.layers]
        others = [layer for layer in group.layers if layer not in named]
        if named and others:
            few = f" and {len(others) - 3} more" if len(others) > 3 else ""
            yield f"Cut together with {', '.join(named)}: {', '.join(others[:3])}{few}"
    if last is not None:
        how = "--cut-last" if on_command_line() else "keep_last=False"
        yield f"The last convolution, {last.name}, is left whole ({how} cuts it)"


def chosen_groups(settings: Compression, model: nn.Module, x: Tensor) -> list[ChannelGroup]:
    """The groups that can be cut and that the settings let be cut; a layer may be used up."""
    return _chosen(settings, model, channel_groups(model, x, settings.skip, settings.heads))[0]


def _chosen(
    settings: Compression, model: nn.Module, found: Sequence[ChannelGroup]
) -> tuple[list[ChannelGroup], ChannelGroup | None]:
    """The groups that the settings let be cut, and the last convolution where it is left whole."""
    groups = [group for group in found if not group.reason]
    if settings.method == "bn-scale":
        scored = bn_scale(model, groups)
        groups = [group for group in groups if group.name in scored]
    keep_last = settings.keep_last
    if keep_last is None:
        keep_last = settings.method == "pls" and not settings.layers
    last = last_convolution(model, groups) if keep_last else None
    named = set(settings.layers)
    free = [g for g in groups if g is not last and (not named or named & set(g.layers))]
    return free, last


def last_convolution(model: nn.Module, groups: Sequence[ChannelGroup]) -> ChannelGroup | None:
    """The last convolution of a VGG-like network: one after the other, and then linear layers."""
    if any(len(group.layers) > 1 for group in groups):
        return None
    found = [g for g in groups if isinstance(model.get_submodule(g.name), _ConvNd)]
    if not found:
        return None
    behind = [model.get_submodule(member.name) for member in readers(found[-1])]
    return found[-1] if all(isinstance(module, nn.Linear) for module in behind) else None
