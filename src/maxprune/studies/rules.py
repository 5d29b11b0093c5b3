"""The paper's rule for maxout units against others, at equal size.

LeNet-5 on MNIST. Every way goes from a maxout over k neurons a unit to one neuron a unit, with the
same units, so with the same parameters at every size; it is retrained for as long after each cut.
A tenth of the training set is held out: whoever chooses a rule by these figures chooses by that.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from maxprune.compression.proposal import audited
from maxprune.compression.winning import PAPER, MaxoutRule, without_last, without_least_winning
from maxprune.data import Dataset, load
from maxprune.data.order import derive
from maxprune.errors import UsageError
from maxprune.files import read_json, write_json
from maxprune.measure import accuracy, parameters, randomization_test
from maxprune.modes import best_device
from maxprune.networks import lenet5
from maxprune.networks.initial import xavier_uniform
from maxprune.networks.weighted import neurons
from maxprune.plan import maxout_plan
from maxprune.results import Curve, Finite, Fraction, Percent, Record
from maxprune.runs.measured import Measured, measure_step
from maxprune.runs.workspace import Workspace, timed
from maxprune.scores import count_wins
from maxprune.scores.named import every
from maxprune.studies.pipeline import VALIDATION
from maxprune.surgery import apply
from maxprune.surgery.chain import find_layer
from maxprune.train import Checkpoints, Training, Watch, train
from maxprune.units import UnitScores, least_relevant, least_winning

UNITS = {"fc1": 128, "conv2": 13}
PAPERS = "the paper's"
RECORDS = "records.json"


@dataclass(frozen=True)
class Way:
    """A way from k neurons a unit to one.

    Args:
        name: in the table.
        about: what is different, in words.
        k: neurons a unit at first.
        rule: which go.
        layers: those with a maxout.
        together: whether the neurons of all layers are ranked together.
        lot: whether they go by lot, whatever they win.
        cycles: trainings behind a cut, each as long as the others.
    """

    name: str
    about: str
    k: int = 4
    rule: MaxoutRule = PAPER
    layers: tuple[str, ...] = ("fc1",)
    together: bool = False
    lot: bool = False
    cycles: int = 1

    @property
    def start(self) -> str:
        """The name of the network that this way begins with; others may begin with the same."""
        return f"k={self.k} behind {' and '.join(self.layers)}"

    @property
    def sizes(self) -> tuple[int, ...]:
        """The inputs of a unit, on average, after each cut."""
        return (1,) if self.rule.one_step else tuple(range(self.k - 1, 0, -1))

    def build(self) -> nn.Module:
        """The network with its maxouts."""
        conv = (20, 52 if "conv2" in self.layers else 50)
        model: nn.Module = lenet5(fc=UNITS["fc1"] * self.k, conv=conv, dropout="fc")
        for layer in self.layers:
            model = apply(model, maxout_plan(layer, self.k))
        return model

    def trainings(self) -> int:
        """Of the cuts; that of the start is not counted."""
        return self.cycles * len(self.sizes)


BOTH = ("conv2", "fc1")
WAYS = (
    Way(PAPERS, "every unit loses the neuron that wins least often"),
    Way("margin", "the one that wins by least", rule=MaxoutRule(relevance="margin")),
    Way("by lot", "any one", lot=True),
    Way("uneven, wins", "over all units, least wins first", rule=MaxoutRule(units="uneven")),
    Way(
        "uneven, share", "over all units, least share of its unit's wins first",
        rule=MaxoutRule(units="uneven", relevance="share"),
    ),
    Way(
        "uneven, margin", "over all units, least margin first",
        rule=MaxoutRule(units="uneven", relevance="margin"),
    ),
    Way("one step", "from four to one at once, retrained once", rule=MaxoutRule(one_step=True)),
    Way(
        "one step, as long", "the same, retrained for as long as three steps",
        rule=MaxoutRule(one_step=True), cycles=3,
    ),
    Way("from k = 2", "the paper's rule over two neurons a unit", k=2),
    Way("from k = 8", "the paper's rule over eight neurons a unit", k=8),
    Way("two layers", "the paper's rule behind two layers", layers=BOTH),
    Way(
        "two, together", "behind two layers, least share first, over both", layers=BOTH,
        rule=MaxoutRule(units="uneven", relevance="share"), together=True,
    ),
)  # fmt: skip


def chosen(names: Sequence[str]) -> tuple[Way, ...]:
    """The ways of these names, with the paper's rule in the same layers; all where none is named.

    Raises:
        UsageError: there is no way of that name.
    """
    known = [way.name for way in WAYS]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UsageError(f"there is no rule {unknown[0]!r}; there are {'; '.join(known)}")
    wanted = [way for way in WAYS if way.name in names or not names]
    return tuple(w for w in WAYS if w in wanted or any(w == _paper(way) for way in wanted))


def _paper(way: Way) -> Way:
    """The paper's rule in the same layers."""
    return next(w for w in WAYS if w.layers == way.layers and not w.together)


