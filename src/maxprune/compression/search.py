"""The search: propose, cut, retrain, judge on validation data, take it or take it back."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeAlias

from torch import nn

from maxprune.compression.coding import RATE, CodedNetwork, code
from maxprune.compression.endings import LAST, TRAININGS, Ending, Ladder, Left, again
from maxprune.compression.fit import Trainer
from maxprune.compression.methods import make_method
from maxprune.compression.proposal import Proposal
from maxprune.compression.quantizing import calibration
from maxprune.compression.settings import Compression
from maxprune.compression.sizes import Sizes, measure_sizes
from maxprune.compression.tried import Tried
from maxprune.compression.zeroing import TooManyZerosError, check_zero
from maxprune.data.samples import Splits, first_inputs
from maxprune.distributed.world import world
from maxprune.errors import AuditError, StructureError, TrainingDiverged
from maxprune.measure import accuracy, latency_ms, loss_bound, parameters
from maxprune.modes import best_device
from maxprune.plural import plural
from maxprune.results import NO_CURVE, Curve, Trial
from maxprune.runs.measured import Measured, measure_step
from maxprune.runs.workspace import Space, timed
from maxprune.store.onnx import exported
from maxprune.store.quantized import Mode, quantized
from maxprune.store.same import CHECKED
from maxprune.store.session import OnnxNetwork
from maxprune.surgery import apply, remove_dead
from maxprune.train import Checkpoints, Teacher, derive
from maxprune.weights import zero_plan

UNPRUNED = "unpruned"
HOPE = 2.0
"""A step that may lose less than so many times what may be lost is trained for longer."""
UNTRAINED = "with the values as k-means found them, as training made it no better"

Report: TypeAlias = Callable[[str, int, int], None]
Told: TypeAlias = Callable[[Trial], None]


@dataclass
class Search:
    """One search, step by step, each step kept in the space.

    Args:
        settings: what is wanted.
        data: what to retrain, judge and, at the end, test on.
        trainer: how to retrain.
        space: where the steps are kept.
        report: told (step, iterations done, iterations in all).
        told: told of every trial as soon as it is judged.
        files: the 8-bit files of the steps that have one, by their name.
        others: what was tried and not taken, where a frontier or a retry was asked for.
    """

    settings: Compression
    data: Splits
    trainer: Trainer
    space: Space
    report: Report
    told: Told
    taken: dict[str, Tried] = field(default_factory=dict)
    trials: list[Trial] = field(default_factory=list)
    sizes: dict[str, Sizes] = field(default_factory=dict)
    frozen: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    others: dict[str, Tried] = field(default_factory=dict)

    def run(self, model: nn.Module, first: Trainer | None = None) -> str:
        """Search until the budgets are met or nothing is left to try.

        Args:
            model: the network at the start.
            first: trains it before; None for a network that is trained.

        Returns:
            The name of the smallest network that was taken.
        """
        start = self._start(model, first)
        method = make_method(self.settings, self.data, start, self.space)
        self.notes += [f"{note}." for note in method.notes]
        current, name = start, UNPRUNED
        steps = 0
        while not self._is_met(name):
            proposal = method.propose(current)
            if proposal is None:
                if self.settings.iterations and method.why:
                    asked = plural(self.settings.iterations, "iteration")
                    self.notes.append(f"Only {steps} of {asked}: {method.why}.")
                break
            steps += 1
            trial, tried = self._try_twice(proposal)
            easily = trial.taken and self.known(trial.step).times <= proposal.times
            current = method.answer(tried if trial.taken else current, trial.taken, easily)
            name = self._name(current)
        name = name if self._is_met(name) else self._smallest()
        name = self._end(TRAININGS, name, first)
        return self._end(LAST, self._proven(name), first)

    def _end(self, endings: Sequence[Ending], name: str, first: Trainer | None) -> str:
        """What comes behind the cuts, one after the other; the network that is left."""
        for ending in endings:
            left = Left(self._trainings(name, first), self.taken[name].times > 1)
            ladder = ending(self.settings, self.data, left)
            if ladder is not None:
                name = self._climb(ladder, name)
        return name

    def _proven(self, name: str) -> str:
        """This network if it passes over all looks, else the next larger one that does."""
        keep, looks = self.settings.keep_accuracy, self.settings.looks
        if keep is None:
            return name

        def order(one: str) -> tuple[int, float]:
            return self.sizes[one].parameters, bounds[one]

        bounds = {n: self._bound(tried.measured, last=True) for n, tried in self.taken.items()}
        larger = [n for n in self.taken if order(n)[0] >= order(name)[0]]
        passes = [n for n in sorted(larger, key=order) if bounds[n] < keep]
        one = name if name in passes else passes[0]
        if one != name:
            self.notes.append(f"{name} passed alone, but not over {looks} looks; {one} did.")
        return one

    def _climb(self, ladder: Ladder, name: str) -> str:
        """Try the rungs until one is not taken; the network that is left."""
        start = name
        for rung in ladder.rungs:
            proposal = rung(self.taken[name if ladder.onward else start].model)
            trial, _ = self._try_twice(proposal)
            if not trial.taken:
                break
            name = trial.step
        return name

    def _try_twice(self, proposal: Proposal) -> tuple[Trial, nn.Module]:
        """Try it, and where that fails by little and a retry was asked for, train it longer."""
        trial, tried = self._try(proposal)
        keep, bound = self.settings.keep_accuracy, trial.loss_bound
        hopeful = bound is not None and keep is not None and bound < HOPE * keep
        once = proposal.better or proposal.int8 is not None  # long already, or never
        longer = self.settings.retry and self.settings.final_epochs > self.settings.epochs
        if trial.taken or once or not hopeful or not longer:
            return trial, tried
        return self._try(again(self.settings, proposal, tried))

    def _trainings(self, name: str, first: Trainer | None) -> float:
        """How many retrainings a network has had in all, with the first training; 0 if uncut."""
        path = self.retrainings(name)
        each = self.trainer.fitting.iterations
        before = 0 if first is None else first.fitting.iterations / each
        return sum(self.known(one).times for one in path) + before if path else 0.0

    def _start(self, model: nn.Module, first: Trainer | None) -> nn.Module:
        """The network that everything is compared with."""

        def make(place: Checkpoints | None) -> tuple[nn.Module, Measured]:
            network, curve = copy.deepcopy(model).to(best_device()).eval(), NO_CURVE
            if first is not None:
                network, curve = first.fit(
                    network, derive(self.settings.seed, UNPRUNED), place, self._ticker(UNPRUNED)
                )
            return network, self._measured(network, UNPRUNED, 1, None, curve)

        found, measured, size = self.space.step(UNPRUNED, timed(make))
        self.frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
        found = self._like_the_first(found.to(best_device()))
        self.taken[UNPRUNED] = Tried(measured, size, found, "")
        if self.settings.teacher:
            self.trainer = replace(self.trainer, teacher=Teacher(found, self.settings.teacher))
        if self.settings.scale_dropout:
            self.trainer = replace(self.trainer, whole=parameters(found))
        self.sizes[UNPRUNED] = self._sizes(found, measured)
        return found

    def _try(self, proposal: Proposal) -> tuple[Trial, nn.Module]:
        """Cut, retrain and judge."""
        name = f"{len(self.trials) + 1}: {proposal.title}"
        base = self._name(proposal.base)
        mild = proposal.mild or self.known(base).mild
        proposal = replace(proposal, mild=mild)
        try:
            network, measured, size = self.retrained(name, proposal, name)
        except (AuditError, StructureError, TrainingDiverged, TooManyZerosError) as error:
            return self._broken(name, proposal, str(error)), proposal.base
        sizes = self._sizes(network, measured)
        if proposal.bits is not None:
            sizes = replace(sizes, bytes=size)
        last = proposal.last or self._fits(sizes)
        bound = self._bound(measured, last)
        keep = self.settings.keep_accuracy
        taken = keep is None or bound < keep
        if proposal.better:
            taken = taken and measured.accuracy > self.known(base).measured.accuracy
        trial = Trial(
            step=name, title=proposal.title, parameters=sizes.parameters, macs=sizes.macs,
            bytes=size, latency_ms=sizes.latency_ms, accuracy_before_retraining=measured.before,
            accuracy=measured.accuracy, loss_bound=bound, taken=taken, last=last,
            remark=proposal.remark if measured.trained else UNTRAINED,
        )  # fmt: skip
        found = Tried(measured, size, network, base, proposal.times, mild, proposal.fresh)
        self.sizes[name] = sizes
        if taken:
            self.taken[name] = found
        elif self.settings.frontier or self.settings.retry:
            self.others[name] = found
        self.trials.append(trial)
        self.told(trial)
        return trial, network

    def retrained(
        self, name: str, proposal: Proposal, like: str
    ) -> tuple[nn.Module, Measured, int]:
        """A proposal cut and retrained, kept as the step of that name.

        Args:
            name: of the step.
            proposal: what is cut.
            like: the step whose order, augmentation and dropout the retraining has.
        """

        def make(place: Checkpoints | None) -> tuple[nn.Module, Measured]:
            network = proposal.make().to(best_device())
            if proposal.zero is not None:
                check_zero(network, proposal.zero)
            seed, tick = derive(self.settings.seed, like), self._ticker(name)
            trainer = self.trainer.milder() if proposal.mild else self.trainer
            trainer = trainer.longer(proposal.times, proposal.fresh)
            if proposal.bits is not None:
                return self._coded(name, network, proposal.bits, trainer, seed, place)
            if proposal.int8 is not None:
                return network, self._in_8_bits(name, network, proposal.int8)
            before = None if proposal.fresh else accuracy(network, self.data.validation)
            network, curve = trainer.fit(network, seed, place, tick, proposal.zero)
            if proposal.zero is not None:  # zero already; the lineage says so, and what died goes
                network = remove_dead(apply(network, zero_plan(network, proposal.zero))).model
            return network, self._measured(network, name, proposal.k, before, curve)

        network, measured, size = self.space.step(name, timed(make))
        if proposal.int8 is not None:
            self._file(name, network, proposal.int8)  # of an earlier process, where that made it
        return self._like_the_first(network.to(best_device())), measured, size

    def _coded(
        self, name: str, network: nn.Module, bits: int, trainer: Trainer, seed: int,
        place: Checkpoints | None,
    ) -> tuple[nn.Module, Measured]:  # fmt: skip
        """The network with few values; what is measured is what the decoder makes of its file.

        Those of k-means stay where trained ones are no better, as far as the samples can tell, or
        where their training diverges.
        """
        trainer = replace(trainer, fitting=trainer.fitting.model_copy(update={"rate": RATE}))

        def measured(found: CodedNetwork[Curve], before: float | None = None) -> Measured:
            own = self._measured(found.opened(), name, 1, before, found.told)
            return own.model_copy(update={"bytes": len(found.content)})

        first = code(network, bits, lambda shared: (shared, NO_CURVE))
        start = measured(first)
        kept = start.model_copy(update={"before": start.accuracy, "trained": False})
        try:
            found = code(
                network, bits,
                lambda free: trainer.fit(free, seed, place, self._ticker(name), shared=bits),
                held=False,
            )  # fmt: skip
        except TrainingDiverged:
            return first.model, kept
        end, bound = measured(found, start.accuracy), partial(self._bound, last=True)
        return (found.model, end) if bound(end) < bound(kept) else (first.model, kept)

    def _in_8_bits(self, name: str, network: nn.Module, mode: Mode) -> Measured:
        """What is measured of the network is what ONNX Runtime makes of its file."""
        content = self._file(name, network, mode)
        measured = self._measured(network, name, 1, None, NO_CURVE, OnnxNetwork(content))
        return measured.model_copy(update={"bytes": len(content)})

    def _file(self, name: str, network: nn.Module, mode: Mode) -> bytes:
        """The 8-bit file of a step."""
        train = self.data.train

        def make() -> bytes:
            inputs = first_inputs(train, CHECKED)
            batches = calibration(train, seed=self.settings.seed) if mode == "static" else None
            return quantized(exported(network, inputs), inputs, batches).content

        if name not in self.files:
            self.files[name] = self.space.file(name, make)
        return self.files[name]

    def _bound(self, measured: Measured, last: bool = False) -> float:
        """The points of accuracy that a network loses at most, with 95% confidence.

        What may be the last network is judged over all looks.
        """
        base, count = self.taken[UNPRUNED].measured, len(self.data.validation)
        return loss_bound(base.right(count), measured.right(count), self.settings.level(last))

    def _broken(self, name: str, proposal: Proposal, reason: str) -> Trial:
        """A trial that could not be ended: not taken."""
        base = self._name(proposal.base)
        sizes, size = self.sizes[base], self.known(base).bytes
        trial = Trial(
            step=name, title=proposal.title, parameters=sizes.parameters, macs=sizes.macs,
            bytes=size, latency_ms=sizes.latency_ms, accuracy_before_retraining=None,
            accuracy=None, loss_bound=None, taken=False, last=proposal.last, reason=reason,
            remark=proposal.remark,
        )  # fmt: skip
        self.trials.append(trial)
        self.told(trial)
        return trial

    def _like_the_first(self, model: nn.Module) -> nn.Module:
        """What the user froze stays frozen, also in a network that was opened again."""
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name not in self.frozen)
        return model

    def _measured(
        self, model: nn.Module, name: str, k: int, before: float | None, curve: Curve,
        file: nn.Module | None = None,
    ) -> Measured:  # fmt: skip
        example = self.data.example
        measured = measure_step(model, self.data.validation, example, name, k, curve, file)
        asked = self.settings.max_latency_ms is not None
        latency = latency_ms(model if file is None else file, example[:1]) if asked else None
        latency = world().told(latency)
        return measured.model_copy(update={"before": before, "latency_ms": latency})

    def _sizes(self, model: nn.Module, measured: Measured) -> Sizes:
        """All sizes; the milliseconds are those measured at first, also after a kill."""
        known = measured.latency_ms
        missing = self.settings.max_latency_ms is not None and known is None
        sizes = measure_sizes(model, self.data.example, missing)
        return replace(sizes, latency_ms=world().told(sizes.latency_ms) if known is None else known)

    def _is_met(self, name: str) -> bool:
        """Whether this network meets the budgets that there are."""
        return self._fits(self.sizes[name])

    def _fits(self, sizes: Sizes) -> bool:
        """Whether there are budgets, and these sizes are within all of them."""
        budgets = self.settings.budgets()
        return bool(budgets) and not sizes.over(budgets)

    def _smallest(self) -> str:
        """The taken network with the fewest parameters, or the least above its budgets.

        Milliseconds decide nothing here: two measurements of networks of nearly the same size
        differ by chance, and the last cuts would be lost.
        """
        budgets = {n: most for n, most in self.settings.budgets().items() if n != "latency_ms"}

        def size(name: str) -> tuple[float, int]:
            sizes = self.sizes[name]
            above = max((getattr(sizes, n) / most for n, most in budgets.items()), default=0.0)
            return above, sizes.parameters

        return min(self.taken, key=size)

    def _name(self, model: nn.Module) -> str:
        every = self.taken | self.others
        return next(name for name, tried in every.items() if tried.model is model)

    def known(self, name: str) -> Tried:
        """What was tried under that name, taken or not."""
        return self.taken[name] if name in self.taken else self.others[name]

    def _ticker(self, name: str) -> Callable[[int, int], None]:
        return lambda done, total: self.report(name, done, total)

    def path(self, name: str) -> list[str]:
        """The networks from the unpruned one, which is left out, to this one."""
        found: list[str] = []
        while name != UNPRUNED:
            found.insert(0, name)
            name = self.known(name).base
        return found

    def retrainings(self, name: str) -> list[str]:
        """Those of them that were retrained: not what was written in 8 bits, nor as k-means has it.

        Nor what was trained from nothing, which took as long as those before it together.
        """
        own = [one for one in self.path(name) if one not in self.files]
        known = {one: self.known(one) for one in own}
        return [one for one in own if known[one].measured.trained and not known[one].fresh]
