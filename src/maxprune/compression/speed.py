"""In which precision a compression trains, and whether compiled: asked for, or by the clock."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from maxprune.compression.settings import Compression
from maxprune.data.samples import Splits
from maxprune.distributed.world import world
from maxprune.errors import StoreError
from maxprune.files import read_json
from maxprune.modes import best_device, copied
from maxprune.train import Fitting
from maxprune.train.precision import measured_compiling, measured_precision


def with_speed(
    fitting: Fitting, settings: Compression, model: nn.Module, data: Splits, folder: Path | None
) -> Fitting:
    """The training in the precision that the settings ask for, compiled if they do.

    What is left to the clock is measured once, on the network at the start; a run that goes on
    takes what it has found before.

    Args:
        fitting: the training.
        settings: what is asked for.
        model: the network at the start; it is not changed.
        data: what it is trained on.
        folder: of the run.
    """
    cuda = best_device().type == "cuda"
    precision = settings.precision or ("auto" if cuda else "float32")
    compiled = settings.compiled if settings.compiled is not None else "auto" if cuda else False
    if "auto" in (precision, compiled):
        before = _before(folder)
        precision = before.get("precision", precision) if precision == "auto" else precision
        compiled = before.get("compiled", compiled) if compiled == "auto" else compiled
    if "auto" in (precision, compiled):
        network = copied(model).to(best_device())
        x, y = next(data.train.stream(fitting.batch, 0, device=best_device()))
        if precision == "auto":
            precision = measured_precision(network, x, y, fitting)
        if compiled == "auto":
            compiled = measured_compiling(network, x, y, fitting, precision)
    return fitting.model_copy(update={"precision": precision, "compiled": compiled})


def _before(folder: Path | None) -> dict[str, Any]:
    """How the run in a folder trains, if there is one; the same in all processes."""
    found: Any = None
    if folder is not None and world().leads and (folder / "run.json").exists():
        try:
            found = read_json(folder / "run.json")
        except StoreError:  # the run is refused later
            found = None
    training = found.get("training") if isinstance(found, dict) else None
    told: dict[str, Any] = world().told(training if isinstance(training, dict) else {})
    return told
