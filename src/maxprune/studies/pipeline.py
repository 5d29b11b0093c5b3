"""Maxout neuron pruning from the unpruned network to k = 1, then weight pruning, measured.

Moya Rueda, Grzeszick, Fink 2017, sections 4.1 and 4.2: train with a maxout over k adjacent
neurons; count wins; remove the least winning neuron of every unit; retrain; repeat to k = 1;
then zero single weights by a global threshold and retrain with the zeros held. Weights go in
growing shares, each from the network of the share before (Han et al. 2015, section 3.4), and
within a share little by little (Zhu and Gupta 2017).
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import nn

from maxprune.compression.coding import code, coded_name
from maxprune.compression.winning import without_least_winning
from maxprune.data.images import Dataset
from maxprune.lineage import lineage
from maxprune.measure import accuracy
from maxprune.modes import best_device
from maxprune.networks.initial import xavier_uniform
from maxprune.plan import maxout_plan
from maxprune.results import Curve, Results
from maxprune.runs.finished import Finished
from maxprune.runs.measured import (
    Measured,
    as_baseline,
    as_details,
    as_step,
    measure_step,
    renamed,
    step_name,
)
from maxprune.runs.workspace import Make, Space, timed
from maxprune.store.coded import SUFFIX
from maxprune.studies.recipe import Recipe
from maxprune.surgery import apply, remove_dead
from maxprune.train import Checkpoints, Training, Watch, derive, train
from maxprune.train.adam import Adam
from maxprune.weights import choose_share, zero_plan

Report = Callable[[str, int, int], None]
"""Called with a step's name, its iterations done and its iterations in all."""

Told = Callable[[Measured], None]
"""Called with what was measured of every step, as soon as it is finished."""

BASELINE = "no maxout"
CONTROL = "control"
VALIDATION = 0.1


