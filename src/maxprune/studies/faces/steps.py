"""The steps of one way of cutting in one fold: with maxout units, or by PLS-VIP of pairs.

Moya Rueda, Grzeszick, Fink 2017, section 5.2: a trained network gets a maxout behind its first
hidden layer (MFC) or its last convolution (MC); its last layers are fine-tuned; three times the
least winning neuron of every unit goes and it is fine-tuned again; then weights go. PLS-VIP
(Jordao et al. 2019) removes as many neurons of the same layers from the same network, by their part
in telling whether two pictures show one person.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from maxprune.compression.coding import code, coded_name
from maxprune.compression.proposal import audited
from maxprune.compression.winning import without_least_winning
from maxprune.data.order import derive
from maxprune.data.samples import Pictures
from maxprune.measure import macs, nonzero, parameters, roc, verification_distances
from maxprune.modes import best_device
from maxprune.networks import Mirrored, descriptor_network
from maxprune.plan import KeepPlan, maxout_plan
from maxprune.planner import cut_plan
from maxprune.results import NO_CURVE, Curve
from maxprune.runs.measured import step_name
from maxprune.runs.workspace import Workspace, timed
from maxprune.scores.vip import represent
from maxprune.store.coded import as_coded
from maxprune.store.model import bytes_of
from maxprune.studies.faces.describing import describer
from maxprune.studies.faces.people import FoldData, training_pairs
from maxprune.surgery import apply, channel_groups
from maxprune.train import Checkpoints, Training, Watch, train
from maxprune.verification_results import FaceRun, Pictured
from maxprune.weights import share_plan, zero_plan
from maxprune.weights.sharing import round_to_halves

BASELINE = "no maxout"
VIP_PAIRS = 20_000  # of training pictures, on which PLS-VIP is computed
PASS = 500  # pictures at a time where nothing is trained

Told = Callable[[str, int, int], None]
"""Called with a step's name, its iterations done and those in all."""


@dataclass(frozen=True)
class Way:
    """One way of cutting a network for faces.

    Args:
        name: of it.
        layer: whose neurons go.
        tuned: the modules that are fine-tuned; () for all.
        retraining: with the maxout, and after each cut of neurons.
        sparse: the training after each share of weights, of the whole network.
        shares: of all parameters to be zero, growing, at k = 1.
        k: inputs per unit at first.
        seed: of the order of pictures, their augmentation, and pairs.
        by_pls: neurons go by PLS-VIP, and there is no maxout.
        whole: count the output layer too, in the bytes of the files as well.
        distance: of two descriptors.
        mirrored: the descriptor is the mean over a face and its mirror image.
        dimensions: of a descriptor that a discriminant gives, fitted to the training pictures anew
            for every network; 0 for the last hidden layer's activations, as the paper has it.
    """

    name: str
    layer: str
    tuned: tuple[str, ...]
    retraining: Training
    sparse: Training
    shares: tuple[float, ...] = ()
    k: int = 4
    seed: int = 0
    by_pls: bool = False
    whole: bool = False
    distance: str = "bray-curtis"
    mirrored: bool = False
    dimensions: int = 0

    def neuron_steps(self) -> dict[str, int]:
        """The steps that remove neurons by name, each with k or how many of k are left."""
        if self.by_pls:
            return {f"pls {k}/{self.k}": k for k in range(self.k - 1, 0, -1)}
        return {f"maxout k={k}": k for k in range(self.k, 0, -1)}

    def length(self) -> int:
        """Iterations of all its trainings."""
        neurons, weights = len(self.neuron_steps()), len(self.shares)
        return neurons * self.retraining.iterations + weights * self.sparse.iterations


