"""One seed of the study of small networks: cut, trained, zeroed and coded, step by step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import nn

from maxprune.compression.coding import RATE, code
from maxprune.compression.fit import Trainer
from maxprune.compression.proposal import audited
from maxprune.compression.scored import Ranked, least
from maxprune.compression.settings import Compression
from maxprune.data.order import derive
from maxprune.data.samples import Splits
from maxprune.errors import StructureError
from maxprune.measure import accuracy, parameters
from maxprune.modes import best_device, copied
from maxprune.networks import lenet5
from maxprune.networks.anew import anew
from maxprune.plan import KeepPlan
from maxprune.results import Curve
from maxprune.runs.measured import measure_step
from maxprune.runs.workspace import Workspace, timed
from maxprune.studies.squeezed.recipe import (
    ANEW,
    CODED,
    CUT,
    FINAL,
    TAUGHT,
    UNCUT,
    ZEROS,
    Recipe,
    zeros_name,
)
from maxprune.studies.squeezed.records import Squeezed
from maxprune.surgery import apply, remove_dead
from maxprune.train import Checkpoints, Fitting, Teacher
from maxprune.weights import zero_plan

REACH = 0.7  # share of all channels that one cut may take
NEVER = 10**6  # judgements without a better one: every training goes to its end


@dataclass(frozen=True)
class Task:
    """One training.

    Args:
        name: of the step.
        way: how the network came about.
        size: that its architecture was cut to; 0 for the uncut one.
        seen: epochs, with those before this training.
        make: the network before it.
        epochs: of this training.
        rate: of it.
        teacher: whose answers are learned, too.
        zero: share of zeros that it ends with.
    """

    name: str
    way: str
    size: int
    seen: float
    make: Callable[[], nn.Module]
    epochs: float
    rate: float
    teacher: Teacher | None = None
    zero: float | None = None


class Work:
    """One seed at work.

    Args:
        recipe: what is done.
        seed: of everything that is drawn.
        data: what the networks are trained, chosen and tested on.
        space: where they are kept.
        report: told the training iterations that are done.
    """

    def __init__(
        self, recipe: Recipe, seed: int, data: Splits, space: Workspace[Squeezed],
        report: Callable[[int], None],
    ) -> None:  # fmt: skip
        self.recipe, self.seed, self.data, self.space = recipe, seed, data, space
        self.report = report
        self.done = 0
        self.found: list[Squeezed] = []

    def run(self) -> list[Squeezed]:
        """Everything, one after the other."""
        recipe = self.recipe
        model = self._trained(
            Task(UNCUT, UNCUT, 0, recipe.epochs, self._fresh, recipe.epochs, recipe.rate)
        )
        teacher, seen = Teacher(model, recipe.teacher), recipe.epochs
        for size in recipe.ladder:
            seen += recipe.cut_epochs
            make = partial(self._cut, model, size)
            how = recipe.cut_epochs, recipe.cut_rate, teacher
            model = self._trained(Task(f"{size} {CUT}", CUT, size, seen, make, *how))
            if size in recipe.sizes:
                self._compared(model, size, teacher)
        return self.found

    def _compared(self, model: nn.Module, size: int, teacher: Teacher) -> None:
        """Trained on, with zeros, too, and the same architecture from nothing."""
        recipe, seen = self.recipe, self.recipe.epochs_to(size)
        how = recipe.final_epochs, recipe.cut_rate
        final = self._trained(
            Task(f"{size} {FINAL}", FINAL, size, seen, partial(copied, model), *how)
        )
        make = partial(anew, model, derive(self.seed, ANEW, str(size)))
        for way in recipe.ways()[1:]:
            taught = teacher if way == TAUGHT else None
            self._trained(Task(f"{size} {way}", way, size, seen, make, seen, recipe.rate, taught))
        for share in (share for start, share in recipe.zeros if start == size):
            self._coded(final, size, share)

    def _coded(self, model: nn.Module, size: int, share: float) -> None:
        """Zeros, and then few values."""
        recipe, name = self.recipe, zeros_name(size, share)
        seen = recipe.epochs_to(size) + recipe.final_epochs
        task = Task(
            name, ZEROS, size, seen, partial(copied, model), recipe.final_epochs, recipe.zero_rate,
            zero=share,
        )  # fmt: skip
        sparse = self._trained(task)
        for bits in recipe.bits:
            self._step(
                f"{name} {bits} bits", recipe.code_epochs, partial(self._few, sparse, task, bits)
            )

    def _fresh(self) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(self.seed, "weights", UNCUT))
            *conv, fc = self.recipe.network
            return lenet5(fc=fc, conv=conv, dropout="none", relu="all")

    def _cut(self, model: nn.Module, size: int) -> nn.Module:
        """As few channels go as bring it to this size."""
        settings = Compression(method="damage", seed=self.seed)
        ranked = Ranked.by(settings, model, self.data, None, REACH)

        def fits(plan: KeepPlan) -> bool:
            return parameters(apply(model, plan)) <= size

        plan = least(ranked.plan, fits, REACH)
        if plan is None:
            raise StructureError(f"no cut brings the network to {size:,} parameters")
        return audited(model, plan, self.data.train)

    def _trained(self, task: Task) -> nn.Module:
        def made(place: Checkpoints | None) -> tuple[nn.Module, Squeezed]:
            model = task.make().to(best_device())
            fitting = Fitting.of_passes(
                task.epochs, self.data.train, rate=task.rate, patience=NEVER
            )
            trainer = Trainer(self.data, fitting, teacher=task.teacher)
            seed = derive(self.seed, task.name)
            model, curve = trainer.fit(model, seed, place, self._tick, task.zero)
            if task.zero is not None:
                model = remove_dead(apply(model, zero_plan(model, task.zero))).model
            return model, self._measured(model, model, task, curve)

        return self._step(task.name, task.epochs, made)

    def _few(
        self, model: nn.Module, task: Task, bits: int, place: Checkpoints | None
    ) -> tuple[nn.Module, Squeezed]:
        """What is measured is what the decoder makes of the file."""
        epochs = self.recipe.code_epochs
        fitting = Fitting.of_passes(epochs, self.data.train, rate=RATE, patience=NEVER)
        trainer = Trainer(self.data, fitting)
        seed = derive(self.seed, task.name, str(bits))
        found = code(
            model, bits, lambda free: trainer.fit(free, seed, place, self._tick, shared=bits),
            held=False,
        )  # fmt: skip
        coded = replace(task, name=f"{task.name} {bits} bits", way=CODED, seen=task.seen + epochs)
        measured = self._measured(found.model, found.opened(), coded, found.told)
        return found.model, measured.model_copy(update={"bits": bits, "bytes": len(found.content)})

    def _step(
        self, name: str, epochs: float,
        made: Callable[[Checkpoints | None], tuple[nn.Module, Squeezed]],
    ) -> nn.Module:  # fmt: skip
        model, measured, size = self.space.step(name, timed(made))
        self.found.append(measured.model_copy(update={"bytes": size}))
        self.done += round(epochs * self.data.train.iterations(Fitting().batch))
        self.report(self.done)
        return model.to(best_device())

    def _tick(self, done: int, total: int) -> None:
        self.report(self.done + done)

    def _measured(self, model: nn.Module, answers: nn.Module, task: Task, curve: Curve) -> Squeezed:
        measured = measure_step(
            model, self.data.tested, self.data.example, task.name, 1, curve, answers
        )
        return Squeezed(
            **measured.model_dump(), way=task.way, size=task.size, epochs=task.seen,
            held=accuracy(answers, self.data.validation), zero=task.zero or 0.0,
        )  # fmt: skip