class Ruled(Measured):
    """What was measured of a step; `validation` is the accuracy on the samples held out."""

    validation: Percent


class RuleCell(Record):
    """A way at one size: figures by seed, and against the paper's rule at the same size.

    `difference` is the mean over seeds of the test accuracy less that of the paper's rule in the
    same layers, in points; `p_values` are those of the randomization test. Of the paper's rule
    itself, and where it has no network of that size, there are none.
    """

    way: str
    about: str
    k: int
    seeds: list[int]
    parameters: list[int]
    validation: list[Percent]
    accuracies: list[Percent]
    mean: Percent
    spread: Finite | None
    difference: Finite
    p_values: list[Fraction]


@dataclass(frozen=True)
class RuleRun:
    """All ways with one seed, a piece of work for a process of its own."""

    seed: int
    training: Training
    dataset: str = "mnist"
    root: Path | None = None
    ways: tuple[Way, ...] = WAYS

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"seed{self.seed}"

    @property
    def after(self) -> str:
        """It waits for no other."""
        return ""

    def length(self) -> int:
        """The iterations of all trainings."""
        starts = len({way.start for way in self.ways})
        cuts = sum(way.trainings() for way in self.ways)
        return (starts + cuts) * self.training.iterations

    def is_done(self, folder: Path) -> bool:
        """Whether the records of all its ways are written."""
        if not (folder / RECORDS).exists():
            return False
        there = self.read(folder)
        return all(step_of(way, k) in there for way in self.ways for k in way.sizes)

    def do(self, folder: Path, report: Callable[[int], None]) -> None:
        """Take every way, and write what was measured."""
        with Workspace(folder, self.identity(), resume=True, wait=True, record=Ruled) as space:
            found = _Ways(self, load(self.dataset, self.root), space, report).run()
        write_json(folder / RECORDS, [one.model_dump(mode="json") for one in found])

    def identity(self) -> dict[str, Any]:
        """What makes this run this run."""
        return {
            "study": "rules", "dataset": self.dataset, "seed": self.seed,
            "training": self.training.model_dump(),
        }  # fmt: skip

    def read(self, folder: Path) -> dict[str, Ruled]:
        """What was measured, by the name of the step."""
        found = [Ruled.model_validate(one) for one in read_json(folder / RECORDS)]
        return {one.name: one for one in found}