class Pipeline:
    """A recipe at work on a dataset, step by step, each step kept in the space.

    Raises:
        UsageError: the recipe cannot work.
        StructureError: its network cannot be cut there.
    """

    def __init__(
        self,
        recipe: Recipe,
        data: Dataset,
        space: Space,
        report: Report | None = None,
        told: Told | None = None,
    ) -> None:
        recipe.check()
        self.recipe, self.data, self.space = recipe, data, space
        if recipe.choose:
            rest, self.validation = data.holdout(VALIDATION, recipe.seed)
            self.data = Dataset(data.name, rest, data.test)
        self.report = report or (lambda *_: None)
        self.told = told or (lambda _: None)
        self.device = best_device()
        self.done: dict[str, tuple[Measured, int]] = {}
        self.models: dict[str, nn.Module] = {}
        self.step = ""

    def run(self, study: str, environment: dict[str, str], command: str = "") -> Finished:
        """Take every step of the recipe that is not there yet, and put the results together."""
        recipe, coded = self.recipe, None
        self._step(BASELINE, self._baseline)
        model = self._step(f"maxout k={recipe.k}", self._insert)
        for k in range(recipe.k - 1, 0, -1):
            model = self._step(f"maxout k={k}", self._remove_one(model, k))
        for share in recipe.shares:
            model = self._step(step_name(share), self._zero(model, share))
            coded = self._coded(model, share)
        if recipe.choose:
            model = self._step("weights chosen", self._zero(model, None))
            coded = self._coded(model, None)
        if recipe.control:
            self._control()
        return Finished(
            coded or model, self._results(study, environment, command), self.models, self.data.test
        )

    def _step(self, name: str, make: Make) -> nn.Module:
        length = self.recipe.training.iterations
        self.report(name, 0, length)
        self.step = name

        model, measured, size = self.space.step(name, timed(make))
        self.done[measured.name] = measured, size
        self.models[measured.name] = model
        self.report(name, length, length)
        self.told(measured)
        return model.to(self.device)

    def _built(self, name: str) -> nn.Module:
        """The network without maxout; each use has its own random weights."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(self.recipe.seed, "initial", name))
            return self.recipe.build()

    def _redrawn(self, model: nn.Module, name: str) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(self.recipe.seed, "weights", name))
            return model.apply(xavier_uniform)

    def _baseline(self, place: Checkpoints | None) -> tuple[nn.Module, Measured]:
        model = self._built(BASELINE)
        return self._trained(model, BASELINE, place)

    def _insert(self, place: Checkpoints | None) -> tuple[nn.Module, Measured]:
        name = f"maxout k={self.recipe.k}"
        model = apply(self._built(name), maxout_plan(self.recipe.layer, self.recipe.k))
        return self._trained(self._redrawn(model, name), name, place, self.recipe.k)

    def _remove_one(self, model: nn.Module, k: int) -> Make:
        def make(place: Checkpoints | None) -> tuple[nn.Module, Measured]:
            name, layer = f"maxout k={k}", self.recipe.layer
            smaller, wins = without_least_winning(model, layer, self.data.train, name)
            trained, measured = self._trained(smaller, name, place, k, self._tested(smaller))
            return trained, measured.model_copy(update={"wins": wins})

        return make

    def _zero(self, model: nn.Module, share: float | None) -> Make:
        """Weights to zero: a share, or (None) the largest that costs nothing on validation."""

        def make(place: Checkpoints | None) -> tuple[nn.Module, Measured]:
            if share is None:
                plan = choose_share(model, lambda m: accuracy(m, self.validation))
            else:
                plan = zero_plan(model, share)
            before = self._tested(apply(model, plan))
            name = step_name(plan.share)
            return self._trained(copy.deepcopy(model), name, place, 1, before, plan.share)

        return make

    def _coded(self, model: nn.Module, share: float | None) -> nn.Module | None:
        """The network of a share with few values for its weights; None where it is not asked for.

        One step for each number of bits; the last of them.
        """
        found, before = None, list(self.done)[-1]
        for bits in (bits for part, bits in self.recipe.coded if part == share):
            name = coded_name(bits, before)
            found = self._step(name, self._code(model, bits, name))
        return found

    def _code(self, model: nn.Module, bits: int, name: str) -> Make:
        """What is measured is what the decoder makes of the file, which is kept beside the step."""
        training = self.recipe.training
        adam = Adam(iterations=training.iterations, batch=training.batch)

        def make(place: Checkpoints | None) -> tuple[nn.Module, Measured]:
            found = code(
                model, bits,
                lambda shared: (
                    shared, (self._tested(shared), *self._fitted(shared, name, place, adam))
                ),
            )  # fmt: skip
            if place is not None:
                found.write(place.path.with_suffix(SUFFIX))
            before, curve, last = found.told
            measured = self._measured(found.opened(), name, 1, curve)
            more = {"before": before, "last": last, "bytes": len(found.content)}
            return found.model, measured.model_copy(update=more)

        return make

    def _control(self) -> None:
        """The architecture at k = 1 from random weights, for as many cycles of the schedule."""
        model = self._built("control")
        for plan in lineage(self.models["maxout k=1"]).plans:
            model = apply(model, plan)
        model = self._redrawn(model, "control")
        for cycle in range(1, self.recipe.k + 1):
            name = f"control {cycle}/{self.recipe.k}"

            def make(
                place: Checkpoints | None, start: nn.Module = model, name: str = name
            ) -> tuple[nn.Module, Measured]:
                return self._trained(start, name, place)

            model = self._step(name, make)
            measured, size = self.done.pop(name)
        self.done[CONTROL] = renamed(measured, CONTROL), size

    def _trained(
        self,
        model: nn.Module,
        name: str,
        place: Checkpoints | None,
        k: int = 1,
        before: float | None = None,
        zeroed: float | None = None,
    ) -> tuple[nn.Module, Measured]:
        """Train the network of a step, up to a share of zeros if one is given, and measure it."""
        model = model.to(self.device)
        curve, last = self._fitted(model, name, place, self.recipe.training, zeroed)
        if zeroed is not None:
            model = apply(model, zero_plan(model, zeroed))  # zero already; the lineage says so
        if self.recipe.bury and self.recipe.is_last(name):
            model = remove_dead(model).model
        measured = self._measured(model, name, k, curve)
        return model, measured.model_copy(update={"before": before, "last": last})

    def _fitted(
        self, model: nn.Module, name: str, place: Checkpoints | None, training: Training,
        zeroed: float | None = None,
    ) -> tuple[Curve, float]:  # fmt: skip
        """Train in place; the curve, and the accuracy of the last iteration's weights."""
        lasts: list[float] = []
        watch = Watch(
            tick=lambda done: self.report(self.step, done, training.iterations),
            last=lambda trained: lasts.append(self._tested(trained)),
        )
        seed = derive(self.recipe.seed, name)
        progress = train(model, self.data.train, training, seed, place, watch, zeroed)
        curve = Curve(step=name, iterations=list(progress.iterations), loss=list(progress.loss))
        return curve, lasts[0]

    def _measured(self, model: nn.Module, name: str, k: int, curve: Curve) -> Measured:
        return measure_step(model, self.data.test, self.data.input_shape, name, k, curve)

    def _tested(self, model: nn.Module) -> float:
        return accuracy(model.to(self.device), self.data.test)

    def _results(self, study: str, environment: dict[str, str], command: str) -> Results:
        first, size = self.done[BASELINE]
        steps = {
            name: as_step(measured, size, first, len(self.data.test))
            for name, (measured, size) in self.done.items()
            if name != BASELINE
        }
        control = steps.pop(CONTROL, None)
        details = as_details(
            [measured for measured, _ in self.done.values()],
            environment,
            {**self.recipe.training.model_dump(), "test samples": len(self.data.test)},
        )
        return Results(
            study=study, dataset=self.data.name, network=self.recipe.network,
            seed=self.recipe.seed, baseline=as_baseline(first, size),
            steps=list(steps.values()), control=control,
            details=details.model_copy(update={"command": command}),
        )  # fmt: skip
