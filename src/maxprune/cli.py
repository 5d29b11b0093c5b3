"""The command line: a thin shell over the library."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn, TextIO

import typer

from maxprune._version import __version__
from maxprune.commands.shared import Out, command_line, percentage, tell_if_new, terminal
from maxprune.commands.together import in_turn, rank, together
from maxprune.commands.verify import faces_app, verify_command
from maxprune.errors import MaxpruneError, OutOfMemory, Remark, UsageError
from maxprune.interrupts import asked_to_end
from maxprune.naming import as_options
from maxprune.plural import plural

# click's UsageError, wherever this version of typer keeps it (newer ones have their own copy).
_USAGE: type[Any] = typer.BadParameter.__base__ or typer.BadParameter

RESUMED = {"demo", "compress", "squeeze", "compare", "reproduce"}
"""The commands that go on where they were, and that several processes can do together."""

WHOLE = {"convert", "quantize", "faces"}
"""The commands that write their file at the end, whole, or leave all as it was."""

# What typer gives for Ctrl-C, and what a shell expects of it.
_INTERRUPTED = 130

app = typer.Typer(
    help="Make a PyTorch network physically smaller, prove that it is no worse, "
    "and get a file that just opens.",
    add_completion=False,
    invoke_without_command=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
try:
    from maxprune.commands.bench import bench_command
    from maxprune.commands.code import code_command
    from maxprune.commands.compare import compare_command
    from maxprune.commands.compress import compress_command
    from maxprune.commands.convert import convert_command
    from maxprune.commands.diff import diff_command
    from maxprune.commands.inspect import inspect_command
    from maxprune.commands.quantize import quantize_command
    from maxprune.commands.reproduce import reproduce_app
    from maxprune.commands.squeeze import squeeze_command
except ModuleNotFoundError as missing:
    if missing.name != "torch":
        raise
    app.info.help = "torch is not installed: nothing but verify and faces works."
else:
    app.command("inspect")(inspect_command)
    app.command("compress")(compress_command)
    app.command("squeeze")(squeeze_command)
    app.command("compare")(compare_command)
    app.command("code")(code_command)
    app.command("quantize")(quantize_command)
    app.command("convert")(convert_command)
    app.command("bench")(bench_command)
    app.command("diff")(diff_command)
    app.add_typer(reproduce_app, name="reproduce")
app.command("verify")(verify_command)
app.add_typer(faces_app, name="faces")


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"maxprune {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit


@app.command()
def demo(
    out: Out = Path("maxprune-demo"),
    fc: Annotated[int, typer.Option(help="Neurons of the hidden layer fc1.")] = 512,
    layer: Annotated[str, typer.Option(help="Layer behind which the maxout goes.")] = "fc1",
    k: Annotated[int, typer.Option(help="Neurons per maxout unit, at least 2.")] = 4,
    weights: Annotated[
        str,
        typer.Option(
            help="Percent of parameters to zero at the end, or 'auto': the largest share that "
            "costs nothing on a validation split."
        ),
    ] = "70",
    iterations: Annotated[int, typer.Option(help="Iterations of every training.")] = 400,
    bits: Annotated[
        int, typer.Option(help="The weights of a layer share 2^bits values in the coded file.")
    ] = 5,
    seed: Annotated[int, typer.Option(help="Seed of weights, order and dropout.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run in --out.")] = False,
) -> None:
    """Prune LeNet-5 on scikit-learn's digits, in under a minute and without any download.

    Trains the network without and with a maxout over k = 4 neurons, removes the least winning
    neuron of every unit until one is left, retrains after each, then zeroes 70% of the
    parameters, and lets the weights of each layer share 32 values in a coded file. Prints a table
    and writes results.json, report.html (open it in a browser), the saved model (model/, for
    maxprune.load), model.onnx and model.mxp, the coded file.
    """
    from maxprune.report import steps_table
    from maxprune.report.progress import Steps
    from maxprune.studies.demo import Demo, run_demo

    console = terminal()
    share = percentage("weights", weights)
    share = None if share == "auto" else share
    plan = Demo(fc, layer, k, share, _positive("iterations", iterations), seed, bits)
    recipe = plan.recipe()
    recipe.check()
    tell_if_new(out, resume)
    everything = recipe.trainings() * iterations
    with Steps(console, everything, "all steps") as steps, as_options(batch="fc"):
        finished = run_demo(plan, out, resume, command_line(), steps.report, steps.finished)
    console.print(steps_table(finished.results))
    console.print(f"\nThe page: {out / 'report.html'}", soft_wrap=True)
    console.print(
        f"The network: maxprune.load({str(out / 'model')!r}), {out / 'model.onnx'} anywhere, or "
        f"{out / 'model.mxp'}, {plural((out / 'model.mxp').stat().st_size, 'byte')}",
        soft_wrap=True,
    )


def _positive(name: str, value: int) -> int:
    if value < 1:
        raise UsageError(f"--{name} is at least 1, not {value}")
    return value


def _shown(
    message: Warning | str, category: type[Warning], filename: str, lineno: int,
    file: TextIO | None = None, line: str | None = None,
) -> None:  # fmt: skip
    """Say a remark in one line, and other warnings as Python does."""
    says = f"maxprune: {message}"
    if not issubclass(category, Remark):
        says = warnings.formatwarning(message, category, filename, lineno, line).rstrip()
    print(says, file=file or sys.stderr)


def main() -> None:
    """Run the command line; errors are one line and exit code 2, Ctrl-C 130, SIGTERM 143."""
    warnings.showwarning = _shown
    with asked_to_end() as heard:
        code: object = _INTERRUPTED
        try:
            options = as_options(root="data_root", size="input", input_shape="input")
            with options, together(sys.argv[1:], RESUMED):
                code = app(standalone_mode=False)
        except (KeyboardInterrupt, typer.Abort):
            pass
        except Exception as error:
            if not heard:  # else somebody caught the interrupt, and failed of it
                _refused(error)
        if heard or code == _INTERRUPTED:
            _stopped(heard)
        sys.exit(code if isinstance(code, int) else 0)


def _stopped(heard: Sequence[int]) -> NoReturn:
    on = ""
    if {*sys.argv[1:2]} & RESUMED:
        on = "; go on with the same command and --resume"
    elif {*sys.argv[1:2]} & WHOLE:
        on = "; nothing was changed: start the same command again"
    if not rank():
        print(f"maxprune: stopped{on}", file=sys.stderr)
    sys.exit(128 + heard[0] if heard else _INTERRUPTED)


def _refused(error: Exception) -> NoReturn:
    """Say in one line what the user can do something about."""
    if isinstance(error, _USAGE):
        context = getattr(error, "ctx", None)
        where = context.command_path if context else "maxprune"
        _fail(f"{error.format_message()} (see {where} --help)")
    if isinstance(error, MaxpruneError):
        _fail(str(error))
    if isinstance(error, OSError):
        if error.errno == errno.EPIPE:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        _fail(f"{error.filename or 'a file'}: {error.strerror or error}")
    says = _explained(error)
    if says is not None:
        _fail(str(says))
    raise error


def _explained(error: Exception) -> MaxpruneError | None:
    """What the machine did to a command, where that is it; torch need not be there."""
    if "torch" not in sys.modules:
        return OutOfMemory("out of memory") if isinstance(error, MemoryError) else None
    from maxprune.faults import explained

    with as_options():
        return explained(error)


def _fail(message: str) -> NoReturn:
    line = " ".join(message.split())
    with contextlib.suppress(KeyboardInterrupt):
        print(f"maxprune: {in_turn(line)}", file=sys.stderr)
    sys.exit(2)
