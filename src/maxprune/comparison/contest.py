"""One method with one seed, down all sizes: cut, retrain, measure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from maxprune.comparison.records import Compared, Start
from maxprune.comparison.settings import SCRATCH, Comparing
from maxprune.comparison.ways import Smaller, way
from maxprune.compression.fit import Fit, Trainer
from maxprune.compression.search import UNPRUNED
from maxprune.compression.settings import UNCUT
from maxprune.data.order import derive
from maxprune.data.samples import Splits
from maxprune.errors import AuditError, StructureError, TrainingDiverged
from maxprune.measure import accuracy, correct, macs, parameters, randomization_test
from maxprune.modes import best_device
from maxprune.networks import Maxout
from maxprune.results import NO_CURVE, Curve
from maxprune.runs.measured import Measured, measure_step
from maxprune.runs.workspace import Space, timed
from maxprune.train import Checkpoints, Fitting
from maxprune.train.waiting import Waiting


@dataclass(frozen=True)
class Contest:
    """What all methods share with one seed.

    Every training runs to its end and gives its last weights: nothing is judged on the way, so
    none is favoured by being judged more often.

    Args:
        comparing: methods, sizes, retraining.
        seed: of weights, order, augmentation and lot.
        data: to train, score, judge and test on.
        own: the user's training, used instead of the default, once a size.
        report: told (step, iterations done, iterations in all).
        build: gives the network with random weights; None where nobody knows how.
        waiting: told how long trainings wait for their data.
    """

    comparing: Comparing
    seed: int
    data: Splits
    own: Fit | None
    report: Callable[[str, int, int], None]
    build: Callable[[], nn.Module] | None = None
    waiting: Waiting = field(default_factory=Waiting)

    def start(self, model: nn.Module, space: Space) -> tuple[nn.Module, Start]:
        """The unpruned network, trained first if the settings say so."""
        epochs, rate = self.comparing.train_epochs, self.comparing.train_rate

        def make(place: Checkpoints | None) -> tuple[nn.Module, Measured]:
            network, curve = model.to(best_device()).eval(), NO_CURVE
            if epochs:
                seed = derive(self.seed, UNPRUNED)
                network, curve = self._trained(network, UNPRUNED, epochs, rate, seed, place)
            return network, self._measured(network, UNPRUNED, None, curve)

        network, measured, _ = space.step(UNPRUNED, timed(make))
        return network.to(best_device()), Start(
            seed=self.seed, parameters=measured.parameters, macs=measured.macs,
            validation=accuracy(network, self.data.validation), accuracy=measured.accuracy,
        )  # fmt: skip

    def compared(
        self, method: str, start: nn.Module, space: Space
    ) -> tuple[list[Compared], dict[str, str]]:
        """A method at every size, and why it could not reach the others."""
        rows: list[Compared] = []
        model, right, whole = start, correct(start, self.data.tested), self._size(start)
        fresh = None if self.build is None else self._fresh
        try:
            path = way(method, self.comparing.of(method, self.seed), start, self.data, fresh)
            for number, size in enumerate(self.comparing.descending(), 1):
                cuts = path.cuts(model, partial(self._fits, most=size * whole))
                taken: list[Measured] = []
                for i, cut in enumerate(cuts, 1):
                    step = _Step(method, number, i, len(cuts))
                    model, measured = self._take(step, cut(model), space)
                    taken.append(measured)
                rows.append(self._row(method, size, model, right, taken))
        except (StructureError, AuditError, TrainingDiverged) as error:
            return rows, {method: str(error)}
        return rows, {}

    def _take(self, step: _Step, smaller: Smaller, space: Space) -> tuple[nn.Module, Measured]:
        """Cut and retrain."""

        def made(place: Checkpoints | None) -> tuple[nn.Module, Measured]:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(derive(self.seed, "cut", step.number, step.cut))
                network = smaller().to(best_device())
            before = None if step.method == SCRATCH else accuracy(network, self.data.tested)
            epochs, rate = self._training(step)
            seed, curve = derive(self.seed, "retraining", step.number, step.cut), NO_CURVE
            if self.own is None or step.cut == step.cuts:
                network, curve = self._trained(network, step.name, epochs, rate, seed, place)
            return network, self._measured(network, step.name, before, curve)

        network, measured, _ = space.step(step.name, timed(made))
        if measured.curve.iterations:
            done = measured.curve.iterations[-1]
            self.report(step.name, done, done)
        return network.to(best_device()), measured

    def _fresh(self) -> nn.Module:
        """The network with random weights of its own."""
        if self.build is None:
            raise StructureError("nobody knows how the network is built with random weights")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(self.seed, SCRATCH))
            return self.build().to(best_device()).eval()

    def _training(self, step: _Step) -> tuple[float, float]:
        """Epochs and learning rate."""
        how = self.comparing.how
        if step.method == SCRATCH:
            return self.comparing.train_epochs + step.number * how.epochs, self.comparing.train_rate
        return how.epochs / step.cuts, how.rate

    def _trained(
        self, model: nn.Module, name: str, epochs: float, rate: float, seed: int,
        place: Checkpoints | None,
    ) -> tuple[nn.Module, Curve]:  # fmt: skip
        batch = self.comparing.how.batch
        fitting = Fitting.of_passes(epochs, self.data.train, batch=batch, rate=rate)
        fitting = fitting.model_copy(update={"judge_every": 0})
        tick = partial(self.report, name)
        return Trainer(self.data, fitting, self.own, self.waiting).fit(model, seed, place, tick)

    def _measured(
        self, model: nn.Module, name: str, before: float | None, curve: Curve
    ) -> Measured:
        k = max((m.k for m in model.modules() if isinstance(m, Maxout)), default=1)
        example = self.data.example
        measured = measure_step(model, self.data.tested, example, name, k, curve)
        return measured.model_copy(update={"before": before})

    def _row(
        self, method: str, size: float, model: nn.Module, start: Bool[Tensor, " samples"],
        taken: list[Measured],
    ) -> Compared:  # fmt: skip
        last = taken[-1]
        return Compared(
            method=method, seed=self.seed, size=size, parameters=last.parameters, macs=last.macs,
            cuts=0 if method == UNCUT else len(taken),
            before=last.before if len(taken) == 1 else None,
            validation=accuracy(model, self.data.validation), accuracy=last.accuracy,
            p_value=randomization_test(last.right(len(start)), start),
            seconds=sum(measured.seconds for measured in taken),
        )  # fmt: skip

    def _fits(self, model: nn.Module, most: float) -> bool:
        return self._size(model) <= most

    def _size(self, model: nn.Module) -> int:
        by_macs = self.comparing.by == "macs"
        return macs(model, self.data.example) if by_macs else parameters(model)


@dataclass(frozen=True)
class _Step:
    """A cut on the way: of which method, to the how many-th size, the how many-th of how many."""

    method: str
    number: int
    cut: int
    cuts: int

    @property
    def name(self) -> str:
        part = f" {self.cut} of {self.cuts}" if self.cuts > 1 else ""
        return f"{self.number}: {self.method}{part}"
