"""Every score of channels as a method: those with the lowest go, share by share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from maxprune.compression.proposal import Proposal, audited
from maxprune.compression.settings import Compression
from maxprune.compression.sizes import measure_sizes
from maxprune.data.samples import Splits, first_inputs
from maxprune.errors import StructureError, UsageError
from maxprune.plan import ChannelGroup, KeepPlan
from maxprune.planner import NothingToCutError, lowest
from maxprune.scores.named import SCORES
from maxprune.scores.readers import Scores, readers
from maxprune.surgery import apply, channel_groups
from maxprune.surgery.chain import BATCH_NORMS

COARSE, RESOLUTION = 0.05, 1e-4  # steps of a share that is searched for


class ScoreMethod:
    """A share of all channels, those with the lowest score; half the share after a failure."""

    def __init__(self, settings: Compression, data: Splits, model: nn.Module) -> None:
        self.settings, self.data = settings, data
        self.share, self.failed, self.left = settings.share, 0, settings.iterations
        free = chosen_groups(settings, model, first_inputs(data.train, 2))
        if not free:
            raise StructureError("nothing in the network can be cut; see maxprune inspect")
        if settings.method == "bn-scale" and not any(
            isinstance(module, BATCH_NORMS) for module in model.modules()
        ):
            raise StructureError("there is no batch norm in the network for bn-scale to look at")
        channels = sum(group.channels for group in free)
        if settings.share * channels < 1:
            raise UsageError(
                f"a share of {settings.share:g} of {channels:,} channels is less than one channel"
            )

    def propose(self, model: nn.Module) -> Proposal | None:
        """The channels with the lowest score, unless too many tries have failed."""
        if self.failed >= self.settings.fails or self.left == 0:
            return None
        ranked = Ranked.by(self.settings, model, self.data)
        plan = ranked.plan(self.share)
        if plan is None:
            return None
        plan = self._no_further(model, ranked, plan)
        gone = sum(len(plan.removed(name)) for name in plan.keep)
        title = f"-{gone} channels"
        return Proposal(title, model, lambda: audited(model, plan, self.data.train))

    def answer(self, model: nn.Module, good: bool) -> nn.Module:
        """Halve the share after a failure."""
        if self.left is not None:
            self.left -= 1
        if not good:
            self.failed += 1
            self.share /= 2
        return model

    def _no_further(self, model: nn.Module, ranked: Ranked, plan: KeepPlan) -> KeepPlan:
        """The smallest plan that meets the budgets, where the whole one does; else the whole."""
        budgets = {n: v for n, v in self.settings.budgets().items() if n != "latency_ms"}
        if not budgets:
            return plan
        found = least(ranked.plan, lambda cut: not self._over(model, cut, budgets), self.share)
        return found or plan

    def _over(self, model: nn.Module, plan: KeepPlan, budgets: dict[str, float]) -> bool:
        return bool(measure_sizes(apply(model, plan), self.data.input_shape).over(budgets))


@dataclass(frozen=True)
class Ranked:
    """Groups, each with a score for each of its channels.

    Args:
        groups: those that can be cut and have a score.
        scores: low for what matters little.
        method: whose scores.
    """

    groups: Sequence[ChannelGroup]
    scores: Scores
    method: str

    @staticmethod
    def by(settings: Compression, model: nn.Module, data: Splits) -> Ranked:
        """The groups that the settings let be cut, scored by their method."""
        groups = chosen_groups(settings, model, first_inputs(data.train, 2))
        scores = SCORES[settings.method].of(model, groups, data.train, settings.scoring())
        return Ranked([g for g in groups if g.name in scores], scores, settings.method)

    def plan(self, share: float) -> KeepPlan | None:
        """Remove the share of the channels with the lowest scores; None if that is less than one.

        Args:
            share: in (0, 1).
        """
        try:
            return lowest(self.groups, self.scores, share, method=self.method)
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


def chosen_groups(settings: Compression, model: nn.Module, x: Tensor) -> list[ChannelGroup]:
    """The groups that can be cut, of the named layers where some are named.

    Raises:
        UsageError: a layer is named that is not there or cannot be cut.
    """
    found = channel_groups(model, x, settings.skip, settings.heads)
    groups = [group for group in found if not group.reason]
    if not settings.layers:
        keep_last = settings.method == "pls" if settings.keep_last is None else settings.keep_last
        last = last_convolution(model, groups) if keep_last else None
        return [group for group in groups if group is not last]
    known = {layer for group in groups for layer in group.layers}
    unknown = [name for name in settings.layers if name not in known]
    if unknown:
        raise UsageError(
            f"layer {unknown[0]!r} is not there or cannot be cut: see maxprune inspect"
        )
    return [group for group in groups if set(group.layers) & set(settings.layers)]


def last_convolution(model: nn.Module, groups: Sequence[ChannelGroup]) -> ChannelGroup | None:
    """The last convolution of a VGG-like network: one after the other, and then linear layers."""
    if any(len(group.layers) > 1 for group in groups):
        return None
    found = [g for g in groups if isinstance(model.get_submodule(g.name), _ConvNd)]
    if not found:
        return None
    behind = [model.get_submodule(member.name) for member in readers(found[-1])]
    return found[-1] if all(isinstance(module, nn.Linear) for module in behind) else None
