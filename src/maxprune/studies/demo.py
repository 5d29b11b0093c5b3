"""The demo: LeNet-MFC on scikit-learn's digits, down to k = 1, 70% zeros and a coded file."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from maxprune.data import load
from maxprune.networks import lenet5
from maxprune.runs.environment import environment
from maxprune.runs.finished import Finished
from maxprune.runs.workspace import Workspace
from maxprune.studies.pipeline import Pipeline, Report, Told
from maxprune.studies.recipe import OURS, Recipe
from maxprune.weights.sharing import BITS

DATASET = "digits"
ITERATIONS = 400
NAMES = {"fc1": "mfc", "conv2": "mc"}  # what the paper calls LeNet-5 with a maxout there


@dataclass(frozen=True)
class Demo:
    """What the demo does; the defaults are the ones its results are documented with.

    Args:
        fc: neurons of fc1.
        layer: the layer behind which the maxout goes.
        k: inputs per maxout unit.
        share: share of all parameters to be zero; None has it chosen.
        iterations: of every training.
        seed: of weights, order and dropout.
        bits: of the values that the weights of a layer share in the coded file.
    """

    fc: int = 512
    layer: str = "fc1"
    k: int = 4
    share: float | None = 0.7
    iterations: int = ITERATIONS
    seed: int = 0
    bits: int = BITS

    def recipe(self) -> Recipe:
        """The run of the method."""
        return Recipe(
            network=f"lenet-{NAMES.get(self.layer, self.layer)}-{self.fc}",
            build=partial(lenet5, fc=self.fc, dropout="conv" if self.layer == "conv2" else "fc"),
            layer=self.layer, k=self.k,
            shares=() if self.share is None else (self.share,), choose=self.share is None,
            coded=((self.share, self.bits),),
            training=OURS.model_copy(update={"iterations": self.iterations}),
            seed=self.seed, bury=True,
        )  # fmt: skip


def run_demo(
    demo: Demo,
    folder: Path,
    resume: bool,
    command: str = "",
    report: Report | None = None,
    told: Told | None = None,
) -> Finished:
    """Run the demo and write its results, page, saved model, ONNX and coded file into a folder.

    Raises:
        MaxpruneError: bad settings, or the folder holds another run or cannot be written.
    """
    recipe = demo.recipe()
    recipe.check()
    identity = {
        "study": "demo", "command": command, "dataset": DATASET, "fc": demo.fc,
        "layer": demo.layer, "k": demo.k, "seed": demo.seed,
        "weights": "auto" if demo.share is None else demo.share, "bits": demo.bits,
        "training": recipe.training.model_dump(),
    }  # fmt: skip
    data = load(DATASET)
    with Workspace(folder, identity, resume) as space:
        pipeline = Pipeline(recipe, data, space, report, told)
        finished = pipeline.run("demo", environment(torch.get_num_threads()), command)
        finished.write(folder)
    return finished
