"""One call: maxout neuron pruning, then weight pruning, of your own network."""

from __future__ import annotations

import copy
import hashlib
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from maxprune.data.images import Dataset
from maxprune.errors import UsageError
from maxprune.studies.environment import environment
from maxprune.studies.pipeline import Finished, Pipeline, Report
from maxprune.studies.recipe import Recipe
from maxprune.studies.workspace import Memory, Space, Workspace
from maxprune.train import PAPER, Training


def compress(
    model: nn.Module,
    data: Dataset,
    layer: str,
    k: int = 4,
    weights: float | Literal["auto"] | None = None,
    training: Training = PAPER,
    seed: int = 0,
    folder: str | Path | None = None,
    report: Report | None = None,
) -> Finished:
    """Make a trained classifier smaller by maxout neuron pruning, and measure every step.

    Behind `layer` comes a maxout over k adjacent neurons; its least winning neurons go one by
    one, with retraining, down to k = 1, where the maxout disappears (Moya Rueda et al. 2017).
    Then single weights go, if asked.

    Args:
        model: a trained classifier that torch.fx can trace; it is not changed. It is the network
            that all steps are compared with.
        data: what to retrain on, and to test on.
        layer: the name of a linear or convolution layer; the largest pays most.
        k: neurons per maxout unit, at least 2; it divides the layer.
        weights: share of all parameters to be zero at the end; "auto" takes the largest that
            costs nothing on a tenth of the training set, which is then not trained on.
        training: of every retraining.
        seed: decides the order of images and dropout.
        folder: keep every step here and go on after a kill; needs a network whose factory is
            known (`maxprune.factory`). None keeps everything in memory.
        report: called with (step, iterations done, iterations in all).

    Returns:
        The final network, the results, every step's network, and ways to write them down.

    Raises:
        UsageError: k, the share or the seed.
        StructureError: the layer is not there or cannot be cut.
        TrainingDiverged: the loss is not finite.
        OutputError: the folder holds another run or cannot be written.
    """
    if isinstance(weights, str) and weights != "auto":
        raise UsageError(f"weights is a share between 0 and 1 or 'auto', not {weights!r}")
    trained = copy.deepcopy(model)
    recipe = Recipe(
        network=type(model).__name__, build=lambda: copy.deepcopy(trained), layer=layer, k=k,
        shares=(weights,) if isinstance(weights, float) else (), choose=weights == "auto",
        training=training, seed=seed, bury=True, fresh=False,
    )  # fmt: skip
    recipe.check()
    space: Space = Memory()
    if folder is not None:
        identity = {
            "study": "compress", "dataset": data.name, "network": _fingerprint(model),
            "layer": layer, "k": k, "weights": weights, "seed": seed,
            "training": training.model_dump(),
        }  # fmt: skip
        space = Workspace(Path(folder), identity, resume=True)
    about = environment(torch.get_num_threads())
    return Pipeline(recipe, data, space, report).run("compress", about)


def _fingerprint(model: nn.Module) -> str:
    """A checksum of a network's weights."""
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
