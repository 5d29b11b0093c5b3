"""The methods: what to try next, given the network so far and whether the last try was good.

A method proposes; it never trains and never judges. All that it decides follows from the network,
the training data and the answers, so a search that is killed can be gone through again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

from maxprune.compression.settings import Compression
from maxprune.compression.sizes import measure_sizes
from maxprune.data.samples import Samples, Splits, first_inputs
from maxprune.errors import MaxpruneError, StructureError, UsageError
from maxprune.inspection import inspect
from maxprune.measure import parameters
from maxprune.networks.weighted import neurons, weighted_layers
from maxprune.plan import ChannelGroup, KeepPlan, least_winning, maxout_plan
from maxprune.planner import lowest
from maxprune.scores import chance, count_wins, magnitude
from maxprune.surgery import apply, audit, channel_groups
from maxprune.surgery.chain import find_chain

COUNTED = 1000  # samples of one batch when something is counted


@dataclass(frozen=True)
class Proposal:
    """Something to try.

    Args:
        title: what it is, in a few words.
        base: the network that is cut.
        make: cuts the network and gives it back, not yet retrained.
        k: inputs of a maxout unit that is left; 1 where there is none.
        zero: share of the parameters that go to zero while it is retrained; None for none.
    """

    title: str
    base: nn.Module
    make: Callable[[], nn.Module]
    k: int = 1
    zero: float | None = None


class Method(Protocol):
    """Proposes one smaller network after the other."""

    def propose(self, model: nn.Module) -> Proposal | None:
        """What to try next on the network so far; None when there is nothing left to try."""

    def answer(self, model: nn.Module, good: bool) -> nn.Module:
        """Take note of what became of the proposal, and say from which network to go on.

        Args:
            model: the retrained proposal if it was good, else the network it was made from.
            good: whether it was taken.
        """


def make_method(settings: Compression, data: Splits, model: nn.Module) -> Method:
    """The method that the settings name, for this network.

    Raises:
        UsageError: `layers` or `skip` names something that is no layer or cannot be cut.
        StructureError: nothing can be cut.
    """
    if settings.method == "maxout":
        if settings.heads:
            raise UsageError("heads are cut by a score, not by a maxout: name another method")
        return MaxoutMethod(settings, data, places(settings, model, data.input_shape))
    return ScoreMethod(settings, data, model)


@dataclass(frozen=True)
class Place:
    """A layer behind which a maxout can stand, and the numbers of inputs to try, the most first."""

    layer: str
    ks: tuple[int, ...]


def places(settings: Compression, model: nn.Module, shape: tuple[int, ...]) -> list[Place]:
    """Where a maxout can stand, the largest gain first, or the named layers in their order.

    Raises:
        UsageError: a layer is named that is not there.
        StructureError: no maxout can stand behind a named layer, or behind any.
    """
    known = weighted_layers(model)
    unknown = [name for name in (*settings.layers, *settings.skip) if name not in known]
    if unknown:
        raise UsageError(f"the network has no layer {unknown[0]!r}; it has {', '.join(known)}")
    ks = [settings.k]
    while ks[-1] % 2 == 0 and ks[-1] > 2:
        ks.append(ks[-1] // 2)
    found = []
    for layer in settings.layers:
        find_chain(model, layer)
        found.append(Place(layer, _dividing(ks, neurons(known[layer]))))
        if not found[-1].ks:
            raise UsageError(
                f"k = {settings.k} does not divide the {neurons(known[layer])} neurons of {layer!r}"
            )
    if not settings.layers:
        gains = [g for g in inspect(model, shape, settings.skip).maxouts if not g.reason]
        order = dict.fromkeys(gain.layer for gain in gains)
        found = [Place(name, _dividing(ks, neurons(known[name]))) for name in order]
    found = [place for place in found if place.ks]
    if not found:
        raise StructureError(
            "no layer is left behind which a maxout can stand; another --method may cut more"
        )
    return found


def _dividing(ks: Sequence[int], count: int) -> tuple[int, ...]:
    return tuple(k for k in ks if count % k == 0 and count > k)


class MaxoutMethod:
    """A maxout behind one layer after the other, each pruned down to one neuron a unit.

    Where a step fails the layer is tried again with a smaller k, from the network before it; where
    no k is left, the smallest network so far goes on to the next layer. After the last layer comes
    another round over those that did not fail, as long as one could be cut.
    """

    def __init__(self, settings: Compression, data: Splits, places: Sequence[Place]) -> None:
        self.settings, self.data = settings, data
        self.places = list(places)
        self.ks: list[int] = []  # still to be tried behind the layer at hand
        self.layer, self.k = "", 1  # the maxout that stands there; k = 1 for none
        self.asked = 1
        self.rounds = float("inf") if settings.rounds is None else settings.rounds - 1
        self.failed: set[str] = set()
        self.cut = False  # whether this round has brought a layer down to k = 1
        self.good: list[nn.Module] = []  # the network before this layer, and those taken since

    def propose(self, model: nn.Module) -> Proposal | None:
        """The next cut of the maxout that stands, or the next maxout."""
        if self.k > 1:
            self.asked, layer = self.k - 1, self.layer
            title = f"{layer} k={self.asked}"
            return Proposal(title, model, lambda: self._cut(model, layer), self.asked)
        if not self.ks:
            if not self.places and self.cut and self.rounds:
                self.cut = False
                self.rounds -= 1
                self.places = self._again(model)
            if not self.places:
                return None
            place = self.places.pop(0)
            self.layer, self.ks, self.good = place.layer, list(place.ks), [model]
        base, layer, k = self.good[0], self.layer, self.ks.pop(0)
        self.asked = k
        return Proposal(f"{layer} k={k}", base, lambda: apply(base, maxout_plan(layer, k)), k)

    def answer(self, model: nn.Module, good: bool) -> nn.Module:
        """Go on, or back to the network before the layer, or to the next layer."""
        if good:
            self.k = self.asked
            self.good.append(model)
            if self.k == 1:
                self.ks, self.cut = [], True
            return model
        self.k = 1
        if not self.ks:
            self.failed.add(self.layer)
        return min(self.good, key=parameters)

    def _again(self, model: nn.Module) -> list[Place]:
        """The places of another round."""
        try:
            found = places(self.settings, model, self.data.input_shape)
        except MaxpruneError:
            return []
        return [place for place in found if place.layer not in self.failed]

    def _cut(self, model: nn.Module, layer: str) -> nn.Module:
        """Remove the least winning neuron of every unit."""
        inputs = (x for x, _ in self.data.train.batches(COUNTED))
        plan = least_winning(layer, count_wins(model, layer, inputs).wins)
        return audited(model, plan, self.data.train)


class ScoreMethod:
    """A share of all channels, those with the lowest score; half the share after a failure."""

    def __init__(self, settings: Compression, data: Splits, model: nn.Module) -> None:
        self.settings, self.data = settings, data
        self.share, self.failed = settings.share, 0
        free = self._free(model)
        if not free:
            raise StructureError("nothing in the network can be cut; see maxprune inspect")
        channels = sum(group.channels for group in free)
        if settings.share * channels < 1:
            raise UsageError(
                f"a share of {settings.share:g} of {channels:,} channels is less than one channel"
            )

    def propose(self, model: nn.Module) -> Proposal | None:
        """The channels with the lowest score, unless too many tries have failed."""
        if self.failed >= self.settings.fails:
            return None
        groups = self._free(model)
        try:
            plan = self._plan(model, groups, self.share)
        except UsageError:
            return None  # a single channel is more than the share
        plan = self._no_further(model, groups, plan)
        gone = sum(len(plan.removed(name)) for name in plan.keep)
        title = f"-{gone} channels"
        return Proposal(title, model, lambda: audited(model, plan, self.data.train))

    def answer(self, model: nn.Module, good: bool) -> nn.Module:
        """Halve the share after a failure."""
        if not good:
            self.failed += 1
            self.share /= 2
        return model

    def _free(self, model: nn.Module) -> list[ChannelGroup]:
        return chosen_groups(self.settings, model, first_inputs(self.data.train, 2))

    def _plan(self, model: nn.Module, groups: list[ChannelGroup], share: float) -> KeepPlan:
        if self.settings.method == "magnitude":
            scores = magnitude(model, groups)
        else:
            scores = chance(groups, self.settings.seed)
        return lowest(groups, scores, share, method=self.settings.method)

    def _no_further(self, model: nn.Module, groups: list[ChannelGroup], plan: KeepPlan) -> KeepPlan:
        """The smallest plan that meets the budgets, where the whole one does; else the whole."""
        budgets = {n: v for n, v in self.settings.budgets().items() if n != "latency_ms"}
        if not budgets or self._over(model, plan, budgets):
            return plan
        low, high = 0.0, self.share
        while high - low > 1e-3:
            middle = (low + high) / 2
            try:
                smaller = self._plan(model, groups, middle)
            except UsageError:
                low = middle
                continue
            if self._over(model, smaller, budgets):
                low = middle
            else:
                high, plan = middle, smaller
        return plan

    def _over(self, model: nn.Module, plan: KeepPlan, budgets: dict[str, float]) -> bool:
        return bool(measure_sizes(apply(model, plan), self.data.input_shape).over(budgets))


def chosen_groups(settings: Compression, model: nn.Module, x: Tensor) -> list[ChannelGroup]:
    """The groups that can be cut, of the named layers where some are named.

    Raises:
        UsageError: a layer is named that is not there or cannot be cut.
    """
    found = channel_groups(model, x, settings.skip, settings.heads)
    groups = [group for group in found if not group.reason]
    if not settings.layers:
        return groups
    known = {layer for group in groups for layer in group.layers}
    unknown = [name for name in settings.layers if name not in known]
    if unknown:
        raise UsageError(
            f"layer {unknown[0]!r} is not there or cannot be cut: see maxprune inspect"
        )
    return [group for group in groups if set(group.layers) & set(settings.layers)]


def audited(model: nn.Module, plan: KeepPlan, samples: Samples) -> nn.Module:
    """The smaller network, compared with the masked larger one on real samples."""
    smaller = apply(model, plan)
    audit(model, smaller, plan, first_inputs(samples, 64))
    return smaller


def planned(settings: Compression, data: Splits, model: nn.Module) -> list[str]:
    """What a search would try, in lines; trains and scores nothing.

    Raises:
        UsageError: a layer is named that is not there or cannot be cut.
        StructureError: nothing can be cut.
    """
    start = measure_sizes(model, data.input_shape)
    lines = [f"{start.parameters:,} parameters, {start.macs:,} MACs, {start.bytes:,} bytes"]
    if settings.method == "maxout":
        for i, place in enumerate(places(settings, model, data.input_shape), 1):
            count = neurons(weighted_layers(model)[place.layer])
            ks = " or ".join(f"k = {k} (to {count // k:,})" for k in place.ks)
            lines.append(f"{i}. a maxout behind {place.layer}, {count:,} neurons: {ks}")
        return lines
    free = chosen_groups(settings, model, first_inputs(data.train, 2))
    channels = sum(group.channels for group in free)
    lines.append(
        f"{len(free)} groups of {channels:,} channels; a step removes up to "
        f"{int(settings.share * channels):,}, those with the lowest score ({settings.method})"
    )
    return lines
