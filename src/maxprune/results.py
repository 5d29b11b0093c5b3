"""The results file of every run: `results.json`, format 1 (documented in docs/results.md).

Measuring fills these records; tables, plots and the page only read them.
Fractions lie in [0, 1]; accuracies are percentages; bytes are bytes of a real file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from maxprune.errors import StoreError
from maxprune.files import read_json, write_json
from maxprune.plural import plural
from maxprune.records import first_wrong

FORMAT = 1
ROUNDING = 1e-4

Fraction = Annotated[float, Field(ge=0, le=1, strict=True, allow_inf_nan=False)]
Percent = Annotated[float, Field(ge=0, le=100, strict=True, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, lt=2**63, strict=True)]
Seconds = Annotated[float, Field(ge=0, strict=True, allow_inf_nan=False)]
Finite = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class Record(BaseModel):
    """A frozen, strictly checked part of a results file."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Timed(Record):
    """What is kept of a step: its seconds, and the bytes of its coded or 8-bit file, if any."""

    seconds: Seconds
    bytes: Count | None = None


class Baseline(Record):
    """The network that every step is measured against, called `name` in the tables."""

    name: str = "no maxout"
    parameters: Count
    macs: Count
    bytes: Count
    accuracy: Percent


class Step(Record):
    """One step of the pruning, measured after it was retrained (see `Results.tested`).

    `removed` is the share of the baseline's parameters that no longer exist (0 for a network that
    is not smaller), `zeroed` the share of the remaining ones that are zero.
    `accuracy_before_retraining` is None for a step that starts from random weights, or is not
    retrained: `accuracy` and `bytes` of a step in 8 bits are those of its ONNX file.
    `p_value` is that of the paired randomization test against the baseline.
    """

    name: str
    k: Count
    parameters: Count
    nonzero: Count
    removed: Fraction
    zeroed: Fraction
    macs: Count
    bytes: Count
    accuracy_before_retraining: Percent | None
    accuracy: Percent
    p_value: Fraction
    seconds: Seconds


class Wins(Record):
    """The win counts that a cut was decided on: `wins[unit][input]`, over `positions` positions."""

    step: str
    layer: str
    wins: list[list[Count]]
    keep: list[Count]
    positions: Count


class LayerState(Record):
    """One layer after one step; `alive` neurons have an incoming weight that is not zero."""

    step: str
    layer: str
    kind: str
    inputs: Count
    neurons: Count
    alive: Count
    parameters: Count
    nonzero: Count


class Curve(Record):
    """The mean training loss over the iterations that end at each point."""

    step: str
    iterations: list[Count]
    loss: list[Finite]

    @model_validator(mode="after")
    def _check(self) -> Curve:
        if len(self.iterations) != len(self.loss):
            raise ValueError(
                f"{plural(len(self.iterations), 'iteration')} but "
                f"{plural(len(self.loss), 'loss', 'losses')}"
            )
        return self


NO_CURVE = Curve(step="", iterations=[], loss=[])
"""That of a network that was not trained, or by the user's own function."""


class Trial(Record):
    """One step that a search tried, judged on validation data.

    `loss_bound` is the largest loss of accuracy, in points, that Tango's paired test does not
    refute with 95% confidence, over all `Search.looks` where it may be the `last` network; `taken`
    says whether the search went on from it. A trial that broke off has a `reason`, the sizes of the
    network it was to cut, and no accuracy. `remark` is what has to be known of the cut: equal
    scores, for example.
    """

    step: str
    title: str
    parameters: Count
    macs: Count
    bytes: Count
    latency_ms: Seconds | None
    accuracy_before_retraining: Percent | None
    accuracy: Percent | None
    loss_bound: Finite | None
    taken: bool
    last: bool = False
    reason: str = ""
    remark: str = ""


class Budget(Record):
    """The most of one thing that a network may have, and what it had and has.

    `name` is "parameters", "macs", "bytes" or "latency_ms"; `start` is of the unpruned network,
    `reached` of the last one.
    """

    name: str
    most: Finite
    start: Finite
    reached: Finite


class Control(Record):
    """The last network of a search beside the unpruned one, retrained as often (`Results.control`).

    `retrainings` is how often; `difference` the points of accuracy that the last network has more,
    and `p_value` that of the paired randomization test between the two, on the same samples as all
    other steps.
    """

    retrainings: Count
    difference: Finite
    p_value: Fraction


class Point(Record):
    """A network of a frontier: how large, and how often right.

    `accuracy`, `loss_bound` and `p_value` are on the samples that all steps are measured on, beside
    the baseline; `taken` is what the validation data said.
    """

    step: str
    parameters: Count
    nonzero: Count
    macs: Count
    bytes: Count
    accuracy: Percent
    loss_bound: Finite
    p_value: Fraction
    taken: bool


class Search(Record):
    """How the last network was found: the stop rule, and every trial in its order.

    `validation` is the accuracy of the baseline on the `samples` validation samples that every
    trial was judged on, `guess` what always naming their commonest class has. `test_loss_bound` is
    the same bound for the last network, on the test set, None where there is none. `missed` names
    the budgets that were not met. `control` is None where none was asked for, and `frontier`, the
    baseline and all that was tried, empty. The 95% of the `last` trials' `loss_bound` hold over
    `looks` networks that lose too much, together.
    """

    method: str
    goal: str
    keep_accuracy: Finite | None
    samples: Count
    validation: Percent
    trials: list[Trial]
    test_loss_bound: Finite | None
    missed: list[str] = []
    budgets: list[Budget] = []
    guess: Percent | None = None
    control: Control | None = None
    frontier: list[Point] = []
    looks: Annotated[int, Field(ge=1, strict=True)] = 1


