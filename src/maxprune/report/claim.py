"""What removed neurons and zeros bring while a network runs: table, sentences and plot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from maxprune.plural import plural
from maxprune.report.figure import BLUE, GREEN, GREY, VERMILLION, looks, new_figure, svg
from maxprune.report.plain import figures, plain_table
from maxprune.report.runtime import benched_parts
from maxprune.runtime.records import ENGINES, NAMES, Benched, Engine, Timing
from maxprune.studies.runtime import START, SUBJECTS, Measured

UNITS = "k = 1"
SHORT: dict[Engine, str] = {
    "torch": "torch", "compiled": "comp.", "onnx": "ONNX", "sparse": "sparse",
}  # fmt: skip
MEMORY: tuple[Engine, ...] = ("torch", "sparse")
WITHIN = 1.15, 1.01  # of the bytes' ratio: the time of one sample; of the parameters': the file


def claim_parts(found: Sequence[Measured], whole: bool = False) -> Iterator[RenderableType]:
    """The tables, one a subject and batch, and what follows; `whole` for every timing, too."""
    for one in found:
        for batch in SUBJECTS[one.subject].batches:
            yield claim_table(one, batch)
            yield ""
    for line in sentences(found):
        yield Text(line)
    for one in found if whole else ():
        yield from ("", Text(SUBJECTS[one.subject].title, style="bold"))
        yield from benched_parts(one.found)


def claim_table(one: Measured, batch: int) -> Table:
    """A row a network: so many times as small, and as fast, as the one without maxout."""
    found, subject = one.found, SUBJECTS[one.subject]
    engines = _engines(found)
    threads = plural(found.threads, "thread")
    table = plain_table(
        f"{subject.title}, batch {batch}, {threads}",
        f"so many times as good as {START} in the same engine (sparse rows: in torch)\n"
        "params: parameters, zeros too; not zero: those that are left; memory: while it runs",
    )
    table.add_column("network", no_wrap=True)
    figures(
        table, "params", "not\nzero", "file", *(f"{SHORT[e]}\nfaster" for e in engines),
        *(f"{e}\nmemory" for e in MEMORY if e in engines),
    )  # fmt: skip
    first = found.networks[0]
    for network in found.networks:
        file = _times(found, network.name, "torch", batch)
        table.add_row(
            network.name, f"{(first.parameters or 0) / (network.parameters or 1):.2f}x",
            f"{(first.nonzero or 0) / (network.nonzero or 1):.2f}x",
            _smaller(file, "file"),
            *(_faster(_times(found, network.name, e, batch)) for e in engines),
            *(
                _smaller(_times(found, network.name, e, batch), "memory")
                for e in MEMORY if e in engines
            ),
            end_section=network.name in (START, UNITS),
        )  # fmt: skip
    return table


def sentences(found: Sequence[Measured]) -> Iterator[str]:
    """What was asked of it: the file as small as the parameters, the time as the bytes."""
    for one in found:
        file, own = one.file_ratio()
        title = SUBJECTS[one.subject].title
        met = "within" if max(file / own, own / file) <= WITHIN[1] else "NOT within"
        yield (
            f"{title}, {UNITS}: a file {file:.4f} times as small, with {own:.4f} times fewer "
            f"parameters: {met} 1%."
        )
        if one.subject != "vgg16-fc":
            continue
        for engine in _engines(one.found):
            timing = one.found.timing(UNITS, engine, 1)
            if timing is not None and timing.faster is not None:
                apart = max(timing.faster / file, file / timing.faster)
                met = "within" if apart <= WITHIN[0] else "NOT within"
                yield (
                    f"{title}, {UNITS}, {NAMES[engine]}, one sample: {timing.faster:.2f} times as "
                    f"fast, with {file:.2f} times fewer bytes to read: {met} 15%."
                )


def claim_plot(found: Sequence[Measured]) -> str:
    """Time and memory against the parameters that are left, as an SVG element.

    A column a subject, with one sample; everything relative to the network without maxout.
    """
    with looks("runtime"):
        figure = new_figure(5.2)
        panels = figure.subplots(2, len(found), squeeze=False, sharex="col")
        for column, one in enumerate(found):
            for row, field in enumerate(("milliseconds", "memory")):
                panel = panels[row][column]
                _lines(panel, one.found, field)
                panel.set_title(SUBJECTS[one.subject].title if row == 0 else "")
                if column == 0:
                    panel.set_ylabel("time of one sample" if row == 0 else "memory while it runs")
            panels[1][column].set_xlabel("parameters left, not zero [%]")
        handles, labels = panels[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8)
        return svg(figure, "runtime", "Time and memory against the parameters that are left")


def _lines(panel: Axes, found: Benched, field: str) -> None:
    """Neurons removed; then zeros, dense and in sparse rows."""
    base = found.timing(START, "torch", 1)
    first = found.networks[0].nonzero or 1
    if base is None:
        return

    def line(names: Sequence[str], engine: Engine, colour: str, mark: str, label: str) -> None:
        rows = [(found.sized(n), found.timing(n, engine, 1)) for n in names]
        there = [(s, t) for s, t in rows if t is not None and t.batch == 1]
        panel.plot(
            [100 * (s.nonzero or 0) / first for s, _ in there],
            [getattr(t, field) / getattr(base, field) for _, t in there],
            color=colour, marker=mark, ms=4, lw=1.3, label=label,
        )  # fmt: skip

    names = [network.name for network in found.networks]
    units = names.index(UNITS)
    line(names[: units + 1], "torch", BLUE, "o", "neurons removed")
    line(names[units:], "torch", VERMILLION, "s", "then zeros, dense")
    line(names[units + 1 :], "sparse", GREEN, "^", "then zeros, sparse rows")
    panel.plot([100, 1], [1, 0.01], color=GREY, lw=0.9, ls=":", label="in proportion")
    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.set_xlim(130, 0.7 * 100 * min(n.nonzero or 1 for n in found.networks) / first)
    for axis in (panel.xaxis, panel.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())
    panel.grid(True)


def _engines(found: Benched) -> list[Engine]:
    return [engine for engine in ENGINES if any(t.engine == engine for t in found.timings)]


def _times(found: Benched, name: str, engine: Engine, batch: int) -> tuple[Timing, Timing] | None:
    """A timing, and that of the first network in the same engine, or in torch."""
    own = found.timing(name, engine, batch)
    if own is None:
        return None
    other = found.timing(*own.beside, batch) if own.beside else own
    return None if other is None else (own, other)


def _smaller(pair: tuple[Timing, Timing] | None, field: str) -> str:
    if pair is None or not getattr(pair[0], field):
        return ""
    return f"{getattr(pair[1], field) / getattr(pair[0], field):.2f}x"


def _faster(pair: tuple[Timing, Timing] | None) -> str:
    return "" if pair is None else f"{pair[0].faster or 1.0:.2f}x"
