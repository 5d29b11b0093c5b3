"""One call: methods side by side at equal sizes, with equal retraining, over several seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from maxprune.comparison.contest import Contest
from maxprune.comparison.reach import check_sizes
from maxprune.comparison.records import Compared, Comparison, Start
from maxprune.comparison.settings import SCRATCH, Comparing, comparing_of
from maxprune.comparison.ways import way
from maxprune.compression.fit import Fit
from maxprune.data.order import derive
from maxprune.data.samples import Splits, check_repeatable
from maxprune.data.spec import Data, as_splits
from maxprune.errors import StructureError, UsageError
from maxprune.modes import copied
from maxprune.results import Details
from maxprune.runs.environment import environment
from maxprune.runs.workspace import Memory
from maxprune.train.fits import check_fits
from maxprune.train.waiting import Waiting


def compare(
    network: nn.Module | Callable[[], nn.Module],
    data: Data,
    methods: Sequence[str] = Comparing.model_fields["methods"].default,
    sizes: Sequence[float] = Comparing.model_fields["sizes"].default,
    seeds: int = 1,
    fit: Fit | None = None,
    report: Callable[[str, int, int], None] = lambda *_: None,
    **changes: Any,
) -> Comparison:
    """Take a network down to the same sizes by several methods.

    Each size is cut from the one before and retrained alike. The settings are those that
    `maxprune compare` has by default; nothing is chosen on the test set.

    Args:
        network: a trained classifier; or a function that builds one, called for every seed, whose
            network is trained first (`train_epochs`).
        data: what to retrain and score on, judge by and test on, as `maxprune.compress` takes it.
        methods: see `Comparing`.
        sizes: shares of the network's size that stay.
        seeds: how many.
        fit: your own training, called once a size; the control from random weights needs ours.
        report: called with (step, iterations done, iterations in all).
        changes: settings of `Comparing` (`by`, `train_epochs`, ...), or of all retrainings and
            scores (`epochs`, `rate`, `skip`, `components`, ...; see `Compression`).

    Raises:
        UsageError: a setting, or the network does not fit the data.
        StructureError: the network cannot be followed, or no method can cut it.
    """
    comparing = comparing_of(methods=_several(methods), sizes=_several(sizes), **changes)
    if type(seeds) is not int or seeds < 1:
        raise UsageError(f"there is at least 1 seed, not {seeds!r}")
    if not callable(network):
        raise UsageError(f"a network is a torch module or a function, not {network!r}")
    build = None if isinstance(network, nn.Module) else network
    splits = as_splits(data)
    starts: list[Start] = []
    rows: list[Compared] = []
    missing: dict[str, str] = {}
    name, waiting = "", Waiting()
    for seed in range(seeds):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(seed, "initial"))
            made = copied(network if isinstance(network, nn.Module) else network())
        name = type(made).__name__
        if seed == 0:
            check_comparison(comparing, made, splits, build, fit)
        contest = Contest(comparing, seed, splits, fit, report, build, waiting)
        start, figures = contest.start(made, Memory())
        starts.append(figures)
        for method in comparing.methods:
            compared, why = contest.compared(method, start, Memory())
            rows += compared
            missing |= why
    threads = torch.get_num_threads()
    found = as_comparison(comparing, splits, name, starts, rows, missing, threads)
    return found.with_waiting(waiting.share)


def _several(given: Any) -> tuple[Any, ...]:
    return tuple(given) if isinstance(given, Sequence) and not isinstance(given, str) else (given,)


def check_comparison(
    comparing: Comparing,
    network: nn.Module,
    data: Splits,
    build: Callable[[], nn.Module] | None,
    fit: Fit | None,
) -> None:
    """Refuse what cannot work, before any training.

    Raises:
        UsageError: the data differ between two passes, the network does not take them, a layer is
            named that is not there, a control cannot be trained, or a size is out of reach.
        StructureError: no method can cut anything.
    """
    check_repeatable(data)
    check_fits(network, data.train)
    if SCRATCH in comparing.methods and (build is None or fit is not None):
        raise UsageError(
            "scratch needs a network that is built here with random weights, and our training; "
            "leave it out of the methods"
        )
    able, reasons = [], []
    for method in comparing.methods:
        try:
            way(method, comparing.of(method, seed=0), network, data, build)
            able.append(method)
        except StructureError as error:
            reasons.append(str(error))
    if not able:
        raise StructureError(reasons[0])
    check_sizes(comparing, able, data, network)


def as_comparison(
    comparing: Comparing,
    data: Splits,
    network: str,
    starts: list[Start],
    rows: list[Compared],
    missing: dict[str, str],
    threads: int,
    command: str = "",
) -> Comparison:
    """The figures of all seeds and methods as one record."""
    counts = {"test samples": data.test, "validation samples": data.validation}
    samples = {name: len(part) for name, part in counts.items() if part is not None}
    return Comparison(
        dataset=data.name, network=network, by=comparing.by, methods=list(comparing.methods),
        sizes=list(comparing.descending()), tested="validation" if data.test is None else "test",
        starts=starts, compared=rows, missing=missing,
        settings=comparing.model_dump(mode="json"),
        details=Details(
            command=command, environment=environment(threads), training={**samples},
            notes=data.remarks(),
        ),
    )  # fmt: skip