class Details(Record):
    """What the report shows beyond the steps. May be left out of a results file.

    `wrong` has, for every network by its step's name, the test samples that it gets wrong: enough
    to compute every accuracy and p-value again. `last_iteration` has the accuracy of the weights
    of the last iteration, where the network is the mean over the last iterations. `waiting` is the
    share of the trainings' time in which they waited for their data, as far as this run trained.
    """

    command: str = ""
    environment: dict[str, str] = {}
    training: dict[str, int | Finite | str] = {}
    notes: list[str] = []
    wins: list[Wins] = []
    layers: list[LayerState] = []
    curves: list[Curve] = []
    wrong: dict[str, list[Count]] = {}
    last_iteration: dict[str, Percent] = {}
    waiting: Fraction | None = None
    search: Search | None = None


def _same(step: str, field: str, given: float, follows: float) -> None:
    if abs(given - follows) > ROUNDING:
        raise ValueError(f"{step}: {field} is {given}, where {follows} follows from other figures")


class Results(Record):
    """A whole results file.

    `control` is the final architecture trained from random weights for the same number of
    iterations; in a study with a search the unpruned network, retrained as often as the last one.
    It is None where the study has none.
    """

    format: Literal[1] = 1
    study: str
    dataset: str
    network: str
    seed: Count
    baseline: Baseline
    steps: list[Step]
    control: Step | None = None
    details: Details = Details()

    @property
    def tested(self) -> Literal["test", "validation"]:
        """What the accuracies are of; a search without a test set has none but validation data."""
        search = self.details.search
        return "test" if search is None or search.test_loss_bound is not None else "validation"

    @model_validator(mode="after")
    def _agrees(self) -> Results:
        """Figures that follow from others are refused where they do not."""
        samples = self.details.training.get(f"{self.tested} samples")
        steps = [*self.steps, *([self.control] if self.control else [])]
        for step in steps:
            removed = max(0.0, 1 - step.parameters / max(self.baseline.parameters, 1))
            zeroed = 1 - step.nonzero / max(step.parameters, 1)
            _same(step.name, "removed", step.removed, removed)
            _same(step.name, "zeroed", step.zeroed, zeroed)
        accuracies = {step.name: step.accuracy for step in steps} | {
            self.baseline.name: self.baseline.accuracy
        }
        for name, wrong in self.details.wrong.items():
            if isinstance(samples, int) and samples > 0 and name in accuracies:
                right = 100 * (1 - len(wrong) / samples)
                _same(name, "accuracy", accuracies[name], right)
        return self

    def write(self, path: str | Path) -> None:
        """Write the file, whole or not at all."""
        write_json(Path(path), self.model_dump(mode="json"))

    @classmethod
    def read(cls, path: str | Path) -> Results:
        """Read and check a results file.

        Raises:
            StoreError: no such file, not JSON, another format, or a value out of its range.
        """
        content = read_json(Path(path))
        if not isinstance(content, dict) or "format" not in content:
            raise StoreError(f"{path} is not a results file: it has no format")
        found = content["format"]
        if type(found) is not int or found != FORMAT:
            raise StoreError(f"{path} has results format {found!r}; this maxprune reads {FORMAT}")
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise StoreError(f"{path} is not a results file: {first_wrong(error)}") from error


class TableCell(Record):
    """One cell: accuracies in percent by seed, their mean and sample standard deviation.

    `last_iteration` is the mean accuracy of the last iteration's weights, as the paper takes them;
    `accuracies` are of their mean over the last iterations. `reached` says whether our mean is at
    least the published figure; both are None where nothing was published.
    `p_values` are those of the randomization test against the network without maxout, `bytes` those
    of the file, by seed.
    """

    network: str
    fc: int
    step: str
    seeds: list[int]
    parameters: int
    removed: Fraction
    zeroed: Fraction
    accuracies: list[Percent]
    mean: Percent
    spread: Finite | None
    last_iteration: Percent
    p_values: list[Fraction]
    bytes: list[Count] = []
    published: Percent | None
    reached: bool | None


class AliveCurve(Record):
    """Share of neurons alive at each share of zeroed parameters, of one network."""

    network: str
    fc: int
    seed: int
    step: str
    retrained: bool
    zeroed: list[Fraction]
    alive: list[Fraction]


class Author(Record):
    """One of the networks of the authors of PLS pruning, on the same test pictures.

    `accuracy` is as it was published, `retrained` after as many epochs on our pictures as ours had
    in all, None where that was not asked for. `ours` names our first network with at most as many
    multiply-adds, `ours_accuracy` is its accuracy, after the final retraining where there is one.
    Both p-values are of the randomization test against ours: `p_value` with theirs retrained, where
    it was, `p_value_as_published` with theirs as it was published.
    """

    iteration: Count
    parameters: Count
    macs: Count
    removed: Fraction
    accuracy: Percent
    retrained: Percent | None
    ours: str | None
    ours_macs: Count | None
    ours_accuracy: Percent | None
    p_value: Fraction | None
    p_value_as_published: Fraction | None = None
