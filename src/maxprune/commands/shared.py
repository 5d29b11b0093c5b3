"""Arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from maxprune.errors import UsageError

Network: TypeAlias = Annotated[
    str,
    typer.Argument(
        help="my_net.py:build, package.module:build (a function without arguments that gives a "
        "torch module), or the folder of a saved model.",
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
Skip: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(help="Layers that are not to be cut: give it again, or join them by commas."),
]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


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


def names(given: list[str] | None) -> tuple[str, ...]:
    """The names of an option that may be repeated, or joined by commas."""
    return tuple(name for part in given or [] for name in part.split(",") if name)
