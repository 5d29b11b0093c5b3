"""`maxprune bench`: networks side by side while they run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from maxprune.commands.shared import AsJson, Factory, Kind, names, numbers_of, shape, show, terminal
from maxprune.errors import UsageError
from maxprune.naming import as_options


def bench_command(
    networks: Annotated[
        list[str],
        typer.Argument(
            metavar="NETWORK...",
            help="The first is what the others are compared with. Saved models (folder or file), "
            "coded files, ONNX files, my_net.py:build, package.module:build; NAME=NETWORK gives "
            "one a name for the table.",
            show_default=False,
        ),
    ],
    input_shape: Annotated[
        str | None,
        typer.Option(
            "--input", help="Shape of one input without the batch: 3,32,32. ONNX files know theirs."
        ),
    ] = None,
    batch: Annotated[
        list[int] | None,
        typer.Option(
            help="Samples in a forward pass; give it again for more. Default: 1 and 64.",
            show_default=False,
        ),
    ] = None,
    engine: Annotated[
        list[str] | None,
        typer.Option(
            help="torch, compiled (torch.compile), onnx (ONNX Runtime), sparse (compressed sparse "
            "rows, for a network with zeros): give it again, or join them by commas. Default: all "
            "that the networks have.",
            show_default=False,
        ),
    ] = None,
    threads: Annotated[int, typer.Option(help="Threads of every engine.")] = 1,
    seconds: Annotated[
        float, typer.Option(help="For each network, engine and batch, at least 3 passes a round.")
    ] = 2.0,
    rounds: Annotated[int, typer.Option(help="In each of them all networks have a turn.")] = 5,
    device: Annotated[
        str, typer.Option(help="cpu, cuda (timed by events on the device), or auto.")
    ] = "auto",
    kind: Kind = "float",
    weights: Annotated[
        Path | None,
        typer.Option(help="A file of weights to fill into those that a function builds."),
    ] = None,
    factory: Factory = None,
    as_json: AsJson = False,
) -> None:
    """Measure networks side by side while they run: latency, throughput, memory, file; ratios last.

    Each network has a process of its own in every engine, and all take turns, so what disturbs the
    machine disturbs all alike. Says in words where fewer MACs brought no speed, and why.

    maxprune bench maxprune-out/steps/unpruned maxprune-out/model --input 3,32,32
    """
    from maxprune.report.progress import Steps
    from maxprune.report.runtime import benched_parts
    from maxprune.runtime import Bench, bench
    from maxprune.runtime.engines import Source
    from maxprune.store.source import is_built

    built = {place: is_built(place, None) for _, place in _named(networks)}
    sources = {
        name: Source(name, place, *((weights, None) if built[place] else (None, factory)))
        for name, place in _named(networks)
    }
    if len(sources) < len(networks):
        raise UsageError("two networks have the same name; give one another: NAME=NETWORK")
    with as_options(batches="batch", engines="engine"):
        settings = Bench(
            batches=tuple(batch or (1, 64)), engines=names("engine", engine),  # type: ignore[arg-type]
            threads=threads, seconds=seconds, rounds=rounds, device=device,  # type: ignore[arg-type]
        )  # fmt: skip
    numbers = numbers_of(kind)
    with Steps(terminal(stderr=True), None, "bench", "step") as steps:
        found = bench(
            sources, shape(input_shape) if input_shape else None, settings, numbers,
            lambda what, done, total: steps.report(what, done, total),
        )  # fmt: skip
    show(found, lambda: benched_parts(found), as_json)


def _named(networks: list[str]) -> list[tuple[str, str]]:
    """Each network with its name: what stands before "=", or the end of its own name."""
    pairs = [given.partition("=") for given in networks]
    places = [
        (name, place) if equals and not Path(given).exists() else ("", given)
        for given, (name, equals, place) in zip(networks, pairs, strict=True)
    ]
    parts = [re.split(r"[/:\\]", place.rstrip("/")) for _, place in places]
    for count in range(1, max(map(len, parts)) + 1):
        tails = ["/".join(part[-count:]) for part in parts]
        if len(set(tails)) == len(tails):
            break
    return [(name or tail, place) for (name, place), tail in zip(places, tails, strict=True)]
