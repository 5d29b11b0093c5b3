"""`maxprune reproduce`: the paper's tables and figures, the published figures beside ours."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.table import Table

from maxprune.commands.faces import faces_command
from maxprune.commands.grid_options import Grid, chosen_networks
from maxprune.commands.pls import cifar10_command, resnet56_command
from maxprune.commands.rules import rules_command
from maxprune.commands.runtime import runtime_command
from maxprune.commands.shared import (
    AsJson,
    command_line,
    percentage,
    takes,
    tell_if_new,
    terminal,
)
from maxprune.commands.squeezed import squeezed_command
from maxprune.commands.vgg16 import Vgg16, table4_command, tables
from maxprune.errors import UsageError
from maxprune.files import write_json, write_text
from maxprune.naming import as_options
from maxprune.plural import plural
from maxprune.results import Record, Results, TableCell
from maxprune.studies.accounting import Row, accounting, faces_accounting
from maxprune.studies.lenet import Cell
from maxprune.studies.published import SHARES, SIZES
from maxprune.weights.sharing import BITS

reproduce_app = typer.Typer(
    help="Reproduce the papers beside their published figures: table1, table2 and figure1 of Moya "
    "Rueda, Grzeszick, Fink 2017 (LeNet-5 on MNIST), coded (what is left of them, in bytes), "
    "runtime (what they bring in time and memory), rules (other ways to choose neurons), squeeze "
    "(how small they go), table3 and table4 (VGG16 on faces), faces (both with a small network on "
    "Labeled Faces in the Wild); filter pruning with Partial Least Squares, Jordao et al. 2019 "
    "(CIFAR-10).",
    invoke_without_command=True,
    rich_markup_mode=None,
)
reproduce_app.command("faces")(faces_command)
reproduce_app.command("rules")(rules_command)
reproduce_app.command("squeeze")(squeezed_command)
reproduce_app.command("table4")(table4_command)
reproduce_app.command("runtime")(runtime_command)
reproduce_app.command("pls-cifar10")(cifar10_command)
reproduce_app.command("pls-resnet56")(resnet56_command)


@reproduce_app.callback()
def _root(context: typer.Context) -> None:
    context.with_resource(as_options(root="data", batch="jobs"))
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit


@reproduce_app.command("table1")
@takes(Grid, fc=list(SIZES))
def table1_command(
    grid: Grid,
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
    as_json: AsJson = False,
) -> None:
    """Accuracy of LeNet-MFC and LeNet-MC without maxout and at k = 4, 3, 2, 1 (Table 1).

    Beside it stands a control that the paper lacks. The whole grid is hours of work on a CPU;
    --fc 128 --seeds 1 is a start.
    """
    if accounts:
        _print_accounting(accounting(grid.networks(), grid.sizes()), as_json)
        return
    from maxprune.studies.tables import table1

    results = _filled(grid, grid.cells((), control))
    _tabled(grid, "table1", "Table 1: neuron pruning", table1(results), as_json)


@reproduce_app.command("table2")
@takes(Grid, fc=list(SIZES))
def table2_command(
    grid: Grid,
    as_json: AsJson = False,
) -> None:
    """Accuracy at k = 1 with 10 to 98% of the parameters zeroed and retrained (Table 2).

    Takes the networks of table1 from the same --out (with --resume) or trains them.
    """
    from maxprune.studies.tables import table2

    results = _filled(grid, grid.cells(SHARES, control=False))
    _tabled(grid, "table2", "Table 2: weight pruning at k = 1", table2(results), as_json)


@reproduce_app.command("figure1")
@takes(Grid, seeds=1, fc=[512])
def figure1_command(
    grid: Grid,
) -> None:
    """Share of neurons still alive against the share of weights zeroed (Figure 1).

    Takes the networks of table1 and table2 from the same --out (with --resume) or trains them.
    Writes figure1.svg and figure1.json.
    """
    from maxprune.report.grid import alive_plot
    from maxprune.studies.figure1 import curves

    cells = grid.cells(SHARES, control=False)
    results = _filled(grid, cells)
    found = [
        curve
        for cell, result in zip(cells, results, strict=True)
        for curve in curves(cell, grid.out / cell.name, result)
    ]
    _write(grid, "figure1", found)
    write_text(grid.out / "figure1.svg", alive_plot(found))
    console = terminal()
    for curve in found:
        first = next((z for z, a in zip(curve.zeroed, curve.alive, strict=True) if a < 1), None)
        kind = "retrained" if curve.retrained else "thresholds alone"
        says = "none dies" if first is None else f"the first neurons die at {first:.1%} zeroed"
        name = f"{curve.network}-{curve.fc} seed {curve.seed} {curve.step}"
        console.print(f"{name} ({kind}): {says}")
    console.print(f"The plot: {grid.out / 'figure1.svg'}", soft_wrap=True)


@reproduce_app.command("coded")
@takes(Grid, fc=[256, 512])
def coded_command(
    grid: Grid,
    zero: Annotated[
        list[str] | None,
        typer.Option(
            help="Percent of the parameters at k = 1 that are zero; may be repeated. Default: 90 "
            "and 98.",
            show_default=False,
        ),
    ] = None,
    bits: Annotated[
        list[int] | None,
        typer.Option(
            help="Bits of the values that the weights of a layer share, 5 for 32; may be "
            "repeated. Default: 5.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Bytes and errors of LeNet-5 without maxout, at k = 1, with zeros, and in coded files.

    The weights of each layer get 2^bits values, which are trained (Han, Mao, Dally 2015); values
    and gaps between them go into an entropy-coded file. Measured is what the decoder gives back.
    Takes the networks of table1 and table2 from the same --out (with --resume) or trains them.
    """
    from maxprune.report.coded import coded_plot, coded_table
    from maxprune.studies.published import CODED
    from maxprune.studies.tables import coded_cells

    asked = [percentage("zero", share) for share in zero or ("90", "98")]
    shares = sorted({share for share in asked if isinstance(share, float)})
    if len(shares) < len(set(asked)):
        raise UsageError("--zero is a percentage here, not auto")
    coded = [(share, b) for share in shares for b in sorted(set(bits or (BITS,)))]
    results = _filled(grid, grid.cells(shares, control=False, coded=coded))
    cells = coded_cells(results, coded)
    table = coded_table(cells, f"Coded files, LeNet-5 on {grid.dataset}")
    plot = coded_plot(cells, CODED if grid.dataset == "mnist" else {})
    _show(grid, "coded", cells, table, plot, as_json)


