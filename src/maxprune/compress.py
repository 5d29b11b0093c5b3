"""One call: a smaller network that is no worse, and how it was found."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from maxprune.compression.finish import finished
from maxprune.compression.fit import Fit, Trainer, name_of
from maxprune.compression.methods import make_method
from maxprune.compression.reach import check_reach
from maxprune.compression.result import Compressed
from maxprune.compression.search import Report, Search, Told
from maxprune.compression.settings import OWNERS, Compression
from maxprune.compression.speed import with_speed
from maxprune.data.samples import Splits, check_repeatable
from maxprune.data.spec import Data, as_splits
from maxprune.errors import UsageError
from maxprune.lineage import lineage
from maxprune.measure import loss_bound
from maxprune.naming import called, giving
from maxprune.plural import plural
from maxprune.runs.code import of_code
from maxprune.runs.identity import of_data, of_network
from maxprune.runs.workspace import Memory, Space, Workspace
from maxprune.store.coded import check_codable
from maxprune.store.onnx import exported
from maxprune.store.opening import check_factory
from maxprune.store.quantized import quantized
from maxprune.train import Fitting
from maxprune.train.fits import check_fits
from maxprune.train.waiting import Waiting
from maxprune.weights import zero_plan

STUDY = "compress"
DEFAULT = Compression(keep_accuracy=0.5)
OURS = ("teacher", "scale_dropout", "anew", "final_epochs", "retry")
"""Settings of our own training, which do nothing beside another."""


def compress(
    model: nn.Module,
    data: Data,
    settings: Compression = DEFAULT,
    fit: Fit | Fitting | None = None,
    folder: str | Path | None = None,
    run: Run | None = None,
    **changes: Any,
) -> Compressed:
    """Make a network smaller until it would lose too much, or is small enough.

    Each step cuts, retrains, and is judged on validation data against the network given. The test
    set is looked at once, at the end.

    Args:
        model: a trained classifier; it is not changed.
        data: what to retrain on, judge by and test on: (train, validation, test) loaders, a folder
            of pictures or another name that the command takes, or a `Dataset`, of which a tenth of
            the training set is held out to judge by, and nothing is augmented.
        settings: method, stop rule and retraining; without any, the maxout method, and less than
            0.5 points of accuracy lost with 95% confidence.
        fit: your own training, called with the network and the data for every retraining. It
            trains in place, or gives back the trained network. Or another `Fitting` than the
            settings' epochs, rate and batch make.
        folder: keep every step here and go on after a kill; needs a network whose factory is
            known (`maxprune.factory`). None keeps everything in memory.
        run: who is told as it goes on, and how it starts.
        changes: single settings by name: `compress(net, data, max_macs=10**7)`.

    Returns:
        The network, the results, every step's network, and ways to write them down.

    Raises:
        UsageError: a setting; or a folder is given and the factory not known.
        StructureError: nothing can be cut.
        TrainingDiverged: the loss is not finite.
        OutputError: the folder holds another run or cannot be written.
    """
    asked = settings_of(settings, changes)
    splits = as_splits(data, asked.seed)
    run = run or Run()
    check_settings(asked, splits, model)
    fitting = Fitting.of_passes(
        asked.epochs, splits.train, asked.steps, batch=asked.batch, rate=asked.rate
    )
    own = None if isinstance(fit, Fitting) else fit
    for name in OURS if own is not None else ():
        if getattr(asked, name):
            raise UsageError(f"{called(name)} does nothing beside a fit of your own")
    fitting = fit if isinstance(fit, Fitting) else fitting
    if fit is None:
        fitting = with_speed(fitting, asked, model, splits, Path(folder) if folder else None)
    trainer = Trainer(splits, fitting, own, run.waiting)
    first = Trainer(splits, fitting.as_fast(run.first), own, run.waiting) if run.first else None
    with _space(folder, model, asked, trainer, run) as space:
        search = Search(asked, splits, trainer, space, run.report, run.told)
        last = search.run(model, first)
    return finished(search, last, run.command, run.study)


def _space(
    folder: str | Path | None, model: nn.Module, asked: Compression, trainer: Trainer, run: Run
) -> AbstractContextManager[Space]:
    """Where the steps are kept."""
    if folder is None:
        return nullcontext(Memory())
    check_factory(lineage(model))
    data, fitting, own = trainer.data, trainer.fitting, trainer.own
    identity = {
        "study": STUDY, "command": run.command, "code": of_code(model, own, data.source),
        "settings": asked.model_dump(mode="json", exclude={"control"}),
        "first": run.first.model_dump() if run.first else None,
        "fit": None if own is None else name_of(own),
        "training": {"by": type(fitting).__name__, **fitting.model_dump()},
        "data": of_data(data), "network": of_network(model), "stream": data.streamed or None,
    }  # fmt: skip
    return Workspace(Path(folder), identity, resume=run.resume)


@dataclass(frozen=True)
class Run:
    """How a compression runs: who is told as it goes on, and how it starts.

    Args:
        report: called with (step, iterations done, iterations in all).
        told: called with every trial as soon as it is judged.
        first: trains the network before; None for one that is trained.
        resume: go on where an earlier run in the folder was.
        command: the command line, for the results.
        study: what the results are called.
        waiting: told how long trainings wait for their data.
    """

    report: Report = lambda *_: None
    told: Told = lambda _: None
    first: Fitting | None = None
    resume: bool = True
    command: str = ""
    study: str = STUDY
    waiting: Waiting = field(default_factory=Waiting)


def settings_of(settings: Compression, changes: dict[str, Any]) -> Compression:
    """The settings with these changes; a budget takes the place of the default stop rule.

    Raises:
        UsageError: there is no such setting, it is out of its range, or no stop rule is left.
    """
    if not isinstance(settings, Compression):
        raise UsageError(f"settings are a Compression, not {settings!r}")
    unknown = [name for name in changes if name not in Compression.model_fields]
    if unknown:
        known = ", ".join(Compression.model_fields)
        raise UsageError(f"there is no setting {unknown[0]!r}; there are {known}")
    asked = Compression(**{**settings.model_dump(), **changes})
    if settings is DEFAULT and "keep_accuracy" not in changes:
        without = asked.model_copy(update={"keep_accuracy": None})
        asked = without if without.has_end() else asked
    if not asked.has_end():
        raise UsageError(
            "say when to stop: keep_accuracy, a budget (max_parameters, max_macs, max_bytes, "
            "max_latency_ms), or iterations"
        )
    return asked


def check_settings(settings: Compression, data: Splits, model: nn.Module) -> None:
    """Refuse what cannot work, before any training.

    Raises:
        UsageError: weights are not finite; so few validation samples cannot show so small a loss;
            a layer is not there; a setting is that of another method; a budget is below what can
            be reached; a network is to be coded whose factory is not known, or builds another.
        StructureError: nothing can be cut, the network does not take the inputs, or it is to be
            in 8 bits and cannot.
    """
    if not isinstance(model, nn.Module):
        raise UsageError(f"a network is a torch module, not {model!r}")
    for name in settings.without_effect():
        raise UsageError(f"{called(name)} is a setting of {OWNERS[name]}, not of {settings.method}")
    check_repeatable(data)
    check_fits(model, data.train)
    make_method(settings, data, model)
    check_reach(settings, data, model)
    if settings.bits is not None:
        check_factory(lineage(model))
        check_codable(model)
    if settings.int8 is not None:  # what does not export now, does not after hours either
        x = data.example
        quantized(exported(model, x), x, [x] if settings.int8 == "static" else None)
    if isinstance(settings.zero, float):
        zero_plan(model, settings.zero)
    same = torch.ones(len(data.validation), dtype=torch.bool)
    least = loss_bound(same, same, settings.level())
    alone = f", or judge each network alone ({giving('looks', 1)})" if settings.looks > 1 else ""
    if settings.keep_accuracy is not None and settings.keep_accuracy <= least:
        raise UsageError(
            f"{plural(len(same), 'validation sample')} cannot show a loss below "
            f"{plural(settings.keep_accuracy, 'point')}: even equal answers leave {least:.2f}; "
            f"give more of them ({called('validation')}, where they are held out of the training "
            f"set), or say {giving('keep_accuracy', math.ceil(2 * least))}{alone}"
        )
