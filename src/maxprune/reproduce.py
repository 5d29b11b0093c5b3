"""`maxprune reproduce`: the paper's tables and figures, the published figures beside ours."""

from __future__ import annotations

import io
import json
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from maxprune.errors import UsageError
from maxprune.files import write_json, write_text
from maxprune.results import Record, Results, TableCell
from maxprune.studies.accounting import Row, accounting
from maxprune.studies.lenet import NETWORKS, Cell, Network
from maxprune.studies.published import SHARES, SIZES
from maxprune.train import PAPER

reproduce_app = typer.Typer(
    help="Reproduce Moya Rueda, Grzeszick, Fink 2017: LeNet-5 on MNIST, beside the published "
    "figures.",
    invoke_without_command=True,
    rich_markup_mode=None,
)

Networks = Annotated[
    list[str] | None,
    typer.Option("--network", help="mfc or mc; may be given twice. Default: both."),
]
Sizes = Annotated[
    list[int] | None,
    typer.Option("--fc", help="Neurons of fc1; may be repeated. Default: 128, 256, 512."),
]
Iterations = Annotated[int, typer.Option(help="Iterations of every training.")]
Seeds = Annotated[int, typer.Option(help="Seeds per cell: 0, 1, ...")]
Jobs = Annotated[int, typer.Option(help="Cells side by side, one thread each; 0: one a core.")]
Data = Annotated[
    Path | None,
    typer.Option(help="Folder that has mnist/. Default: $MAXPRUNE_DATA, else a download."),
]
Out = Annotated[Path, typer.Option(help="Folder for the results; all three share one.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with what is in --out.")]
Average = Annotated[
    float,
    typer.Option(
        help="A trained network is the mean of its weights over this last share of the "
        "iterations; 0 takes the last iteration's, as the paper does."
    ),
]
Dataset = Annotated[str, typer.Option(help="mnist, or digits for a quick look.")]
OUT = Path("maxprune-lenet")


@dataclass(frozen=True)
class Grid:
    """What the three commands have in common."""

    networks: list[Network]
    sizes: list[int]
    iterations: int = PAPER.iterations
    seeds: int = 3
    jobs: int = 0
    data: Path | None = None
    out: Path = OUT
    resume: bool = False
    average: float = PAPER.average
    dataset: str = "mnist"

    def cells(self, shares: Sequence[float], control: bool) -> list[Cell]:
        """The cells, the largest networks first."""
        for name in ("iterations", "seeds"):
            if getattr(self, name) < 1:
                raise UsageError(f"--{name} is at least 1, not {getattr(self, name)}")
        if self.jobs < 0:
            raise UsageError(f"--jobs is at least 1, or 0 for one a core, not {self.jobs}")
        if not 0 <= self.average <= 1:
            raise UsageError(f"--average is a share between 0 and 1, not {self.average}")
        update = {"iterations": self.iterations, "average": self.average}
        training = PAPER.model_copy(update=update)
        cells = [
            Cell(network, fc, seed, tuple(shares), control, training, self.dataset)
            for fc in sorted(self.sizes, reverse=True)
            for seed in range(self.seeds)
            for network in self.networks
        ]
        for cell in cells:
            if cell.seed == 0:
                cell.recipe().check()
        return cells


def _networks(names: list[str] | None) -> list[Network]:
    for name in names or ():
        if name not in NETWORKS:
            raise UsageError(f"--network is one of {', '.join(NETWORKS)}, not {name!r}")
    return [n for n in NETWORKS if not names or n in names]


def _sizes(sizes: list[int] | None) -> list[int]:
    for size in sizes or ():
        if size < 1:
            raise UsageError(f"--fc is at least 1, not {size}")
    return list(dict.fromkeys(sizes or SIZES))


