"""The paper's networks on MNIST: LeNet-MFC and LeNet-MC (section 5.1), one cell at a time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch

from maxprune.data import load
from maxprune.errors import UsageError
from maxprune.networks import lenet5
from maxprune.results import Results
from maxprune.runs.environment import environment
from maxprune.runs.workspace import Workspace
from maxprune.studies.pipeline import Pipeline, Report
from maxprune.studies.recipe import OURS, Recipe
from maxprune.train import PAPER, Training

Network = Literal["mfc", "mc"]
NETWORKS: tuple[Network, ...] = ("mfc", "mc")
K = 4


@dataclass(frozen=True)
class Cell:
    """One cell of the grid: a network, its size, a seed, and what is done with it."""

    network: Network
    fc: int
    seed: int
    shares: tuple[float, ...] = ()
    control: bool = True
    coded: tuple[tuple[float, int], ...] = ()
    training: Training = OURS
    dataset: str = "mnist"

    @property
    def name(self) -> str:
        """The cell's name in files: "mfc-512-seed0"."""
        return f"{self.network}-{self.fc}-seed{self.seed}"

    def recipe(self) -> Recipe:
        """The run of the method that fills this cell."""
        return Recipe(
            network=f"lenet-{self.network}-{self.fc}",
            build=partial(lenet5, **arguments(self.network, self.fc)),
            layer=maxout_layer(self.network),
            k=K, shares=self.shares, training=self.training, seed=self.seed, control=self.control,
            coded=self.coded,
        )  # fmt: skip

    def command(self) -> str:
        """A command line that fills this cell, and those of the seeds before it."""
        table = "coded" if self.coded else "table2" if self.shares else "table1"
        options = [f"--network {self.network} --fc {self.fc} --seeds {self.seed + 1}"]
        options.append(f"--iterations {self.training.iterations}")
        if self.dataset != "mnist":
            options.append(f"--dataset {self.dataset}")
        if self.training.average == PAPER.average:
            options.append("--paper")
        shares, numbers = zip(*self.coded, strict=True) if self.coded else ((), ())
        options += [f"--zero {100 * share:g}" for share in dict.fromkeys(shares)]
        options += [f"--bits {bits}" for bits in dict.fromkeys(numbers)]
        if not self.shares and not self.control:
            options.append("--no-control")
        return f"maxprune reproduce {table} {' '.join(options)}"

    def identity(self) -> dict[str, Any]:
        """What makes this run this run; steps may be added to it, none of it may change."""
        return {
            "study": "lenet", "dataset": self.dataset, "network": self.network, "fc": self.fc,
            "seed": self.seed, "k": K, "training": self.training.model_dump(),
        }  # fmt: skip


def arguments(network: Network, fc: int) -> dict[str, Any]:
    """Arguments of `lenet5` for the network without maxout.

    LeNet-MC has 52 filters in conv2, so that 4 divides them; its baseline has 52 too. The dropout
    stands where the maxout will, in front of it.
    """
    if network == "mfc":
        return {"fc": fc, "conv": [20, 50], "dropout": "fc"}
    return {"fc": fc, "conv": [20, 52], "dropout": "conv"}


def maxout_layer(network: Network) -> str:
    """The layer behind which the maxout stands."""
    if network not in NETWORKS:
        raise UsageError(f"the networks are {' and '.join(NETWORKS)}, not {network!r}")
    return "fc1" if network == "mfc" else "conv2"


def run_cell(cell: Cell, folder: Path, root: Path | None, report: Report | None = None) -> Results:
    """Fill one cell, going on where an earlier run of it was.

    Args:
        cell: which.
        folder: its folder; finished steps are kept there.
        root: where the datasets lie.
        report: called as the training goes on.
    """
    data = load(cell.dataset, root)
    about = environment(torch.get_num_threads())
    with Workspace(folder, cell.identity(), resume=True, wait=True) as space:
        pipeline = Pipeline(cell.recipe(), data, space, report)
        return pipeline.run("lenet", about, cell.command()).results
