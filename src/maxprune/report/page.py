"""The page: everything a study measured, in one HTML file that opens offline."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from statistics import fmean
from typing import Any

from jinja2 import Environment, StrictUndefined

from maxprune._version import __version__
from maxprune.files import write_text
from maxprune.measure.significance import SIGNIFICANT
from maxprune.plural import plural
from maxprune.report.cuts import Cut, layers_plot, ranked, wins_plot
from maxprune.report.frontier import frontier_plot
from maxprune.report.plots import accuracy_plot, loss_plot, size_plot
from maxprune.report.rows import Row, rows, silent
from maxprune.report.trials import conclusion, trial_cells, trial_headers
from maxprune.report.words import count, percent, probability, verdict
from maxprune.results import LayerState, Results, Trial

_NONE = "\N{EN DASH}"
_OPEN = 40  # a table of more layers than this starts folded


@dataclass(frozen=True)
class _Column:
    """A column of the table of steps: the field of results.json, its header, unit and text."""

    field: str
    header: str
    unit: str
    text: Callable[[Any], str]


def _fraction(value: float) -> str:
    """A fraction in percent."""
    return percent(100 * value)


_COLUMNS = (
    _Column("k", "k", "inputs", count),
    _Column("parameters", "Parameters", "number", count),
    _Column("nonzero", "Not zero", "number", count),
    _Column("removed", "Removed", "%", _fraction),
    _Column("zeroed", "Zeroed", "%", _fraction),
    _Column("macs", "MACs", "number", count),
    _Column("bytes", "Size", "bytes", count),
    _Column("accuracy_before_retraining", "Before", "%", percent),
    _Column("accuracy", "Accuracy", "%", percent),
    _Column("p_value", "p-value", "", probability),
    _Column("seconds", "Time", "s", lambda value: f"{value:,.1f}"),
)
_LAYER_FIELDS = ("inputs", "neurons", "alive", "parameters", "nonzero")


def write_page(results: Results, path: Path) -> None:
    """Write the page of `results` to `path`, whole or not at all.

    Raises:
        StoreError: the details of the results contradict each other.
        OutputError: the file cannot be written.
    """
    write_text(path, render_page(results))


def render_page(results: Results) -> str:
    """The page of `results` as HTML: no script, and nothing that is fetched from anywhere.

    Every figure has its field and its exact value beside it: `<td data-step="maxout k=3"
    data-field="removed" data-value="0.24130">24.13</td>`. Sections without details vanish, and
    so do columns that say nothing.

    Raises:
        StoreError: the details of the results contradict each other.
    """
    template = resources.files("maxprune.report").joinpath("page.html").read_text("utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    found, search = rows(results), results.details.search
    unsaid = silent(found)
    columns = [column for column in _COLUMNS if column.field not in unsaid]
    return environment.from_string(template).render(
        results=results,
        details=results.details,
        verdict=verdict(results),
        tiles=_tiles(results),
        columns=columns,
        with_before="accuracy_before_retraining" not in unsaid,
        rows=[(row, [_cell(row, column) for column in columns]) for row in found],
        conclusion=conclusion(results),
        trials=_trials(results),
        trial_headers=trial_headers(search) if search else [],
        samples=plural(search.samples, "validation sample") if search else "",
        plots=_plots(results),
        layers=_layers(results.details.layers),
        layers_open=len(results.details.layers) <= _OPEN,
        changes=_changes(results),
        cuts=[_cut_words(ranked(wins)) for wins in results.details.wins],
        settings=[(key, _setting(value)) for key, value in results.details.training.items()],
        significant=SIGNIFICANT,
        version=__version__,
    )


def _cell(row: Row, column: _Column) -> tuple[str, str, str]:
    """The field, the exact value as JSON writes it, and the text of one cell."""
    value = getattr(row, column.field)
    if value is None:
        return column.field, "", _NONE
    return column.field, repr(value), column.text(value)


def _trials(results: Results) -> list[tuple[Trial, list[str]]]:
    """Every trial of a search with the cells of its row."""
    search = results.details.search
    return [(trial, trial_cells(trial, search)) for trial in search.trials] if search else []


def _plots(results: Results) -> dict[str, str]:
    """The SVG of every plot there is something for, by name."""
    details = results.details
    found = {"sizes": size_plot(results)}
    if results.steps:
        found["accuracy"] = accuracy_plot(results)
    if any(wins.wins for wins in details.wins):
        found["wins"] = wins_plot(results)
    if details.layers:
        found["layers"] = layers_plot(results)
    if any(curve.loss for curve in details.curves):
        found["loss"] = loss_plot(results)
    if details.search and details.search.frontier:
        found["frontier"] = frontier_plot(results)
    return {name: re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", text) for name, text in found.items()}


def _tiles(results: Results) -> list[tuple[str, str, str, str]]:
    """The four figures on top: name, first value, last value, and what became of it."""
    if not results.steps:
        return []
    base, last = results.baseline, results.steps[-1]
    kept = "parameters that are not zero" if last.nonzero < last.parameters else "parameters"
    sizes = [
        (kept, base.parameters, last.nonzero),
        ("MACs for one input", base.macs, last.macs),
        ("bytes on disk", base.bytes, last.bytes),
    ]
    tiles = [(name, count(old), count(new), _times(old, new)) for name, old, new in sizes]
    points = last.accuracy - base.accuracy
    change = f"{points:+.2f} points".replace("-", "\N{MINUS SIGN}")
    old, new = percent(base.accuracy), percent(last.accuracy)
    return [*tiles, (f"{results.tested} accuracy", f"{old}%", f"{new}%", change)]


def _times(old: int, new: int) -> str:
    """How many times smaller, rounded down."""
    if new == 0 or old == new:
        return "unchanged" if old == new else "all gone"
    if new > old:
        return f"{-(-10 * new // old) / 10:,.1f} times larger"
    return f"{10 * old // new / 10:,.1f} times smaller"


def _layers(states: list[LayerState]) -> list[dict[str, Any]]:
    """The layers in order, each with its states; a figure knows whether it changed."""
    found: dict[str, list[LayerState]] = {}
    for state in states:
        found.setdefault(state.layer, []).append(state)
    return [
        {
            "name": name,
            "kind": history[0].kind,
            "states": [
                (state.step, _layer_cells(state, history[index - 1] if index else state))
                for index, state in enumerate(history)
            ],
        }
        for name, history in found.items()
    ]


def _layer_cells(state: LayerState, before: LayerState) -> list[tuple[str, int, str, bool]]:
    """The field, the value, the text of every figure of a layer, and whether it changed."""
    found = [(field, getattr(state, field), getattr(before, field)) for field in _LAYER_FIELDS]
    return [(field, value, count(value), value != old) for field, value, old in found]


def _changes(results: Results) -> str:
    """What was cut where, in a sentence; the control is no cut."""
    histories: dict[str, list[LayerState]] = {}
    for state in results.details.layers:
        if results.control is None or state.step != results.control.name:
            histories.setdefault(state.layer, []).append(state)
    cut, whole = [], []
    for name, history in histories.items():
        first, last = history[0].neurons, history[-1].neurons
        if first == last:
            whole.append(name)
        else:
            cut.append(f"{name} went from {count(first)} to {plural(last, 'neuron')}")
    parts = [", ".join(cut) if cut else "No layer lost a neuron"]
    if whole and cut:
        kept = ", ".join(whole) if len(whole) <= 8 else f"{len(whole)} other layers"
        parts.append(f"{kept} kept all of theirs")
    return "; ".join(parts) + "."


def _cut_words(cut: Cut) -> list[tuple[str, str]]:
    """The figures of one cut as field and text."""
    lost = [share for shares in cut.removed for share in shares]
    return [
        ("step", cut.step),
        ("layer", cut.layer),
        ("units", count(cut.units)),
        ("silent", count(cut.silent)),
        ("positions", count(cut.positions)),
        ("neurons", count(cut.neurons)),
        ("left", count(cut.left)),
        ("lost", percent(fmean(lost)) if lost else _NONE),
    ]


def _setting(value: int | float | str) -> str:
    """A setting as text; whole numbers with separators."""
    return count(value) if isinstance(value, int) and value >= 10_000 else str(value)