@reproduce_app.callback()
def _root(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit


@reproduce_app.command("table1")
def table1_command(
    network: Networks = None,
    fc: Sizes = None,
    iterations: Iterations = PAPER.iterations,
    seeds: Seeds = 3,
    jobs: Jobs = 0,
    data: Data = None,
    out: Out = OUT,
    resume: Resume = False,
    average: Average = PAPER.average,
    dataset: Dataset = "mnist",
    control: Annotated[
        bool,
        typer.Option(
            "--control/--no-control",
            help="Also train the k = 1 network from random weights for as many iterations.",
        ),
    ] = True,
    accounts: Annotated[
        bool, typer.Option("--accounting", help="Print the parameters alone; trains nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Accuracy of LeNet-MFC and LeNet-MC without maxout and at k = 4, 3, 2, 1 (Table 1).

    Beside it stands a control that the paper lacks. The whole grid is hours of work on a CPU;
    --fc 128 --seeds 1 is a start.
    """
    if accounts:
        _print_accounting(accounting(_networks(network), sorted(_sizes(fc))), as_json)
        return
    from maxprune.studies.tables import table1

    grid = Grid(
        _networks(network), _sizes(fc), iterations, seeds, jobs, data, out, resume, average, dataset
    )
    results = _filled(grid, grid.cells((), control))
    _show(grid, "table1", "Table 1: neuron pruning", table1(results), as_json)


@reproduce_app.command("table2")
def table2_command(
    network: Networks = None,
    fc: Sizes = None,
    iterations: Iterations = PAPER.iterations,
    seeds: Seeds = 3,
    jobs: Jobs = 0,
    data: Data = None,
    out: Out = OUT,
    resume: Resume = False,
    average: Average = PAPER.average,
    dataset: Dataset = "mnist",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Accuracy at k = 1 with 10 to 98% of the parameters zeroed and retrained (Table 2).

    Takes the networks of table1 from the same --out (with --resume) or trains them.
    """
    from maxprune.studies.tables import table2

    grid = Grid(
        _networks(network), _sizes(fc), iterations, seeds, jobs, data, out, resume, average, dataset
    )
    results = _filled(grid, grid.cells(SHARES, control=False))
    _show(grid, "table2", "Table 2: weight pruning at k = 1", table2(results), as_json)


@reproduce_app.command("figure1")
def figure1_command(
    network: Networks = None,
    fc: Sizes = None,
    iterations: Iterations = PAPER.iterations,
    seeds: Seeds = 1,
    jobs: Jobs = 0,
    data: Data = None,
    out: Out = OUT,
    resume: Resume = False,
    average: Average = PAPER.average,
    dataset: Dataset = "mnist",
) -> None:
    """Share of neurons still alive against the share of weights zeroed (Figure 1).

    Takes the networks of table1 and table2 from the same --out (with --resume) or trains them.
    Writes figure1.svg and figure1.json.
    """
    from maxprune.report.grid import alive_plot
    from maxprune.studies.figure1 import curves

    grid = Grid(
        _networks(network), _sizes(fc or [512]), iterations, seeds, jobs, data, out, resume,
        average, dataset,
    )  # fmt: skip
    cells = grid.cells(SHARES, control=False)
    results = _filled(grid, cells)
    found = [
        curve
        for cell, result in zip(cells, results, strict=True)
        for curve in curves(cell, out / cell.name, result)
    ]
    _write(grid, "figure1", found)
    write_text(out / "figure1.svg", alive_plot(found))
    console = Console()
    for curve in found:
        first = next((z for z, a in zip(curve.zeroed, curve.alive, strict=True) if a < 1), None)
        kind = "retrained" if curve.retrained else "thresholds alone"
        says = "none dies" if first is None else f"the first neurons die at {first:.1%} zeroed"
        name = f"{curve.network}-{curve.fc} seed {curve.seed} {curve.step}"
        console.print(f"{name} ({kind}): {says}", highlight=False)
    console.print(f"The plot: {out / 'figure1.svg'}", highlight=False, soft_wrap=True)


def _filled(grid: Grid, cells: list[Cell]) -> list[Results]:
    """Every cell's results, with progress."""
    from maxprune.data import load
    from maxprune.report.progress import Steps
    from maxprune.studies.grid import run_grid
    from maxprune.studies.workspace import claim

    load(grid.dataset, grid.data)  # missing or damaged data is said once, before anything starts
    training = cells[0].training.model_dump()
    identity = {"study": "lenet", "dataset": grid.dataset, "training": training}
    claim(grid.out, identity, grid.resume)
    jobs = grid.jobs or os.cpu_count() or 1
    totals = {c.name: c.recipe().trainings() * grid.iterations for c in cells}
    with Steps(Console(stderr=True), sum(totals.values()), f"{len(cells)} cells") as steps:
        return run_grid(
            cells, grid.out, grid.data, jobs,
            lambda cell, done: steps.report(cell.name, min(done, totals[cell.name]),
                                            totals[cell.name]),
        )  # fmt: skip


def _show(grid: Grid, name: str, title: str, cells: Sequence[TableCell], as_json: bool) -> None:
    from maxprune.report.grid import grid_plot, grid_table

    _write(grid, name, cells)
    write_text(grid.out / f"{name}.svg", grid_plot(cells))
    if as_json:
        print(json.dumps([cell.model_dump(mode="json") for cell in cells], indent=1))
        return
    table = grid_table(cells, f"{title}, LeNet-5 on {grid.dataset}")
    plain = Console(width=100, record=True, file=io.StringIO())
    plain.print(table)
    write_text(grid.out / f"{name}.txt", plain.export_text())
    console = Console()
    console.print(table)
    console.print(
        f"Written: {grid.out / name}.json, .txt and .svg", highlight=False, soft_wrap=True
    )


def _write(grid: Grid, name: str, records: Sequence[Record]) -> None:
    about = {
        "format": 1,
        "study": name,
        "dataset": grid.dataset,
        "command": shlex.join(["maxprune", *sys.argv[1:]]),
        "records": [record.model_dump(mode="json") for record in records],
    }
    write_json(grid.out / f"{name}.json", about)


def _print_accounting(rows: list[Row], as_json: bool) -> None:
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    table = Table(title="Parameters, biases counted", title_justify="left", box=None)
    for header in ("network", "fc", "k", "baseline", "parameters", "removed %"):
        table.add_column(header, justify="right")
    for row in rows:
        table.add_row(
            row["network"], str(row["fc"]), str(row["k"]), f"{row['baseline']:,}",
            f"{row['parameters']:,}", f"{100 * (1 - row['parameters'] / row['baseline']):.2f}",
        )  # fmt: skip
    Console().print(table)
