"""Maxout neuron pruning from the unpruned network to k = 1, then weight pruning, measured.

Moya Rueda, Grzeszick, Fink 2017, sections 4.1 and 4.2: train with a maxout over k adjacent
neurons; count wins; remove the least winning neuron of every unit; retrain; repeat to k = 1;
then zero single weights by a global threshold and retrain with the zeros held. Weights go in
growing shares, each from the network of the share before (Han et al. 2015, section 3.4).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from maxprune.data.images import Dataset
from maxprune.lineage import lineage
from maxprune.measure import (
    accuracy,
    correct,
    macs,
    nonzero,
    parameters,
    percent,
    randomization_test,
)
from maxprune.modes import best_device
from maxprune.networks.initial import xavier_uniform
from maxprune.networks.weighted import neurons, weighted_layers
from maxprune.plan import MaxoutPlan, least_winning
from maxprune.results import Baseline, Curve, Details, LayerState, Results, Step, Wins
from maxprune.scores import count_wins
from maxprune.studies.workspace import Measured, Workspace
from maxprune.surgery import apply, audit, remove_dead
from maxprune.surgery.dead import dead_neurons
from maxprune.train import PAPER, Checkpoints, Training, derive, train
from maxprune.weights import zero_plan

Report = Callable[[str, int, int], None]
"""Called with the step's name, its iterations done and its iterations in all."""


@dataclass(frozen=True)
class Recipe:
    """One run of the method.

    Args:
        network: its name in the results.
        build: makes the network without maxout, with random weights.
        layer: the layer behind which the maxout goes.
        k: inputs per unit at first.
        shares: shares of all parameters to be zero, growing; () for neuron pruning alone.
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
    training: Training = PAPER
    seed: int = 0
    control: bool = False
    bury: bool = False

    def iterations(self) -> int:
        """Training iterations of the whole run."""
        trainings = 1 + self.k + len(self.shares) + (self.k if self.control else 0)
        return trainings * self.training.iterations


@dataclass(frozen=True)
class Finished:
    """The final network of a run, its results, and every step's network by name."""

    model: nn.Module
    results: Results
    models: dict[str, nn.Module]


