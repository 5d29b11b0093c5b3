"""The parts of a comparison as pieces of work for processes of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from torch import nn

from maxprune.comparison.contest import Contest
from maxprune.comparison.records import Compared, Start
from maxprune.comparison.settings import SCRATCH, Comparing
from maxprune.compression.fit import Fit
from maxprune.compression.search import UNPRUNED
from maxprune.data.order import derive, sow
from maxprune.data.samples import Splits
from maxprune.data.spec import DEFAULT, DataOptions, open_data
from maxprune.errors import OutputError, StoreError
from maxprune.files import read_json, write_json
from maxprune.modes import best_device
from maxprune.results import Record, Seconds
from maxprune.runs.another import changed_code
from maxprune.runs.code import of_code
from maxprune.runs.parallel import run_all
from maxprune.runs.workspace import Workspace, place_of
from maxprune.store.model import load
from maxprune.store.source import find_named, is_built, open_network

ROWS = "rows.json"


class Rows(Record):
    """What one part has found, and the seconds that its last process waited for data, of all."""

    start: Start | None
    compared: list[Compared]
    missing: dict[str, str]
    waited: Seconds = 0.0
    passed: Seconds = 0.0


@dataclass(frozen=True)
class Part:
    """One method with one seed, all by name, so that another process can open it.

    Args:
        network: as `open_network` takes it.
        data: as `open_data` takes it.
        comparing: what is compared.
        seed: of this part.
        each: iterations of one epoch.
        method: which; "" for the unpruned network, which all methods of a seed start from.
        weights: to fill in.
        factory: of a saved model.
        fit: the user's own training.
        options: how the data are read.
        about: checksums of the network, the data and the user's code: what makes this run this run.
    """

    network: str
    data: str
    comparing: Comparing
    seed: int
    each: int
    method: str = ""
    weights: str | None = None
    factory: str | None = None
    fit: str | None = None
    options: DataOptions = DEFAULT
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Of the folder."""
        return f"{self.method or UNPRUNED}-seed{self.seed}"

    @property
    def after(self) -> str:
        """The unpruned network of its seed."""
        return replace(self, method="").name if self.method else ""

    def length(self) -> int:
        """The iterations of all trainings."""
        first, each = self.comparing.train_epochs, self.comparing.how.epochs
        sizes = len(self.comparing.sizes)
        if not self.method:
            return round(first * self.each)
        epochs = sizes * each
        if self.method == SCRATCH:
            epochs = sum(first + number * each for number in range(1, sizes + 1))
        return round(epochs * self.each)

    def identity(self) -> dict[str, Any]:
        """What makes this run this run; methods and seeds may be added."""
        comparing = self.comparing.model_dump(
            mode="json", exclude={"methods": True, "how": {"control"}}
        )
        return {"study": "compare", "fit": self.fit, "comparing": comparing, **self.about}

    def is_done(self, folder: Path) -> bool:
        """Whether an earlier run has found all of it."""
        try:
            return _read(folder / ROWS) is not None
        except StoreError:
            return False

    def do(self, folder: Path, report: Callable[[int], None]) -> None:
        """Find the figures and write them to the folder."""
        done: dict[str, int] = {}

        def told(step: str, iterations: int, _: int) -> None:
            done[step] = iterations
            report(sum(done.values()))

        sow(derive(self.seed, "initial"))
        network = open_network(self.network, self.weights, self.factory)
        data = open_data(self.data, self.options)
        own = None if self.fit is None else find_named(self.fit)
        self._check_code(network, own, data)
        contest = Contest(self.comparing, self.seed, data, own, told, self._build())
        with Workspace(folder, self.identity() | {"part": self.name}, True, wait=True) as space:
            if not self.method:
                _, start = contest.start(network, space)
                rows = Rows(start=start, compared=[], missing={})
            else:
                compared, missing = contest.compared(self.method, self._start(folder), space)
                rows = Rows(start=None, compared=compared, missing=missing)
            clock = {"waited": contest.waiting.waited, "passed": contest.waiting.passed}
            write_json(folder / ROWS, {**rows.model_dump(mode="json"), **clock})

    def _check_code(self, network: nn.Module, own: Fit | None, data: Splits) -> None:
        """Refuse code that was changed since all parts were begun: this process read it anew."""
        changed = changed_code(self.about, {"code": of_code(network, own, data.source)})
        if changed:
            raise OutputError(
                f"{changed} has changed since the comparison began; undo that, or begin anew with "
                "another --out"
            )

    def _build(self) -> Callable[[], nn.Module] | None:
        """Builds the network with random weights; None for one that has others."""
        if not is_built(self.network, self.weights):
            return None
        return lambda: open_network(self.network)

    def _start(self, folder: Path) -> nn.Module:
        """The unpruned network, which another part has trained.

        Its factory is known, since the network was opened here before.
        """
        place = place_of(folder.with_name(self.after), UNPRUNED)
        return load(place).to(best_device())


def run_parts(
    part: Part, seeds: int, folder: Path, jobs: int, heard: Callable[[Part, int], None]
) -> list[Rows]:
    """Run all seeds and methods, `jobs` at a time; each after the unpruned network of its seed.

    Args:
        part: what all parts share.
        seeds: how many.
        folder: each part has its own folder in it.
        jobs: processes side by side.
        heard: told how far each part is.

    Raises:
        MaxpruneError: a part failed; what is finished is kept.
    """
    every = all_parts(part, seeds)
    run_all(every, folder, jobs, heard)
    return [_read(folder / one.name / ROWS) for one in every]


def all_parts(part: Part, seeds: int) -> Sequence[Part]:
    """The parts of a comparison, those that take longest first."""
    slow_first = sorted(part.comparing.methods, key=lambda method: method != SCRATCH)
    return [
        replace(part, seed=seed, method=method)
        for method in ("", *slow_first)
        for seed in range(seeds)
    ]


def _read(path: Path) -> Rows:
    try:
        return Rows.model_validate(read_json(path))
    except ValidationError as error:
        raise StoreError(f"{path} is damaged") from error
