"""`maxprune bench`: networks side by side while they run."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maxprune.commands.shared import AsJson, Factory, Kind, numbers_of, shape, show, takes, terminal
from maxprune.commands.timing_options import Timed
from maxprune.errors import UsageError

if TYPE_CHECKING:
    from maxprune.runtime.engines import Source


@dataclass(frozen=True, kw_only=True)
class Asked(Timed):
    """The options of the command."""

    networks: Annotated[
        list[str],
        typer.Argument(
            metavar="NETWORK...",
            help="The first is what the others are compared with. Saved models (folder or file), "
            "coded files, ONNX files, my_net.py:build, package.module:build; NAME=NETWORK gives "
            "one a name for the table.",
            show_default=False,
        ),
    ]
    input_shape: Annotated[
        str | None,
        typer.Option(
            "--input", help="Shape of one input without the batch: 3,32,32. ONNX files know theirs."
        ),
    ] = None
    batch: Annotated[
        list[int] | None,
        typer.Option(
            help="Samples in a forward pass; give it again for more. Default: 1 and 64.",
            show_default=False,
        ),
    ] = None
    kind: Kind = "float"
    weights: Annotated[
        Path | None,
        typer.Option(help="A file of weights to fill into those that a function builds."),
    ] = None
    factory: Factory = None


@takes(Asked)
def bench_command(asked: Asked, as_json: AsJson = False) -> None:
    """Measure networks side by side while they run: latency, throughput, memory, file; ratios last.

    Each network has a process of its own in every engine that it can run in, or in those of
    --engine, and all take turns, so what disturbs the machine disturbs all alike. Says in words
    where fewer MACs brought no speed, and why.

    maxprune bench maxprune-out/steps/unpruned maxprune-out/model --input 3,32,32
    """
    from maxprune.report.progress import Steps
    from maxprune.report.runtime import benched_parts
    from maxprune.runtime import bench

    sources = {name: _source(asked, name, place) for name, place in _named(asked.networks)}
    if len(sources) < len(asked.networks):
        raise UsageError("two networks have the same name; give one another: NAME=NETWORK")
    if asked.weights and not any(source.weights for source in sources.values()):
        raise UsageError("--weights is for networks that a function builds; there is none")
    if asked.factory and not any(source.factory for source in sources.values()):
        raise UsageError("--factory is for saved models; there is none")
    settings = asked.settings(batches=tuple(asked.batch or (1, 64)))
    size, numbers = shape(asked.input_shape) if asked.input_shape else None, numbers_of(asked.kind)
    with Steps(terminal(stderr=True), None, "bench", "step") as steps:
        found = bench(sources, size, settings, numbers, steps.report)
    show(found, lambda: benched_parts(found), as_json)


def _source(asked: Asked, name: str, place: str) -> Source:
    """A network, with what of the options is for one of its kind."""
    from maxprune.runtime.engines import Source
    from maxprune.store.source import is_built

    source = Source(name, place)
    if source.is_onnx():
        return source
    if is_built(place, None):
        return replace(source, weights=asked.weights)
    return replace(source, factory=asked.factory)


def _named(networks: list[str]) -> list[tuple[str, str]]:
    """Each network with its name: what stands before "=", or the end of its own name."""
    pairs = [given.partition("=") for given in networks]
    places = [
        (name, place) if equals and not Path(given).exists() else ("", given)
        for given, (name, equals, place) in zip(networks, pairs, strict=True)
    ]
    for (_, place), given in zip(places, networks, strict=True):
        if not place.strip():
            raise UsageError(f"{given!r} names no network: give NETWORK or NAME=NETWORK")
    parts = [
        re.split(r"[/\\]" if Path(place).exists() else r"[/:\\]", place.rstrip("/"))
        for _, place in places
    ]
    for count in range(1, max(map(len, parts)) + 1):
        tails = ["/".join(part[-count:]) for part in parts]
        if len(set(tails)) == len(tails):
            break
    return [(name or tail, place) for (name, place), tail in zip(places, tails, strict=True)]
