"""`maxprune inspect`: what is in a network and what can be cut."""

from __future__ import annotations

from typing import Annotated

import typer

from maxprune.commands.shared import (
    AsJson,
    Factory,
    Heads,
    Input,
    Kind,
    Network,
    Skip,
    Weights,
    names,
    numbers_of,
    shape,
    show,
)


def inspect_command(
    network: Network,
    input_shape: Input,
    weights: Weights = None,
    factory: Factory = None,
    skip: Skip = None,
    heads: Heads = None,
    kind: Kind = "float",
    every: Annotated[
        bool,
        typer.Option("--all", help="Show every place for a maxout, and why the others are none."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """What each layer costs, which can be cut and why not the others, where a maxout pays.

    Works without data and without training: the network runs a few times on random inputs, and
    everything that is said to be cuttable is cut for trial.

    maxprune inspect my_net.py:build --input 3,32,32
    """
    from maxprune.inspection import inspect
    from maxprune.report.inspection import inspection_tables
    from maxprune.store.source import open_network

    size = shape(input_shape)
    found = inspect(
        open_network(network, weights, factory),
        size,
        names("skip", skip),
        names("heads", heads),
        numbers_of(kind),
    )
    show(found, lambda: inspection_tables(found, every), as_json)
