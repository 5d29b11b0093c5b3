"""One call: maxout neuron pruning, then weight pruning, of your own network."""

from __future__ import annotations

import copy
import hashlib
from pathlib import Path
from typing import Literal, SupportsFloat

import torch
from torch import nn

from maxprune.data.images import Dataset
from maxprune.errors import UsageError
from maxprune.lineage import lineage
from maxprune.store.model import check_factory
from maxprune.studies.environment import environment
from maxprune.studies.pipeline import Finished, Pipeline, Report
from maxprune.studies.recipe import Recipe
from maxprune.studies.workspace import Memory, Space, Workspace
from maxprune.surgery.chain import trace
from maxprune.train import Training

DEFAULT = Training()


def compress(
    model: nn.Module,
    data: Dataset,
    layer: str,
    k: int = 4,
    weights: float | Literal["auto"] | None = None,
    training: Training = DEFAULT,
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
        training: of every retraining; `ramp`, `boost` and `scale_dropout` are of the one in which
            weights go to zero.
        seed: decides the order of images and dropout.
        folder: keep every step here and go on after a kill; needs a network whose factory is
            known (`maxprune.factory`). None keeps everything in memory.
        report: called with (step, iterations done, iterations in all).

    Returns:
        The final network, the results, every step's network, and ways to write them down.

    Raises:
        UsageError: k, the share or the seed; or a folder is given and the factory not known.
        StructureError: the layer is not there or cannot be cut.
        TrainingDiverged: the loss is not finite.
        OutputError: the folder holds another run or cannot be written.
    """
    share = _share(weights)
    if not isinstance(k, int) or not isinstance(seed, int):
        raise UsageError(f"k and seed are whole numbers, not {k!r} and {seed!r}")
    trained = copy.deepcopy(model)
    recipe = Recipe(
        network=type(model).__name__, build=lambda: copy.deepcopy(trained), layer=layer, k=k,
        shares=() if share is None else (share,), choose=weights == "auto",
        training=training, seed=seed, bury=True, fresh=False,
    )  # fmt: skip
    recipe.check()
    space: Space = Memory()
    if folder is not None:
        check_factory(lineage(model))
        identity = {
            "study": "compress", "dataset": data.name, "images": _images(data),
            "network": _network(model),
            "layer": layer, "k": k, "weights": weights if share is None else share, "seed": seed,
            "training": training.model_dump(),
        }  # fmt: skip
        space = Workspace(Path(folder), identity, resume=True)
    about = environment(torch.get_num_threads())
    return Pipeline(recipe, data, space, report).run("compress", about)


def _share(weights: object) -> float | None:
    """The share of weights to zero; None for none at all and for one that is chosen later."""
    if weights is None or weights == "auto":
        return None
    if isinstance(weights, bool | str) or not isinstance(weights, SupportsFloat):
        raise UsageError(f"weights is a share between 0 and 1 or 'auto', not {weights!r}")
    share = float(weights)
    if not 0 < share < 1:
        raise UsageError(f"weights is a share between 0 and 1 (0.7 for 70%), not {weights!r}")
    return share


def _images(data: Dataset) -> str:
    """A checksum of all pictures and labels."""
    digest = hashlib.sha256()
    for images in (data.train, data.test):
        for tensor in (images.pixels, images.labels):
            digest.update(str(tuple(tensor.shape)).encode())
            digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _network(model: nn.Module) -> str:
    """A checksum of what a network is made of and of its weights."""
    digest = hashlib.sha256(f"{model!r} {trace(model)}".encode())
    for name, tensor in model.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
