"""One method with one seed, down all sizes: cut, retrain, measure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from jaxtyping import Bool
from torch import Tensor, nn

from maxprune.comparison.records import Compared, Start
from maxprune.comparison.settings import SCRATCH, Comparing
from maxprune.comparison.ways import Make, way
from maxprune.compression.fit import Fit, Trainer
from maxprune.data.order import derive
from maxprune.data.samples import Samples, Splits
from maxprune.errors import StructureError
from maxprune.measure import accuracy, correct, macs, parameters, percent, randomization_test
from maxprune.modes import best_device
from maxprune.results import Curve
from maxprune.runs.measured import Measured, measure_step
from maxprune.runs.workspace import Space, timed
from maxprune.train import Checkpoints, Fitting

UNPRUNED = "unpruned"


@dataclass(frozen=True)
class Contest:
    """What all methods share with one seed.

    Args:
        comparing: methods, sizes, retraining.
        seed: of weights, order, augmentation and lot.
        data: to train, score, judge and test on.
        own: the user's training, used instead of the default.
        report: told (step, iterations done, iterations in all).
    """

    comparing: Comparing
    seed: int
    data: Splits
    own: Fit | None
    report: Callable[[str, int, int], None]

    @property
    def tested(self) -> Samples:
        """The test samples; the validation samples where there are none."""
        return self.data.test or self.data.validation

    def start(self, model: nn.Module, space: Space) -> tuple[nn.Module, Start]:
        """The unpruned network, trained first if the settings say so."""
        epochs = self.comparing.train_epochs

        def make(place: Checkpoints | None) -> tuple[nn.Module, Measured]:
            network, curve = model.to(best_device()).eval(), _no_curve()
            if epochs:
                rate = self.comparing.train_rate
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
        model, right, whole = start, correct(start, self.tested), self._size(start)
        try:
            path = way(method, self.comparing.of(method, self.seed), start, self.data)
            for number, size in enumerate(self.comparing.descending(), 1):
                cuts = path.cuts(model, partial(self._fits, most=size * whole))
                seconds, before = 0.0, rows[-1].before if rows else None
                for i, cut in enumerate(cuts, 1):
                    step = _Step(method, size, number, i, len(cuts))
                    model, measured = self._take(step, cut(model), space)
                    seconds, before = seconds + measured.seconds, measured.before
                rows.append(self._row(method, size, model, right, before, seconds))
        except StructureError as error:
            return rows, {method: str(error)}
        return rows, {}

    def _take(self, step: _Step, make: Make, space: Space) -> tuple[nn.Module, Measured]:
        """Cut and retrain."""

        def made(place: Checkpoints | None) -> tuple[nn.Module, Measured]:
            network = make()
            before = None if step.method == SCRATCH else accuracy(network, self.tested)
            epochs, rate = self._training(step)
            seed = derive(self.seed, "retraining", step.number, step.cut)
            network, curve = self._trained(network, step.name, epochs, rate, seed, place)
            return network, self._measured(network, step.name, before, curve)

        network, measured, _ = space.step(step.name, timed(made))
        return network.to(best_device()), measured

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
        tick = partial(self.report, name)
        return Trainer(self.data, fitting, self.own).fit(model, seed, place, tick)

    def _measured(
        self, model: nn.Module, name: str, before: float | None, curve: Curve
    ) -> Measured:
        shape = self.data.input_shape
        named = curve.model_copy(update={"step": name})
        measured = measure_step(model, self.tested, shape, name, 1, named)
        return measured.model_copy(update={"before": before})

    def _row(
        self, method: str, size: float, model: nn.Module, right: Bool[Tensor, " samples"],
        before: float | None, seconds: float,
    ) -> Compared:  # fmt: skip
        now = correct(model, self.tested)
        return Compared(
            method=method, seed=self.seed, size=size, parameters=parameters(model),
            macs=macs(model, self.data.input_shape), before=before,
            validation=accuracy(model, self.data.validation), accuracy=percent(now),
            p_value=randomization_test(now, right), seconds=seconds,
        )  # fmt: skip

    def _fits(self, model: nn.Module, most: float) -> bool:
        return self._size(model) <= most

    def _size(self, model: nn.Module) -> int:
        by_macs = self.comparing.by == "macs"
        return macs(model, self.data.input_shape) if by_macs else parameters(model)


@dataclass(frozen=True)
class _Step:
    """A cut on the way: of which method, to which size, the how many-th of how many."""

    method: str
    size: float
    number: int
    cut: int
    cuts: int

    @property
    def name(self) -> str:
        part = f" {self.cut} of {self.cuts}" if self.cuts > 1 else ""
        return f"{self.method} {self.size:g}{part}"


def _no_curve() -> Curve:
    return Curve(step="", iterations=[], loss=[])
