"""How the relevance of the neurons of maxout units becomes a plan: which of them go.

The paper removes the least winning neuron of every unit at a time (Moya Rueda et al. 2017, section
4.1), so all units have the same size. Here they may also go by their rank over all units, and all
at once. Every unit keeps at least one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from maxprune.errors import UsageError
from maxprune.plan import KeepPlan, keep_plan
from maxprune.planner import NothingToCutError


@dataclass(frozen=True)
class UnitScores:
    """A number for each neuron of each unit of a layer, low for what matters little.

    Args:
        scores: (units, k); in a row of a unit that has less than k neurons the rest is nobody's.
        sizes: neurons of each unit.

    Raises:
        UsageError: shapes do not fit, or a score is not finite.
    """

    scores: Float[Tensor, "units k"]
    sizes: tuple[int, ...]

    def __post_init__(self) -> None:
        fits = self.scores.dim() == 2 and len(self.sizes) == len(self.scores)
        if not fits or not all(1 <= size <= self.scores.shape[1] for size in self.sizes):
            raise UsageError(
                f"scores of shape {tuple(self.scores.shape)} are not those of units with "
                f"{str(self.sizes)[:50]} neurons"
            )
        if not bool(self.scores.isfinite().all()):
            raise UsageError("a score is not a finite number")

    @property
    def there(self) -> Bool[Tensor, "units k"]:
        """Which entries are neurons."""
        return torch.arange(self.scores.shape[1]) < torch.tensor(self.sizes)[:, None]

    def order(self) -> Int[Tensor, "units k"]:
        """The neurons of each unit in the order in which they go; nobody's come last.

        Among equal scores the last neuron goes first.
        """
        scores = self.scores.cpu()
        top = torch.inf if scores.is_floating_point() else torch.iinfo(scores.dtype).max
        scores = scores.masked_fill(~self.there, top)
        return scores.shape[1] - 1 - scores.flip(1).argsort(dim=1, stable=True)


def least_winning(
    layer: str, wins: Int[Tensor, "units k"], method: str = "maxout wins",
    sizes: Sequence[int] | None = None,
) -> KeepPlan:  # fmt: skip
    """Remove the least winning neuron of every unit (Moya Rueda et al. 2017, section 4.1).

    Of units of different sizes those with k neurons lose one, so that all have k - 1 at most.
    Among equally winning neurons of a unit the last one goes.

    Args:
        layer: the layer before the maxout.
        wins: how often each neuron was its unit's maximum, as `scores.count_wins` gives it.
        method: what decided, for the reader.
        sizes: neurons of each unit where they differ, as `count_wins` gives them.

    Example:
        >>> least_winning("fc1", torch.tensor([[5, 1, 3], [2, 2, 2]])).removed("fc1")
        (1, 5)
    """
    units = _units(layer, wins, sizes)
    k = wins.shape[1]
    if k < 2:
        raise UsageError(f"layer {layer}: units of {k} input have none to spare")
    return _keep({layer: units}, {layer: [size - (size == k) for size in units.sizes]}, method)


def most_winning(
    layer: str, wins: Int[Tensor, "units k"], stay: int = 1, method: str = "maxout wins, one step",
    sizes: Sequence[int] | None = None,
) -> KeepPlan:  # fmt: skip
    """Keep the most winning neurons of every unit, all others go at once.

    Args:
        layer: the layer before the maxout.
        wins: how often each neuron was its unit's maximum, as `scores.count_wins` gives it.
        stay: neurons that a unit keeps, at most.
        method: what decided, for the reader.
        sizes: neurons of each unit where they differ, as `count_wins` gives them.

    Example:
        >>> most_winning("fc1", torch.tensor([[5, 1, 3], [2, 2, 2]])).keep["fc1"]
        (0, 3)
    """
    units = _units(layer, wins, sizes)
    if stay < 1:
        raise UsageError(f"a unit keeps at least 1 neuron, not {stay}")
    return _keep({layer: units}, {layer: [min(size, stay) for size in units.sizes]}, method)


def least_relevant(
    layers: Mapping[str, UnitScores], remove: int, method: str = "maxout, over all units"
) -> KeepPlan:
    """Remove the neurons that are least relevant over all units of all layers.

    Units come to differ in size; the most relevant neuron of each stays. Among equal ones the last
    goes first.

    Args:
        layers: those before a maxout, with the scores of their neurons, as
            `count_wins(...).relevance(...)` gives them.
        remove: how many neurons go; fewer where no unit has more to spare.
        method: what decided, for the reader.

    Raises:
        UsageError: less than one neuron is to go.
        NothingToCutError: every unit has one neuron left.

    Example:
        >>> scores = UnitScores(torch.tensor([[0.5, 0.1, 0.3], [0.2, 0.0, 0.1]]), (3, 3))
        >>> least_relevant({"fc1": scores}, 3).keep["fc1"]
        (0, 2, 3)
    """
    if remove < 1:
        raise UsageError(f"at least 1 neuron goes, not {remove}")
    ranked = [
        (float(units.scores[unit, neuron]), place, unit)
        for place, units in enumerate(layers.values())
        for unit, order in enumerate(units.order().tolist())
        for neuron in order[: units.sizes[unit] - 1]
    ]
    if not ranked:
        raise NothingToCutError("nothing is left to cut: every unit has one neuron")
    left = {layer: list(units.sizes) for layer, units in layers.items()}
    names = list(layers)
    ranked.sort(key=lambda entry: (entry[0], -entry[1], -entry[2]))
    for _, place, unit in ranked[:remove]:
        left[names[place]][unit] -= 1
    cut = {name: left[name] for name in layers if left[name] != list(layers[name].sizes)}
    return _keep({name: layers[name] for name in cut}, cut, method)


def _units(layer: str, wins: Tensor, sizes: Sequence[int] | None) -> UnitScores:
    """The wins as scores."""
    if not isinstance(wins, Tensor) or wins.dim() != 2 or not bool(wins.isfinite().all()):
        raise UsageError(
            f"layer {layer}: the wins are a tensor of shape (units, k) without NaN, such as "
            "count_wins(...).wins"
        )
    return UnitScores(wins, tuple(sizes) if sizes else (wins.shape[1],) * len(wins))


def _keep(
    layers: Mapping[str, UnitScores], left: Mapping[str, Sequence[int]], method: str
) -> KeepPlan:
    """The plan that leaves so many neurons of every unit of every layer."""
    keep = {}
    for layer, units in layers.items():
        turn = units.order().argsort(dim=1)  # when each neuron goes
        goes = torch.tensor(units.sizes) - torch.tensor([*left[layer]])
        stay = (turn >= goes[:, None])[units.there]
        keep[layer] = tuple(int(i) for i in stay.nonzero().flatten())
    return keep_plan({layer: sum(units.sizes) for layer, units in layers.items()}, keep, method)
