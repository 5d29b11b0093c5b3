"""The tables of networks that ran side by side, and what is to be said of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from maxprune.plural import plural
from maxprune.report.plain import figures, plain_table
from maxprune.report.words import count
from maxprune.runtime.records import ENGINES, NAMES, Benched, Timing

FILE = "file: bytes of the weights as safetensors, of a coded file, or of the ONNX file"


def benched_parts(found: Benched) -> Iterator[RenderableType]:
    """The networks, the timings, what could not be measured, and the remarks."""
    yield _networks(found)
    yield ""
    yield _timings(found)
    if any(timing.beside for timing in found.timings):
        yield ""
        yield _ratios(found)
    for line in (*_missing(found), *found.remarks):
        yield ""
        yield Text(line)


def _missing(found: Benched) -> Iterator[str]:
    """A sentence for each reason, with all engines of a network that have it."""
    engines: dict[tuple[str, int | None, str], list[str]] = {}
    for one in found.missing:
        engines.setdefault((one.network, one.batch, one.reason), []).append(NAMES[one.engine])
    for (network, batch, reason), names in engines.items():
        size = "" if batch is None else f", batch {batch:,},"
        yield f"{network} in {', '.join(names)}{size} is not measured: {reason}"


def _networks(found: Benched) -> Table:
    table = plain_table()
    table.add_column("network", overflow="fold")
    figures(table, "parameters", "zero %", "MACs", "MACs %")
    first = found.networks[0].macs
    for network in found.networks:
        if network.parameters is None or network.macs is None:
            table.add_row(network.name, "-", "-", "-", "-")
            continue
        share = "" if not first else f"{100 * network.macs / first:.1f}"
        table.add_row(
            network.name,
            count(network.parameters),
            f"{100 * network.zeros():.1f}",
            count(network.macs),
            share,
        )
    return table


def _timings(found: Benched) -> Table:
    device, threads = found.environment["device"], plural(found.threads, "thread")
    table = plain_table(
        f"{device}, {threads}",
        f"ms: one forward pass, median of {plural(found.rounds, 'round')} in turns; 10%: a tenth "
        "of the passes took less; 90%: nine tenths\n"
        "MB: memory while it runs, at its highest, above that of the engine alone\n"
        f"{FILE}",
    )
    _columns(table, "ms", "10%", "90%", "samples/s", "MB", "file")
    for name, timing, ends in _rows(found):
        rate = timing.throughput
        table.add_row(
            *name, timing.network, _short(timing.milliseconds), _short(timing.low),
            _short(timing.high), f"{rate:,.0f}" if rate >= 10 else f"{rate:.2f}",
            f"{timing.memory / 1e6:,.1f}", count(timing.file), end_section=ends,
        )  # fmt: skip
    return table


def _ratios(found: Benched) -> Table:
    """So many times as good as the first network."""
    first = found.networks[0].name
    table = plain_table(
        f"So many times as good as {first}",
        "faster: median of the rounds, then the least and the most of them; memory, file: smaller"
        f"\n{FILE}"
        + (
            f"\nwhere an engine does not have {first}: than {first} in torch"
            if _apart(found)
            else ""
        ),
    )
    _columns(table, "faster", "least", "most", "memory", "file")
    for name, timing, ends in _rows(found, others=True):
        other = None if timing.beside is None else found.timing(*timing.beside, timing.batch)
        assert other is not None  # noqa: S101  (only such rows)
        times = (timing.faster, timing.faster_low, timing.faster_high)
        table.add_row(
            *name, timing.network, *(f"{value:.2f}x" for value in times if value is not None),
            _ratio(other.memory, timing.memory), _ratio(other.file, timing.file), end_section=ends,
        )  # fmt: skip
    return table


def _apart(found: Benched) -> bool:
    """Whether a network is compared with the first one in another engine."""
    return any(t.beside is not None and t.beside[1] != t.engine for t in found.timings)


def _columns(table: Table, *headers: str) -> None:
    table.add_column("engine", no_wrap=True)
    figures(table, "batch")
    table.add_column("network", overflow="fold", min_width=8)
    figures(table, *headers)


def _rows(found: Benched, others: bool = False) -> Iterator[tuple[tuple[str, str], Timing, bool]]:
    """Engine and batch, where they are new; the timing; whether it is the last of these."""
    chosen = [t for t in found.timings if t.beside is not None or not others]
    ordered = sorted(chosen, key=lambda t: (ENGINES.index(t.engine), t.batch))
    for (engine, batch), group in groupby(ordered, key=lambda t: (t.engine, t.batch)):
        rows = list(group)
        for number, timing in enumerate(rows):
            name = (NAMES[engine], str(batch)) if number == 0 else ("", "")
            yield name, timing, number == len(rows) - 1


def _short(milliseconds: float) -> str:
    """Three digits, without an exponent."""
    return f"{milliseconds:.3f}" if milliseconds < 10 else f"{milliseconds:,.1f}"


def _ratio(first: int, other: int) -> str:
    return f"{first / other:.2f}x" if other else "-"
