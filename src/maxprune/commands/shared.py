"""Arguments that several commands share."""

from __future__ import annotations

import functools
import inspect
import shlex
import sys
from collections.abc import Callable, Iterable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, get_type_hints

import typer
from rich.console import Console, RenderableType

from maxprune.errors import UsageError
from maxprune.records import Checked

if TYPE_CHECKING:
    from torch import Tensor, nn

Network: TypeAlias = Annotated[
    str,
    typer.Argument(
        help="my_net.py:build, package.module:build (a function without arguments that gives a "
        "torch module), a saved model (folder or .maxprune file), or a coded file (.mxp).",
        show_default=False,
    ),
]
Input: TypeAlias = Annotated[
    str,
    typer.Option(
        "--input", help="Shape of one input without the batch: 3,32,32.", show_default=False
    ),
]
Weights: TypeAlias = Annotated[
    Path | None,
    typer.Option(help="A .safetensors file or a state dict saved by torch, to fill in."),
]
Factory: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help="my_net.py:build, the function that built a saved model, where it is not under "
        "@maxprune.factory or lies in another folder."
    ),
]
Skip: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(help="Layers that are not to be cut: give it again, or join them by commas."),
]
Heads: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        help="Attention modules whose heads may be cut as wholes (by a score, not by a maxout)."
    ),
]
Kind: TypeAlias = Annotated[
    str, typer.Option(help="Numbers of the random inputs: float, or int for embeddings.")
]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def own_folder(out: Path) -> Path:
    """Where this process writes: of several the first alone into the folder that was named.

    All of them know which run is in it.
    """
    from maxprune.distributed.world import world

    place = world().own(out)
    world().mirror(place / "run.json")
    return place


Out: TypeAlias = Annotated[Path, typer.Option(callback=own_folder, help="Folder for the results.")]


def shape(text: str) -> tuple[int, ...]:
    """The sizes of "3,32,32" or "3x32x32".

    Raises:
        UsageError: they are not whole numbers from 1.
    """
    try:
        sizes = tuple(int(part) for part in text.replace("x", ",").split(","))
    except ValueError:
        sizes = (0,)
    if min(sizes) < 1:
        raise UsageError(f"--input is a row of whole numbers from 1, such as 3,32,32, not {text!r}")
    return sizes


def numbers_of(kind: str, random: bool = True) -> Literal["float", "int"]:
    """The numbers that --kind names.

    Args:
        kind: as it was given.
        random: whether there are random inputs, which alone it is for.

    Raises:
        UsageError: it names others, or there are none.
    """
    if kind not in ("float", "int"):
        raise UsageError(f"--kind is float or int, not {kind!r}")
    if kind == "int" and not random:
        raise UsageError("--kind int is for the random inputs of --input, without --data")
    return "int" if kind == "int" else "float"


def random_inputs(model: nn.Module, text: str, kind: Literal["float", "int"]) -> Tensor:
    """Random inputs of the shape "3,32,32", as many as a file is checked on."""
    from maxprune.inputs import check_kind, example_inputs
    from maxprune.store.same import CHECKED

    x = example_inputs(model, shape(text), kind, CHECKED)
    check_kind(model, x)
    return x


def check_file(out: Path, example: Path) -> None:
    """Refuse an --out that is a folder, or ends otherwise than the example.

    Raises:
        UsageError: it does.
    """
    if out.is_dir():
        raise UsageError(f"{out} is a folder; --out is a file, such as {example}")
    if out.suffix != example.suffix:
        raise UsageError(f"--out ends in {example.suffix}, such as {example}, not {out}")


def names(option: str, given: list[str] | None) -> tuple[str, ...]:
    """The names of an option that may be repeated, or joined by commas.

    Raises:
        UsageError: one is empty.
    """
    found = tuple(name.strip() for part in given or [] for name in part.split(","))
    if not all(found):
        raise UsageError(f"--{option} is a row of names such as a,b, not {','.join(given or [])!r}")
    return found