class Steps:
    """The steps of a way of cutting at work in a fold, each kept in the space."""

    def __init__(
        self, way: Way, data: FoldData, train: Pictures, space: Workspace[Pictured], told: Told
    ) -> None:
        self.way, self.data, self.train = way, data, train
        self.space, self.told = space, told
        self.device = best_device()
        self.found: list[Pictured] = []
        self.sizes: list[int] = []

    def run(self, model: nn.Module, measured: Pictured, size: int) -> tuple[nn.Module, FaceRun]:
        """Every step from the network without maxout, which was measured already.

        Returns:
            The last network, and what was measured of all.
        """
        self.found, self.sizes = [measured], [size]
        model = model.to(self.device)
        for name, k in self.way.neuron_steps().items():
            model = self._step(name, self._smaller, model, k)
        for share in self.way.shares:
            model = self._step(step_name(share), self._zeroed, model, share)
        return model, self._run(self.found, self.sizes)

    def _run(self, steps: list[Pictured], sizes: list[int]) -> FaceRun:
        fold = int(self.data.tested.fold[0])
        return FaceRun(network=self.way.name, fold=fold, steps=steps, sizes=sizes)

    def coded(self, model: nn.Module, before: str, training: Training, bits: int) -> FaceRun:
        """The network of a step with 2^bits values for the weights of each layer, trained.

        Its file, and what is kept, is the network that gives descriptors; the decoder gives back
        what is measured, to the bit.
        """
        name = coded_name(bits, before)

        def make(place: Checkpoints | None) -> tuple[nn.Module, Pictured]:
            found = code(
                model.to(self.device), bits,
                lambda shared: (shared, self._fitted(shared, training, name, place)),
            )  # fmt: skip
            network = self._describer(found.model)
            network = apply(network, share_plan(network, bits))  # the discriminant's; others do
            round_to_halves(network)
            both = self._mirrored(network)
            measured = self._pictured(both, name, 1, found.told, both)
            size = len(as_coded(network))
            return network, measured.model_copy(update={"bits": bits, "bytes": size})

        _, measured, size = self.space.step(name, timed(make))
        return self._run([measured], [size])

    def _step(
        self,
        name: str,
        make: Callable[[nn.Module, float, str, Checkpoints | None], tuple[nn.Module, Pictured]],
        model: nn.Module,
        what: float,
    ) -> nn.Module:
        def made(place: Checkpoints | None) -> tuple[nn.Module, Pictured]:
            return make(model, what, name, place)

        smaller, measured, size = self.space.step(name, timed(made))
        self.found.append(measured)
        self.sizes.append(size)
        training = self.way.sparse if make == self._zeroed else self.way.retraining
        self.told(name, training.iterations, training.iterations)
        return smaller.to(self.device)

    def _smaller(
        self, model: nn.Module, k: float, name: str, place: Checkpoints | None
    ) -> tuple[nn.Module, Pictured]:
        """With k neurons a unit left, or k of every way.k neurons."""
        way, wins = self.way, None
        if way.by_pls:
            smaller = audited(model, self._least_important(model, int(k)), self.train)
        elif k == way.k:
            smaller = apply(model, maxout_plan(way.layer, way.k))
        else:
            smaller, wins = without_least_winning(model, way.layer, self.train, name)
        is_whole = k == way.k  # a maxout that was just put in has to be trained first
        before = None if is_whole else self._held_eer(smaller)
        trained, measured = self.trained(smaller, way.retraining, name, place, way.tuned, int(k))
        return trained, measured.model_copy(update={"wins": wins, "held_before": before})

    def _least_important(self, model: nn.Module, k: int) -> KeepPlan:
        """Remove a quarter of the first number of neurons: those that matter least for pairs."""
        x, _ = next(self.train.batches(2, self.device))
        group = next(g for g in channel_groups(model, x) if g.name == self.way.layer)
        whole = group.channels * self.way.k // (k + 1)
        found = represent(model, [group], self.train.batches(PASS, self.device))
        places, same = training_pairs(self.train.images, VIP_PAIRS, self.way.seed)
        scores = found.of_pairs(places, same.double())[group.name]
        stays = scores.argsort(descending=True, stable=True)[: whole * k // self.way.k]
        keep = {group.name: stays.sort().values.tolist()}
        return cut_plan([group], keep, "PLS-VIP of pairs")

    def _zeroed(
        self, model: nn.Module, share: float, name: str, place: Checkpoints | None
    ) -> tuple[nn.Module, Pictured]:
        """With a share of all parameters zero; the output layer, which only trains, is dense."""
        counted = model if self.way.whole else descriptor_network(model)
        part = share * parameters(counted) / parameters(model)
        before = self._held_eer(apply(model, zero_plan(model, part)))
        trained, measured = self.trained(
            copy.deepcopy(model), self.way.sparse, name, place, (), 1, part
        )
        return trained, measured.model_copy(update={"held_before": before})

    def trained(
        self, model: nn.Module, training: Training, name: str, place: Checkpoints | None,
        tuned: Sequence[str] = (), k: int = 1, zeroed: float | None = None,
    ) -> tuple[nn.Module, Pictured]:  # fmt: skip
        """Train the network of a step and measure it."""
        model = model.to(self.device)
        curve = self._fitted(model, training, name, place, tuned, zeroed)
        if zeroed is not None:
            model = apply(model, zero_plan(model, zeroed))  # zero already; the lineage says so
        return model, self.measured(model, name, k, curve)

    def _fitted(
        self, model: nn.Module, training: Training, name: str, place: Checkpoints | None,
        tuned: Sequence[str] = (), zeroed: float | None = None,
    ) -> Curve:  # fmt: skip
        """Train in place; the curve of the loss."""
        channels_last: Any = {"memory_format": torch.channels_last}  # a sixth faster on a CPU
        model.to(**channels_last)
        watch = Watch(tick=lambda done: self.told(name, done, training.iterations))
        seed = derive(self.way.seed, name)
        progress = train(model, self.train, training, seed, place, watch, zeroed, tuned)
        return Curve(step=name, iterations=list(progress.iterations), loss=list(progress.loss))

    def measured(
        self, model: nn.Module, name: str, k: int = 1, curve: Curve = NO_CURVE
    ) -> Pictured:
        """Measure the network of a step."""
        network = self._mirrored(self._describer(model))
        return self._pictured(network, name, k, curve, model if self.way.whole else network)

    def _pictured(
        self, network: nn.Module, name: str, k: int, curve: Curve, counted: nn.Module
    ) -> Pictured:
        """Measure the network that gives descriptors; `counted` is the one whose size is told."""
        tested, held = (self._distances(network, places) for places in self._places())
        return Pictured(
            name=name, k=k, parameters=parameters(counted), nonzero=nonzero(counted),
            macs=macs(counted, tuple(self.data.pixels.shape[1:])),
            tested=tested.tolist(), held=held.tolist(), curve=curve,
            bytes=None if self.way.whole else bytes_of(network),
        )  # fmt: skip

    def _describer(self, model: nn.Module) -> nn.Module:
        """The network that gives the descriptor of a face."""
        way = self.way
        return describer(model.to(self.device), self.train.images, way.dimensions, way.seed)

    def _mirrored(self, network: nn.Module) -> nn.Module:
        """The network that looks at a face, and at its mirror image where it should."""
        return Mirrored(network) if self.way.mirrored else network

    def _places(self) -> tuple[Tensor, Tensor]:
        return self.data.tested.places, self.data.held.places

    def _distances(self, network: nn.Module, places: Tensor) -> Tensor:
        return verification_distances(network, self.data.pixels, places, self.way.distance)

    def _held_eer(self, model: nn.Module) -> float:
        """The Equal Error Rate in percent of the pairs of people who were held out."""
        network = self._mirrored(self._describer(model))
        apart = self._distances(network, self.data.held.places)
        return 100 * roc(apart, self.data.held.same).eer
