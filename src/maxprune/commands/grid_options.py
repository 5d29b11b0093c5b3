"""The options that all commands of `maxprune reproduce` share, and the cells that they mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from maxprune.commands.shared import own_folder
from maxprune.errors import UsageError
from maxprune.studies.lenet import NETWORKS, Cell, Network
from maxprune.studies.published import SIZES
from maxprune.studies.recipe import OURS
from maxprune.train import PAPER, Training


def chosen_networks(names: Sequence[str] | None) -> list[Network]:
    """The networks that were named, or both."""
    for name in names or ():
        if name not in NETWORKS:
            raise UsageError(f"--network is one of {', '.join(NETWORKS)}, not {name!r}")
    return [network for network in NETWORKS if not names or network in names]


@dataclass(frozen=True, kw_only=True)
class Repeated:
    """With how many seeds LeNet-5 is trained, on what, and where the results are kept."""

    seeds: Annotated[int, typer.Option(min=1, help="Seeds: 0, 1, ...")] = 3
    jobs: Annotated[
        int, typer.Option(min=0, help="Trainings side by side, one thread each; 0: one a core.")
    ] = 0
    data: Annotated[
        Path | None,
        typer.Option(help="Folder that has mnist/. Default: $MAXPRUNE_DATA, else a download."),
    ] = None
    out: Annotated[Path, typer.Option(callback=own_folder, help="Folder for the results.")] = Path(
        "maxprune-lenet"
    )
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what is in --out.")] = False
    dataset: Annotated[str, typer.Option(help="mnist, or digits for a quick look.")] = "mnist"


@dataclass(frozen=True, kw_only=True)
class Seeded(Repeated):
    """And for how long."""

    iterations: Annotated[int, typer.Option(min=1, help="Iterations of every training.")] = (
        PAPER.iterations
    )


@dataclass(frozen=True, kw_only=True)
class Grid(Seeded):
    """Which cells of the paper's tables, how they are trained, and where they are kept."""

    network: Annotated[
        list[str] | None, typer.Option(help="mfc or mc; may be given twice. Default: both.")
    ] = None
    fc: Annotated[
        list[int] | None,
        typer.Option(help="Neurons of fc1; may be repeated."),
    ] = None
    paper: Annotated[
        bool,
        typer.Option(
            "--paper",
            help="Train to the letter of the paper: the last iteration's weights instead of their "
            "mean over the second half, and weights zeroed all at once before a retraining.",
        ),
    ] = False

    def networks(self) -> list[Network]:
        """The networks that were named, or both."""
        return chosen_networks(self.network)

    def sizes(self) -> list[int]:
        """The numbers of neurons that were named, or all of the paper's; each once."""
        for size in self.fc or ():
            if size < 1:
                raise UsageError(f"--fc is at least 1, not {size}")
        return sorted(set(self.fc or SIZES))

    def training(self) -> Training:
        """The paper's training or ours, for so many iterations."""
        training = PAPER if self.paper else OURS
        return training.model_copy(update={"iterations": self.iterations})

    def cells(
        self, shares: Sequence[float], control: bool, coded: Sequence[tuple[float, int]] = ()
    ) -> list[Cell]:
        """The cells, the largest networks first."""
        how = (tuple(shares), control, tuple(coded), self.training(), self.dataset)
        cells = [
            Cell(network, fc, seed, *how)
            for fc in reversed(self.sizes())
            for seed in range(self.seeds)
            for network in self.networks()
        ]
        for cell in cells:
            if cell.seed == 0:
                cell.recipe().check()
        return cells