def numbers(name: str, text: str | None, example: str = "0.485,0.456,0.406") -> tuple[float, ...]:
    """The numbers of a row such as the example; none for None.

    Raises:
        UsageError: they are no numbers.
    """
    try:
        return tuple(float(part) for part in text.split(",")) if text else ()
    except ValueError:
        raise UsageError(f"--{name} is a row of numbers such as {example}, not {text!r}") from None


def percentage(name: str, text: str | None) -> float | Literal["auto"] | None:
    """A share from a percentage; "auto" and None as they are.

    Raises:
        UsageError: it is not between 0 and 100, or looks like a share (0.7 for 70).
    """
    if text is None or text == "auto":
        return text  # type: ignore[return-value]
    return _share(name, text, "'auto'")


def zeros(text: str | None) -> float | Literal["auto", "most"] | None:
    """What --zero says: a `percentage`, or "most"."""
    if text is None or text in ("auto", "most"):
        return text  # type: ignore[return-value]
    return _share("zero", text, "'auto' or 'most'")


def _share(name: str, text: str, words: str) -> float:
    """A share from a percentage; `words` may stand in its place."""
    try:
        percent = float(text.removesuffix("%"))
    except ValueError:
        percent = -1.0
    if 0 < percent < 1 and not text.endswith("%"):
        raise UsageError(f"--{name} is a percentage: {100 * percent:g}, not {text}")
    if not 0 < percent < 100:
        raise UsageError(f"--{name} is a percentage between 0 and 100 or {words}, not {text!r}")
    return percent / 100


def few_bits(text: str | None) -> int | Literal["fewest"] | None:
    """A number of bits, "fewest" or None.

    Raises:
        UsageError: it is something else.
    """
    if text is None or text == "fewest":
        return text  # type: ignore[return-value]
    if not text.isdecimal():
        raise UsageError(f"--bits is a whole number or 'fewest', not {text!r}")
    return int(text)


def terminal(stderr: bool = False) -> Console:
    """The terminal, which shows names and messages as they are.

    Args:
        stderr: the error stream, for what is no result.
    """
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)


def show(found: Checked, parts: Callable[[], Iterable[RenderableType]], as_json: bool) -> None:
    """Print what was found: as JSON, or its tables."""
    if as_json:
        typer.echo(found.model_dump_json(indent=1))
        return
    console = terminal()
    for part in parts():
        console.print(part)


def loading(path: Path, model: nn.Module) -> str:
    """How a network that was written is opened in Python."""
    from maxprune.lineage import is_marked, lineage

    build = lineage(model).factory.rpartition(":")[2]
    given = "" if is_marked(model) else f", factory={build}"
    return f"maxprune.load({str(path)!r}{given})"


def tell_if_new(out: Path, resume: bool) -> None:
    """Say that a run begins anew, where the user wants one to go on and there is none."""
    from maxprune.runs.alone import is_empty

    if resume and is_empty(out):
        says = f"there is nothing in {out} to go on with; a new run begins"
        terminal(stderr=True).print(says, soft_wrap=True)


def command_line() -> str:
    """The command as it was typed, for the results file."""
    return shlex.join(["maxprune", *sys.argv[1:]])


def takes(
    kind: type[Any], **defaults: object
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the fields of a dataclass as options, in front of its own; it gets one record.

    What has no default comes first, then what the dataclass has itself, then what it inherits.

    Args:
        kind: a dataclass whose fields are annotated with typer's options.
        defaults: those of this command, where they differ from the dataclass's.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        hints = get_type_hints(kind, include_extras=True)
        given = inspect.signature(kind).parameters.values()
        shared = sorted(
            (option.replace(annotation=hints[option.name]) for option in given),
            key=lambda p: 0 if p.default is p.empty else 1 if p.name in vars(kind) else 2,
        )
        own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
        options = [
            option.replace(
                kind=inspect.Parameter.KEYWORD_ONLY,
                default=defaults.get(option.name, option.default),
            )
            for option in (*shared, *own)
        ]

        @functools.wraps(command)
        def taken(**values: Any) -> None:
            record = kind(**{field.name: values.pop(field.name) for field in fields(kind)})
            command(record, **values)

        del taken.__wrapped__
        taken.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
        taken.__annotations__ = {option.name: option.annotation for option in options}
        return taken

    return decorate
