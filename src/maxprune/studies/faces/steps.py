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

import torch
from torch import nn

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
from maxprune.studies.faces.people import FoldData, training_pairs
from maxprune.surgery import apply, channel_groups
from maxprune.train import Checkpoints, Training, Watch, train
from maxprune.verification_results import FaceRun, Pictured
from maxprune.weights import zero_plan

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

        Its file is that of the network that gives descriptors; the decoder gives back what is
        measured, to the bit.
        """
        name = coded_name(bits, before)

        def make(place: Checkpoints | None) -> tuple[nn.Module, Pictured]:
            found = code(
                model.to(self.device), bits,
                lambda shared: (shared, self._fitted(shared, training, name, place)),
            )  # fmt: skip
            measured = self.measured(found.model, name, 1, found.told)
            content = as_coded(descriptor_network(found.model))
            return found.model, measured.model_copy(update={"bits": bits, "bytes": len(content)})

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
        part = share * parameters(self._counted(model)) / parameters(model)
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
        watch = Watch(tick=lambda done: self.told(name, done, training.iterations))
        seed = derive(self.way.seed, name)
        progress = train(model, self.train, training, seed, place, watch, zeroed, tuned)
        return Curve(step=name, iterations=list(progress.iterations), loss=list(progress.loss))

    def measured(
        self, model: nn.Module, name: str, k: int = 1, curve: Curve = NO_CURVE
    ) -> Pictured:
        """Measure the network of a step."""
        body, counted = self._describer(model), self._counted(model)
        tested, held = (self._distances(body, places) for places in self._places())
        shape = tuple(self.data.pixels.shape[1:])
        return Pictured(
            name=name, k=k, parameters=parameters(counted), nonzero=nonzero(counted),
            macs=macs(counted, shape), tested=tested.tolist(), held=held.tolist(), curve=curve,
            bytes=None if self.way.whole else bytes_of(body),
        )  # fmt: skip

    def _counted(self, model: nn.Module) -> nn.Module:
        """The network whose size is told."""
        return model if self.way.whole else self._describer(model)

    def _describer(self, model: nn.Module) -> nn.Module:
        """The network that gives descriptors."""
        body = descriptor_network(model)
        return Mirrored(body) if self.way.mirrored else body

    def _places(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self.data.tested.places, self.data.held.places

    def _distances(self, body: nn.Module, places: torch.Tensor) -> torch.Tensor:
        return verification_distances(body, self.data.pixels, places, self.way.distance)

    def _held_eer(self, model: nn.Module) -> float:
        """The Equal Error Rate in percent of the pairs of people who were held out."""
        body = self._describer(model.to(self.device))
        return 100 * roc(self._distances(body, self.data.held.places), self.data.held.same).eer
