"""Maxout units as a method: behind one layer after the other, each pruned to one neuron a unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from maxprune.compression.proposal import Proposal, audited
from maxprune.compression.settings import Compression
from maxprune.data.samples import Splits
from maxprune.errors import MaxpruneError, StructureError, UsageError
from maxprune.inspection import inspect
from maxprune.measure import parameters
from maxprune.networks.weighted import neurons, weighted_layers
from maxprune.plan import least_winning, maxout_plan
from maxprune.scores import count_wins
from maxprune.scores.named import every
from maxprune.surgery import apply
from maxprune.surgery.chain import find_chain


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
        inputs = (x for x, _ in every(self.data.train))
        plan = least_winning(layer, count_wins(model, layer, inputs).wins)
        return audited(model, plan, self.data.train)