class _Ways:
    """One seed at work."""

    def __init__(
        self, run: RuleRun, data: Dataset, space: Workspace[Ruled], report: Callable[[int], None]
    ) -> None:
        self.way_run, self.space, self.report = run, space, report
        rest, self.held = data.holdout(VALIDATION, run.seed)
        self.data = Dataset(data.name, rest, data.test)
        self.device = best_device()
        self.done = 0
        self.found: list[Ruled] = []

    def run(self) -> list[Ruled]:
        """Every way, those with the same start from the same network."""
        starts: dict[str, nn.Module] = {}
        for way in self.way_run.ways:
            if way.start not in starts:
                starts[way.start] = self._step(way.start, way.k, self._start(way))
            model = starts[way.start]
            for k in way.sizes:
                model = self._step(step_of(way, k), k, self._smaller(way, model, k), way.cycles)
        return self.found

    def _step(self, name: str, k: int, make: Callable[[], nn.Module], cycles: int = 1) -> nn.Module:
        def made(place: Checkpoints | None) -> tuple[nn.Module, Ruled]:
            return self._trained(make(), name, k, cycles, place)

        model, measured, _ = self.space.step(name, timed(made))
        self.found.append(measured)
        self.done += cycles * self.way_run.training.iterations
        self.report(self.done)
        return model.to(self.device)

    def _start(self, way: Way) -> Callable[[], nn.Module]:
        """The network with its maxouts and random weights."""

        def make() -> nn.Module:
            model = way.build()
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(derive(self.way_run.seed, "weights", way.start))
                return model.apply(xavier_uniform)

        return make

    def _smaller(self, way: Way, model: nn.Module, k: int) -> Callable[[], nn.Module]:
        def make() -> nn.Module:
            if way.together:
                return self._together(way, model, k)
            found = model
            for layer in way.layers:
                if way.lot:
                    found = self._by_lot(found, layer)
                else:
                    found = without_least_winning(found, layer, self.data.train, rule=way.rule)[0]
            return found

        return make

    def _by_lot(self, model: nn.Module, layer: str) -> nn.Module:
        count = neurons(find_layer(model, layer))
        generator = torch.Generator().manual_seed(derive(self.way_run.seed, "lot", str(count)))
        scores = torch.rand(UNITS[layer], count // UNITS[layer], generator=generator)
        return audited(model, least_winning(layer, scores, "lot"), self.data.train)

    def _together(self, way: Way, model: nn.Module, k: int) -> nn.Module:
        """As few neurons go as make the network as small as with k in every unit."""
        goal = way.build()
        for layer in way.layers * (way.k - k):
            goal = without_last(goal, layer)
        units = {layer: self._scores(way, model, layer) for layer in way.layers}
        low, high = 1, sum(sum(each.sizes) - len(each.sizes) for each in units.values())
        while low < high:
            middle = (low + high) // 2
            small = parameters(apply(model, least_relevant(units, middle))) <= parameters(goal)
            low, high = (low, middle) if small else (middle + 1, high)
        return audited(model, least_relevant(units, low), self.data.train)

    def _scores(self, way: Way, model: nn.Module, layer: str) -> UnitScores:
        batches, reduce = every(self.data.train)
        margins = way.rule.relevance == "margin"
        return count_wins(model, layer, batches, reduce, margins).relevance(way.rule.relevance)

    def _trained(
        self, model: nn.Module, name: str, k: int, cycles: int, place: Checkpoints | None
    ) -> tuple[nn.Module, Ruled]:
        run, done = self.way_run, self.done
        model = model.to(self.device)
        length = run.training.iterations
        training = run.training.model_copy(update={"iterations": cycles * length})
        watch = Watch(tick=lambda count: self.report(done + count))
        progress = train(model, self.data.train, training, derive(run.seed, name), place, watch)
        curve = Curve(step=name, iterations=list(progress.iterations), loss=list(progress.loss))
        measured = measure_step(model, self.data.test, self.data.input_shape, name, k, curve)
        held = accuracy(model, self.held)
        return model, Ruled(**measured.model_dump(), validation=held)


def step_of(way: Way, k: int) -> str:
    """The name of a step of a way."""
    return f"{way.name}, k={k}"


def cells(runs: Sequence[RuleRun], folder: Path) -> list[RuleCell]:
    """Every way at every size, over the seeds, beside the paper's rule in the same layers."""
    found = [run.read(folder / run.name) for run in runs]
    samples = len(load(runs[0].dataset, runs[0].root).test)
    seeds = [run.seed for run in runs]
    return [_cell(way, k, seeds, found, samples) for way in runs[0].ways for k in way.sizes]


def _cell(
    way: Way, k: int, seeds: list[int], found: Sequence[dict[str, Ruled]], samples: int
) -> RuleCell:
    own = [one[step_of(way, k)] for one in found]
    theirs = [one.get(step_of(_paper(way), k)) for one in found if way != _paper(way)]
    pairs = [(a, b) for a, b in zip(own, theirs, strict=False) if b is not None]
    accuracies = [one.accuracy for one in own]
    return RuleCell(
        way=way.name, about=way.about, k=k, seeds=seeds,
        parameters=[one.parameters for one in own], validation=[one.validation for one in own],
        accuracies=accuracies, mean=statistics.fmean(accuracies),
        spread=statistics.stdev(accuracies) if len(accuracies) > 1 else None,
        difference=statistics.fmean([a.accuracy - b.accuracy for a, b in pairs] or [0.0]),
        p_values=[randomization_test(a.right(samples), b.right(samples)) for a, b in pairs],
    )  # fmt: skip
