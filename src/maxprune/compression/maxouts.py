"""Maxout units as a method: behind one layer after the other, each pruned to one neuron a unit."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from maxprune.compression.proposal import Proposal
from maxprune.compression.settings import Compression
from maxprune.compression.winning import without_last, without_least_winning
from maxprune.data.samples import Splits
from maxprune.errors import MaxpruneError, StructureError, UsageError
from maxprune.inspection import MaxoutGain, maxout_gains
from maxprune.measure import parameters
from maxprune.networks.maxout import unit_sizes
from maxprune.networks.weighted import weighted_layers
from maxprune.plan import maxout_plan
from maxprune.plural import plural
from maxprune.surgery import apply


@dataclass(frozen=True)
class Place:
    """A layer behind which a maxout can stand, and the numbers of inputs to try, the most first."""

    layer: str
    ks: tuple[int, ...]


def places(settings: Compression, model: nn.Module, inputs: Tensor) -> list[Place]:
    """Where a maxout can stand, the largest gain first, or the named layers in their order.

    Args:
        settings: `layers`, `skip` and the largest `k`, which is halved while it is even.
        model: the network.
        inputs: (batch, ...) that it takes.

    Raises:
        UsageError: a layer is named that is not there, or has too few neurons.
        StructureError: no maxout can stand behind a named layer, or behind any.
    """
    known = weighted_layers(model)
    unknown = [name for name in (*settings.layers, *settings.skip) if name not in known]
    if unknown:
        raise UsageError(f"the network has no layer {unknown[0]!r}; it has {', '.join(known)}")
    ks = [settings.k]
    while ks[-1] % 2 == 0 and ks[-1] > 2:
        ks.append(ks[-1] // 2)
    gains = maxout_gains(model, inputs, settings.skip, ks)
    if settings.layers:
        return [_named(layer, settings.k, gains) for layer in settings.layers]
    free = dict.fromkeys(gain.layer for gain in gains if not gain.reason)
    found = [Place(layer, _possible(layer, gains)) for layer in free]
    found = [place for place in found if place.ks]
    if not found:
        raise StructureError(
            f"no layer is left behind which a maxout over {' or '.join(map(str, ks))} neurons can "
            "stand (inspect says why); another --method may cut more"
        )
    return found


def _named(layer: str, k: int, gains: Sequence[MaxoutGain]) -> Place:
    """A layer that the user named."""
    ks = _possible(layer, gains)
    if not ks:
        mine = [gain for gain in gains if gain.layer == layer]
        count = mine[0].neurons
        if all(count <= gain.k for gain in mine):
            raise UsageError(
                f"k = {k} leaves less than two of the {plural(count, 'neuron')} of {layer!r}"
            )
        raise StructureError(next(gain.reason for gain in mine if gain.reason))
    return Place(layer, ks)


def _possible(layer: str, gains: Sequence[MaxoutGain]) -> tuple[int, ...]:
    """The numbers of neurons a unit that leave more than one neuron, the most first.

    Of five neurons a maxout over four makes units of three and two: its k is three.
    """
    free = [g for g in gains if g.layer == layer and not g.reason and g.k < g.neurons]
    return tuple(sorted({max(unit_sizes(g.neurons, g.k)) for g in free}, reverse=True))


class MaxoutMethod:
    """A maxout behind one layer after the other, each pruned down to one neuron a unit.

    Where a step fails the layer is tried again with a smaller k, from the network before it; where
    no k is left, the smallest network so far goes on to the next layer. After the last layer comes
    another round over those that did not fail, as long as one could be cut.
    """

    def __init__(self, settings: Compression, data: Splits, places: Sequence[Place]) -> None:
        self.settings, self.data, self.why = settings, data, ""
        self.notes: tuple[str, ...] = ()
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
            self.asked, layer = 1 if self.settings.one_step else self.k - 1, self.layer
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

    def answer(self, model: nn.Module, good: bool, easily: bool = True) -> nn.Module:
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
        """The places of another round: a named layer that has none left is passed over."""
        found: list[Place] = []
        named: list[tuple[str, ...]] = [(name,) for name in self.settings.layers]
        for layers in named or [()]:
            chosen = self.settings.model_copy(update={"layers": layers})
            with contextlib.suppress(MaxpruneError):
                found += places(chosen, model, self.data.example)
        return [place for place in found if place.layer not in self.failed]

    def _cut(self, model: nn.Module, layer: str) -> nn.Module:
        """Remove what the rule says, for the paper the least winning neuron of every unit."""
        rule = self.settings.rule()
        return without_least_winning(model, layer, self.data.train, rule=rule)[0]


class DryMaxouts(MaxoutMethod):
    """The same way without counting wins: for its sizes, which follow from the network alone."""

    def _cut(self, model: nn.Module, layer: str) -> nn.Module:
        for _ in range(self.k - self.asked):
            model = without_last(model, layer)
        return model
