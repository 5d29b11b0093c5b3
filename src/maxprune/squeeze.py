"""As small as it goes: everything that makes a network smaller, one after the other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from maxprune.compress import Run, compress
from maxprune.compression import Compressed, Compression
from maxprune.compression.fit import Fit
from maxprune.data.spec import Data
from maxprune.train import Fitting

STUDY = "squeeze"
JUDGES = 300  # samples that the command holds out of small data, up to a quarter
LOOKS = 10  # networks that lose too much, in one search
SQUEEZE = Compression(
    method="damage", keep_accuracy=0.5, rate=0.05, anew=True, zero="most", bits="fewest",
    frontier=True, looks=LOOKS, steps=250, scale_dropout=True, final_epochs=30, retry=True,
    growth=1.5,
)  # fmt: skip


def usual(own: bool) -> Compression:
    """The settings; beside a training of one's own nothing is trained from nothing, nor longer."""
    ours = {
        "scale_dropout": False, "anew": False, "final_epochs": 0.0, "retry": False,
    }  # fmt: skip
    return SQUEEZE.model_copy(update=ours) if own else SQUEEZE


def squeeze(
    model: nn.Module,
    data: Data,
    keep_accuracy: float = 0.5,
    fit: Fit | Fitting | None = None,
    folder: str | Path | None = None,
    run: Run | None = None,
    **changes: Any,
) -> Compressed:
    """Make a network as small as it goes without a significant loss, whatever it takes.

    `compress` by measured damage, where a step that fails by little is trained for longer before it
    is taken back; then a longer training of what is left, and one with half the augmentation; then
    the same architecture from nothing, which goes on if it is better. The smallest that passes over
    all `looks` goes on: zeros, and few values in a coded file, more and fewer as long as they pass.
    The network at the start teaches nothing unless you say so (`teacher=0.9`): small networks
    learned worse from it (results/squeeze-digits).

    Args:
        model: a trained classifier with a factory (`maxprune.factory`), as the coded file needs
            one; it is not changed.
        data: as for `compress`.
        keep_accuracy: points of accuracy that may be lost, with 95% confidence.
        fit: as for `compress`; beside a training of your own dropout stays as it is, and nothing is
            trained for longer or from nothing.
        folder: as for `compress`.
        run: as for `compress`.
        changes: single settings of `Compression` by name: `bits=None` for no coding.

    Returns:
        As `compress`; `results.details.search.frontier` has all that was tried, by its size.

    Raises:
        UsageError: a setting.
        StructureError: nothing can be cut.
        TrainingDiverged: the loss is not finite.
        OutputError: the folder holds another run or cannot be written.
    """
    settings = usual(own=fit is not None and not isinstance(fit, Fitting))
    run = replace(run or Run(), study=STUDY)
    return compress(
        model, data, settings, fit, folder, run, **{"keep_accuracy": keep_accuracy} | changes
    )
