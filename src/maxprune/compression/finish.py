"""The end of a search: the test set is looked at, once, and the results are put together."""

from __future__ import annotations

import torch

from maxprune.compression.control import retrained_alike
from maxprune.compression.result import Compressed
from maxprune.compression.search import UNPRUNED, Search
from maxprune.compression.settings import UNCUT
from maxprune.compression.tried import Tried
from maxprune.data.samples import Pictures, Samples, Splits
from maxprune.measure import correct, loss_bound, percent, randomization_test
from maxprune.results import Budget, Control, Point, Results
from maxprune.results import Search as Found
from maxprune.runs.environment import environment
from maxprune.runs.measured import Measured, as_baseline, as_details, as_step
from maxprune.store.session import OnnxNetwork


def finished(search: Search, last: str, command: str, study: str) -> Compressed:
    """Look at the test set, once, and put the results together.

    Args:
        search: that has come to its end.
        last: the name of the network that was found.
        command: the command line, for the results.
        study: what they are called.
    """
    data, settings = search.data, search.settings
    count = len(data.tested)
    names = [UNPRUNED, *search.path(last)]
    networks = {name: search.known(name) for name in names}
    control = retrained_alike(search, last) if settings.control else None
    if control is not None:
        networks[UNCUT] = control
    tested = {n: _tested(data, taken, search.files.get(n)) for n, taken in networks.items()}
    base = tested[UNPRUNED]
    steps = [as_step(tested[n], taken.bytes, base, count) for n, taken in networks.items()][1:]
    training = {**search.trainer.about(), f"{_tested_on(data)} samples": count}
    details = as_details(list(tested.values()), environment(torch.get_num_threads()), training)
    notes = [*data.remarks(), *search.trainer.remarks(), *search.notes]
    found = _found(search, last, tested)
    results = Results(
        study=study, dataset=data.name, network=type(networks[UNPRUNED].model).__name__,
        seed=settings.seed, baseline=as_baseline(base, networks[UNPRUNED].bytes),
        steps=steps if control is None else steps[:-1],
        control=None if control is None else steps[-1],
        details=details.model_copy(
            update={
                "command": command, "search": found, "notes": notes,
                "waiting": search.trainer.waiting.share,
            }
        ),
    )  # fmt: skip
    models = {name: taken.model for name, taken in networks.items()}
    file = search.files.get(last)
    return Compressed(models[last].eval(), results, models, data.tested, data, int8=file)


def _tested_on(data: Splits) -> str:
    return "validation" if data.test is None else "test"


def _found(search: Search, last: str, tested: dict[str, Measured]) -> Found:
    """How the last network was found, and what the test set says of it."""
    data, settings = search.data, search.settings
    count = len(data.tested)
    right = {name: measured.right(count) for name, measured in tested.items()}
    control = None
    if UNCUT in tested:
        control = Control(
            retrainings=len(search.retrainings(last)),
            difference=tested[last].accuracy - tested[UNCUT].accuracy,
            p_value=randomization_test(right[last], right[UNCUT]),
        )
    return Found(
        method=settings.method, goal=settings.goal(), keep_accuracy=settings.keep_accuracy,
        samples=len(data.validation), validation=search.taken[UNPRUNED].measured.accuracy,
        guess=_guess(data.validation),
        trials=search.trials,
        test_loss_bound=None if data.test is None else loss_bound(right[UNPRUNED], right[last]),
        looks=settings.looks, missed=search.sizes[last].over(settings.budgets()),
        budgets=[
            Budget(
                name=name, most=most, start=getattr(search.sizes[UNPRUNED], name),
                reached=getattr(search.sizes[last], name),
            )
            for name, most in settings.budgets().items()
        ],
        control=control, frontier=_frontier(search, tested) if settings.frontier else [],
    )  # fmt: skip


def _frontier(search: Search, tested: dict[str, Measured]) -> list[Point]:
    """All that was tried, whether taken or not."""
    data = search.data
    count = len(data.tested)
    right = tested[UNPRUNED].right(count)
    points = []
    for name in (UNPRUNED, *(trial.step for trial in search.trials)):
        found = search.taken.get(name) or search.others.get(name)
        if found is None:  # it broke off
            continue
        measured = tested.get(name) or _tested(data, found, search.files.get(name))
        ours = measured.right(count)
        points.append(
            Point(
                step=name, parameters=measured.parameters, nonzero=measured.nonzero,
                macs=measured.macs, bytes=found.bytes, accuracy=measured.accuracy,
                loss_bound=loss_bound(right, ours), p_value=randomization_test(ours, right),
                taken=name in search.taken,
            )
        )  # fmt: skip
    return points


def _guess(samples: Samples) -> float:
    """Percent of the samples that are of the commonest class."""
    labels = (
        [samples.images.labels]  # none has to be decoded for it
        if isinstance(samples, Pictures)
        else [y for _, y in samples.batches(1000)]
    )
    counts = sum(torch.bincount(y, minlength=samples.classes) for y in labels)
    return 100 * float(torch.as_tensor(counts).max()) / len(samples)


def _tested(data: Splits, taken: Tried, file: bytes | None) -> Measured:
    """What was measured of a step or its file, with the test set in place of validation data."""
    if data.test is None:
        return taken.measured
    right = correct(taken.model if file is None else OnnxNetwork(file), data.test)
    return taken.measured.model_copy(
        update={
            "accuracy": percent(right), "last": percent(right), "before": None,
            "wrong": (~right).nonzero().flatten().tolist(),
        }
    )  # fmt: skip
