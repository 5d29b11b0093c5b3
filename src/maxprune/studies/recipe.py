"""A recipe: one run of maxout neuron pruning, as a frozen record, checked before it starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from maxprune.compression.winning import without_last
from maxprune.errors import UsageError
from maxprune.networks.maxout import unit_sizes
from maxprune.networks.weighted import neurons
from maxprune.plan import maxout_plan
from maxprune.plural import plural
from maxprune.runs.measured import step_name
from maxprune.surgery import apply
from maxprune.surgery.chain import find_layer
from maxprune.train import Training
from maxprune.weights import zero_plan
from maxprune.weights.sharing import share_plan

OURS = Training(boost=3.0)
"""How the studies train: as the paper, but for the mean of the weights, and weights that go to zero
little by little at three times the rate with less dropout; chosen on validation data
(benchmarks/sparse_retraining.py)."""


@dataclass(frozen=True)
class Recipe:
    """One run of the method.

    Args:
        network: its name in the results.
        build: makes the network without maxout.
        layer: the layer behind which the maxout goes.
        k: inputs per unit at first.
        shares: shares of all parameters to be zero, growing; () for neuron pruning alone.
        choose: instead of `shares`, take the largest share that costs nothing on a validation
            split of a tenth of the training set, which is then not trained on.
        coded: (share, bits): the network with that share of zeros (None for the one that is
            chosen) with 2^bits values for the weights of each layer, in a coded file.
        training: of the baseline, of the maxout network and of every retraining.
        seed: of initial weights, order of images and dropout.
        control: also train the final architecture from random weights.
        bury: remove the neurons that the last share left dead.
    """

    network: str
    build: Callable[[], nn.Module]
    layer: str
    k: int = 4
    shares: tuple[float, ...] = ()
    choose: bool = False
    coded: tuple[tuple[float | None, int], ...] = ()
    training: Training = OURS
    seed: int = 0
    control: bool = False
    bury: bool = False

    def trainings(self) -> int:
        """Trainings of the whole run, each of `training.iterations`."""
        weights = (1 if self.choose else len(self.shares)) + len(self.coded)
        return 1 + self.k + weights + (self.k if self.control else 0)

    def is_last(self, name: str) -> bool:
        """Whether the step of that name is the last that prunes."""
        if self.choose:
            return name.startswith("weights ")
        return name == (step_name(self.shares[-1]) if self.shares else "maxout k=1")

    def check(self) -> None:
        """Refuse what cannot work, before any training.

        Raises:
            UsageError: k, a share or their order.
            StructureError: the layer cannot be cut, or its weights are not finite.
        """
        if self.seed < 0:
            raise UsageError(f"a seed is a whole number from 0 up, not {self.seed}")
        if any(not 0 < share < 1 for share in self.shares):
            raise UsageError(f"shares of weights lie between 0 and 1, not {self.shares}")
        if list(self.shares) != sorted(set(self.shares)):
            raise UsageError(f"shares of weights must grow, not {self.shares}")
        if self.shares and self.choose:
            raise UsageError("either name the shares of weights or have one chosen, not both")
        for share, bits in self.coded:
            if share not in (self.shares or ((None,) if self.choose else ())):
                raise UsageError(f"there is no network with a share of {share} zeros to be coded")
            share_plan(self.build(), bits)
        model = self.build()
        wide = apply(model, maxout_plan(self.layer, self.k))
        count = neurons(find_layer(model, self.layer))
        most = max(unit_sizes(count, self.k))
        if most < self.k:
            raise UsageError(
                f"of {plural(count, 'neuron')} of {self.layer!r} a maxout over k = {self.k} makes "
                f"units of {most} at most: take k = {most}"
            )
        if self.shares:
            zero_plan(self._at_one(wide), self.shares[-1])

    def _at_one(self, model: nn.Module) -> nn.Module:
        """The maxout network with one neuron of every unit left: the size it ends with."""
        for _ in range(1, self.k):
            model = without_last(model, self.layer)
        return model