class Pipeline:
    """A recipe at work on a dataset, step by step, each step kept in the workspace."""

    def __init__(
        self, recipe: Recipe, data: Dataset, space: Workspace, report: Report | None = None
    ) -> None:
        self.recipe, self.data, self.space = recipe, data, space
        self.report = report or (lambda *_: None)
        self.device = best_device()
        self.done: dict[str, tuple[Measured, int]] = {}
        self.models: dict[str, nn.Module] = {}

    def run(self, study: str, environment: dict[str, str]) -> Finished:
        """Take every step of the recipe that is not there yet, and put the results together."""
        recipe = self.recipe
        self._step("no maxout", lambda p: self._trained(self._fresh("no maxout"), "no maxout", p))
        model = self._step(f"maxout k={recipe.k}", self._insert)
        for k in range(recipe.k - 1, 0, -1):
            model = self._step(f"maxout k={k}", self._remove_one(model, k))
        for share in recipe.shares:
            model = self._step(f"weights {100 * share:g}%", self._zero(model, share))
        if recipe.control:
            self._control()
        return Finished(model, self._results(study, environment), dict(self.models))

    def _step(
        self, name: str, make: Callable[[Checkpoints], tuple[nn.Module, Measured]]
    ) -> nn.Module:
        length = self.recipe.training.iterations
        self.report(name, 0, length)
        model, measured, size = self.space.step(name, make)
        self.done[name] = measured, size
        self.models[name] = model
        self.report(name, length, length)
        return model.to(self.device)

    def _fresh(self, name: str) -> nn.Module:
        """The network without maxout; each use has its own random weights."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(self.recipe.seed, "initial", name))
            return self.recipe.build()

    def _insert(self, place: Checkpoints) -> tuple[nn.Module, Measured]:
        name = f"maxout k={self.recipe.k}"
        plan = MaxoutPlan(layer=self.recipe.layer, k=self.recipe.k)
        model = apply(self._fresh(name), plan)
        return self._trained(self._redraw(model, name), name, place)

    def _redraw(self, model: nn.Module, name: str) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(self.recipe.seed, "weights", name))
            return model.apply(xavier_uniform)

    def _remove_one(
        self, model: nn.Module, k: int
    ) -> Callable[[Checkpoints], tuple[nn.Module, Measured]]:
        def make(place: Checkpoints) -> tuple[nn.Module, Measured]:
            name, layer = f"maxout k={k}", self.recipe.layer
            counts = count_wins(model, layer, (x for x, _ in self.data.train.batches(1000)))
            plan = least_winning(layer, counts.wins)
            smaller = apply(model, plan)
            audit(model, smaller, plan, self.data.train.batch(torch.arange(256))[0])
            wins = Wins(
                step=name, layer=layer, wins=counts.wins.tolist(),
                keep=list(plan.keep[layer]), positions=counts.positions,
            )  # fmt: skip
            return self._trained(smaller, name, place, wins, pruned=True)

        return make

    def _zero(
        self, model: nn.Module, share: float
    ) -> Callable[[Checkpoints], tuple[nn.Module, Measured]]:
        def make(place: Checkpoints) -> tuple[nn.Module, Measured]:
            sparse = apply(model, zero_plan(model, share))
            return self._trained(sparse, f"weights {100 * share:g}%", place, pruned=True)

        return make

    def _control(self) -> None:
        """The architecture at k = 1 from random weights, for as many cycles of the schedule."""
        model = self._fresh("control")
        for plan in lineage(self.models["maxout k=1"]).plans:
            model = apply(model, plan)
        model = self._redraw(model, "control")
        for cycle in range(1, self.recipe.k + 1):
            name = f"control {cycle}/{self.recipe.k}"

            def make(
                place: Checkpoints, start: nn.Module = model, name: str = name
            ) -> tuple[nn.Module, Measured]:
                return self._trained(start, name, place)

            model = self._step(name, make)

    def _trained(
        self,
        model: nn.Module,
        name: str,
        place: Checkpoints,
        wins: Wins | None = None,
        pruned: bool = False,
    ) -> tuple[nn.Module, Measured]:
        """Train the network of a step and measure it on the test set."""
        started = time.perf_counter()
        model = model.to(self.device)
        before = percent(correct(model, self.data.test)) if pruned else None
        lasts: list[float] = []
        length = self.recipe.training.iterations
        progress = train(
            model, self.data.train, self.recipe.training, derive(self.recipe.seed, name), place,
            lambda done: self.report(name, done, length),
            lambda trained: lasts.append(accuracy(trained, self.data.test)),
        )  # fmt: skip
        final = bool(self.recipe.shares) and name == f"weights {100 * self.recipe.shares[-1]:g}%"
        if self.recipe.bury and final:
            model = remove_dead(model).model
        right = correct(model, self.data.test)
        k = int(name.partition("k=")[2] or 1)
        return model, Measured(
            name=name, k=k, parameters=parameters(model), nonzero=nonzero(model),
            macs=macs(model, self.data.input_shape), before=before, accuracy=percent(right),
            last=lasts[0], wrong=(~right).nonzero().flatten().tolist(),
            seconds=time.perf_counter() - started,
            wins=wins, layers=layer_states(model, name),
            curve=Curve(step=name, iterations=list(progress.iterations), loss=list(progress.loss)),
        )  # fmt: skip

    def _results(self, study: str, environment: dict[str, str]) -> Results:
        measured = {name: m for name, (m, _) in self.done.items()}
        first, size = self.done["no maxout"]
        steps = {n: self._as_step(m, first, size) for n, (m, size) in self.done.items()}
        baseline = steps.pop("no maxout")
        controls = [steps.pop(name) for name in list(steps) if name.startswith("control ")]
        return Results(
            study=study, dataset=self.data.name, network=self.recipe.network,
            seed=self.recipe.seed,
            baseline=Baseline(
                parameters=baseline.parameters, macs=baseline.macs,
                bytes=size, accuracy=baseline.accuracy,
            ),
            steps=list(steps.values()),
            control=controls[-1].model_copy(update={"name": "control"}) if controls else None,
            details=Details(
                environment=environment,
                training=self.recipe.training.model_dump(),
                wins=[m.wins for m in measured.values() if m.wins],
                layers=[state for m in measured.values() for state in m.layers],
                curves=[m.curve for m in measured.values()],
                wrong={m.name: m.wrong for m in measured.values()},
                last_iteration={m.name: m.last for m in measured.values()},
            ),
        )  # fmt: skip

    def _as_step(self, m: Measured, baseline: Measured, size: int) -> Step:
        count = len(self.data.test)
        p_value = randomization_test(_right(m, count), _right(baseline, count))
        return Step(
            name=m.name, k=m.k, parameters=m.parameters, nonzero=m.nonzero,
            removed=max(0.0, 1 - m.parameters / baseline.parameters),
            zeroed=1 - m.nonzero / m.parameters, macs=m.macs, bytes=size,
            accuracy_before_retraining=m.before, accuracy=m.accuracy, p_value=p_value,
            seconds=m.seconds,
        )  # fmt: skip


def _right(measured: Measured, count: int) -> torch.Tensor:
    right = torch.ones(count, dtype=torch.bool)
    right[torch.tensor(measured.wrong, dtype=torch.long)] = False
    return right


def layer_states(model: nn.Module, step: str) -> list[LayerState]:
    """Inputs, neurons, neurons alive and parameters of every linear and convolution layer."""
    return [
        LayerState(
            step=step, layer=name, kind=type(layer).__name__,
            inputs=layer.weight.shape[1], neurons=neurons(layer),
            alive=int((~dead_neurons(layer)).sum()),
            parameters=parameters(layer), nonzero=nonzero(layer),
        )
        for name, layer in weighted_layers(model).items()
    ]  # fmt: skip
