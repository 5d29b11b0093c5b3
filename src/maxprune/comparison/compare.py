"""One call: methods side by side at equal sizes, with equal retraining, over several seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from maxprune.comparison.contest import Contest
from maxprune.comparison.records import Compared, Comparison, Start
from maxprune.comparison.settings import COMPARED, Comparing
from maxprune.compression.fit import Fit
from maxprune.data.images import Dataset
from maxprune.data.order import derive
from maxprune.data.samples import Splits
from maxprune.data.spec import DataOptions, of_dataset
from maxprune.errors import UsageError
from maxprune.modes import copied
from maxprune.results import Details
from maxprune.runs.environment import environment
from maxprune.runs.workspace import Memory
from maxprune.train.loop import check_fits


def compare(
    network: nn.Module | Callable[[], nn.Module],
    data: Dataset | Splits,
    methods: Sequence[str] = COMPARED[:-1],
    sizes: Sequence[float] = (0.75, 0.5, 0.25),
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
        data: what to retrain and score on, judge by and test on; of a `Dataset` a tenth of the
            training set is held out, and nothing is augmented.
        methods: see `Comparing`.
        sizes: shares of the network's size that stay.
        seeds: how many.
        fit: your own training.
        report: called with (step, iterations done, iterations in all).
        changes: settings of `Comparing` (`by`, `train_epochs`, ...), or of all retrainings and
            scores (`epochs`, `rate`, `skip`, `components`, ...; see `Compression`).

    Raises:
        UsageError: a setting, or the network does not fit the data.
        StructureError: the network cannot be followed.
        TrainingDiverged: the loss is not finite.
    """
    comparing = comparing_of(methods=tuple(methods), sizes=tuple(sizes), **changes)
    if type(seeds) is not int or seeds < 1:
        raise UsageError(f"there is at least 1 seed, not {seeds!r}")
    splits = data if isinstance(data, Splits) else of_dataset(data, DataOptions(augment=()))
    starts: list[Start] = []
    rows: list[Compared] = []
    missing: dict[str, str] = {}
    name = ""
    for seed in range(seeds):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(seed, "initial"))
            made = copied(network) if isinstance(network, nn.Module) else network()
        name = type(made).__name__
        check_fits(made, splits.train)
        contest = Contest(comparing, seed, splits, fit, report)
        start, figures = contest.start(made, Memory())
        starts.append(figures)
        for method in comparing.methods:
            found, why = contest.compared(method, start, Memory())
            rows += found
            missing |= why
    return together(comparing, splits, name, starts, rows, missing, torch.get_num_threads())


def comparing_of(**changes: Any) -> Comparing:
    """Settings by name: those of the comparison, and those that all methods share.

    Raises:
        UsageError: there is no such setting, or it is out of its range.
    """
    default = Comparing.model_fields["how"].default
    own = {name: changes.pop(name) for name in list(changes) if name in Comparing.model_fields}
    decided = ("method", "keep_accuracy", "iterations", "fails", "zero", "seed", *default.budgets())
    for name in changes:
        if name not in type(default).model_fields or name in decided or name.startswith("max_"):
            known = [f for f in type(default).model_fields if f not in decided]
            known = [f for f in known if not f.startswith("max_")]
            there = ", ".join([*(f for f in Comparing.model_fields if f != "how"), *known])
            raise UsageError(f"there is no setting {name!r} of a comparison; there are {there}")
    how = type(default)(**{**default.model_dump(), **changes})
    return Comparing(**own, how=how)


def together(
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
    notes = list(data.notes)
    if data.test is None:
        notes.append("There is no test set: all accuracies are on the validation data.")
    training: dict[str, int | float | str] = {
        "train_epochs": comparing.train_epochs, "epochs": comparing.how.epochs,
        "rate": comparing.how.rate, "batch": comparing.how.batch,
        "test samples": len(data.test or data.validation),
        "validation samples": len(data.validation),
    }  # fmt: skip
    return Comparison(
        dataset=data.name, network=network, by=comparing.by, methods=list(comparing.methods),
        sizes=list(comparing.descending()), starts=starts, compared=rows, missing=missing,
        details=Details(
            command=command, environment=environment(threads), training=training, notes=notes
        ),
    )  # fmt: skip
