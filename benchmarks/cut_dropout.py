"""How much dropout a network is best retrained with once neurons are cut, on validation data.

A trained LeNet-5 (512 neurons, dropout of 0.5), as `maxprune squeeze` keeps it in its folder, loses
the same share of every layer's channels, by Taylor scores. Each is retrained with dropout as it
was, with the square root of the share of parameters left (Han et al. 2015), with the share itself,
and with none, as `squeeze` trains: MNIST, shifted by a pixel, turned and zoomed, ten passes.
Nothing is said of the test set. One single-threaded process a network.

    python3 benchmarks/cut_dropout.py --run FOLDER [--passes 10] [--seeds 2] [--out FILE]
"""

from __future__ import annotations

import copy
import math
import multiprocessing
from pathlib import Path
from typing import Any

import torch
from shared import options, show
from torch import nn

import maxprune
from maxprune.data.samples import Splits, first_inputs
from maxprune.data.spec import DataOptions, open_data
from maxprune.measure import accuracy, parameters
from maxprune.runs.environment import environment
from maxprune.scores.named import SCORES, Scoring
from maxprune.train import Fitting, derive, train

GOES = (0.5, 0.7, 0.8, 0.9)  # of the channels of each layer
RULES = {
    "as it was": lambda left: 1.0, "square root": math.sqrt, "in proportion": lambda left: left,
    "none": lambda left: 0.0,
}  # fmt: skip


def opened(root: Path | None) -> Splits:
    options = DataOptions(augment=("crop", "turn", "zoom"), shift=1, root=root)
    return open_data("mnist", options)


def compared(work: tuple[Path, float, int, int, Path | None]) -> dict[str, Any]:
    """One size and seed: the accuracy on validation data after every rule."""
    folder, goes, seed, passes, root = work
    torch.set_num_threads(1)
    data, whole = opened(root), maxprune.load(folder / "steps" / "unpruned")
    groups = maxprune.channel_groups(whole, first_inputs(data.train, 1))
    scores = SCORES["taylor"].of(whole, groups, data.train, Scoring(seed=seed))
    cut = maxprune.apply(whole, maxprune.lowest(groups, scores, goes, "each"))
    left = parameters(cut) / parameters(whole)
    fitting = Fitting.of_passes(passes, data.train, 250, batch=128, rate=0.05)
    found = {}
    for name, rule in RULES.items():
        model = copy.deepcopy(cut)
        for layer in model.modules():
            if isinstance(layer, nn.Dropout):
                layer.p *= rule(left)
        train(model, data.train, fitting, derive(seed, "retraining"))
        found[name] = accuracy(model, data.validation)
        print(f"{parameters(cut):,} parameters, seed {seed}, {name}: {found[name]:.2f}", flush=True)
    return {"parameters": parameters(cut), "seed": seed, "validation_accuracy": found}


def main() -> None:
    chosen = options(__doc__, ("run",), passes=10, seeds=2)
    work = [
        (chosen.run, goes, seed, chosen.passes, chosen.data)
        for seed in range(chosen.seeds)
        for goes in GOES
    ]
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        found = pool.map(compared, work, chunksize=1)
    result = {
        "benchmark": "dropout of cut networks", "dataset": "mnist", "passes": chosen.passes,
        "environment": environment(1), "networks": found,
    }  # fmt: skip
    show(result, chosen.out)


if __name__ == "__main__":
    main()