@reproduce_app.command("table3")
@takes(Vgg16)
def table3_command(
    given: Vgg16,
    accounts: Annotated[
        bool, typer.Option("--accounting", help="Print the parameters alone; trains nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """EER of VGG16-MFC and VGG16-MC without maxout and at k = 4, 3, 2, 1 (Table 3).

    Begins with the published weights of VGG-Face; fine-tunes its last layers on faces of people
    who are not in LFW; tests on all pairs of View 2. Made for a GPU: VGG16 has 15 billion
    multiply-adds a picture.
    """
    if accounts:
        _print_accounting(faces_accounting(chosen_networks(given.network)), as_json)
        return
    tables(given, "table3", (), as_json)


def _filled(grid: Grid, cells: list[Cell]) -> list[Results]:
    """Every cell's results, with progress."""
    from maxprune.data import load
    from maxprune.report.progress import Steps
    from maxprune.runs.parallel import usual_jobs
    from maxprune.runs.workspace import claimed
    from maxprune.studies.grid import run_grid

    load(grid.dataset, grid.data)  # missing or damaged data is said once, before anything starts
    training = cells[0].training.model_dump()
    identity = {"study": "lenet", "dataset": grid.dataset, "training": training}
    tell_if_new(grid.out, grid.resume)
    jobs = grid.jobs or usual_jobs()
    totals = {c.name: c.recipe().trainings() * grid.iterations for c in cells}
    title = plural(len(cells), "cell")
    with (
        claimed(grid.out, identity, grid.resume),
        Steps(terminal(stderr=True), sum(totals.values()), title) as steps,
    ):
        return run_grid(
            cells, grid.out, grid.data, jobs, lambda cell, done: steps.of(totals, cell.name, done)
        )


def _tabled(grid: Grid, name: str, title: str, cells: Sequence[TableCell], as_json: bool) -> None:
    """Show a table of the paper's."""
    from maxprune.report.grid import grid_plot, grid_table

    table = grid_table(cells, f"{title}, LeNet-5 on {grid.dataset}")
    _show(grid, name, cells, table, grid_plot(cells), as_json)


def _show(
    grid: Grid, name: str, cells: Sequence[TableCell], table: Table, plot: str, as_json: bool
) -> None:
    """Write the records, the plot and the table, and print the table or the records."""
    from maxprune.report.plain import as_text

    _write(grid, name, cells)
    write_text(grid.out / f"{name}.svg", plot)
    write_text(grid.out / f"{name}.txt", as_text(table))
    if as_json:
        print(json.dumps([cell.model_dump(mode="json") for cell in cells], indent=1))
        return
    console = terminal()
    console.print(table)
    console.print(f"Written: {grid.out / name}.json, .txt and .svg", soft_wrap=True)


def _write(grid: Grid, name: str, records: Sequence[Record]) -> None:
    about = {
        "format": 1,
        "study": name,
        "dataset": grid.dataset,
        "command": command_line(),
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
    terminal().print(table)
