"""The plots of the cuts: on which counts each was decided, and what it left of every layer.

Every function gives an SVG element as a string that embeds in HTML.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from maxprune.errors import StoreError, UsageError
from maxprune.report.figure import (
    BLUE,
    PALE,
    VERMILLION,
    looks,
    new_figure,
    rows_of_bars,
    short,
    svg,
)
from maxprune.results import LayerState, Results, Wins

_BINS = np.linspace(0, 100, 26)


@dataclass(frozen=True)
class Cut:
    """The win counts of one cut, each unit's inputs ranked by their share of its wins.

    `kept[r]` and `removed[r]` are the shares in percent of the neurons that have rank r in their
    unit, one entry per unit. `silent` units never were active: they have no shares.
    """

    step: str
    layer: str
    units: int
    silent: int
    positions: int
    neurons: int
    left: int
    kept: list[list[float]]
    removed: list[list[float]]


def ranked(wins: Wins) -> Cut:
    """Rank the inputs of every unit by their wins; of equals, the kept one comes first.

    `wins.keep` names neurons of the layer: input i of unit u, with k inputs each, is u * k + i.

    Raises:
        StoreError: the kept neurons do not lie in the layer.
    """
    neurons = sum(len(unit) for unit in wins.wins)
    if any(index >= neurons for index in wins.keep):
        raise StoreError(
            f"the cut of {wins.layer} at step {wins.step!r} keeps neuron {max(wins.keep)} of "
            f"{neurons}: the results file is damaged, run the study again"
        )
    keep, depth = set(wins.keep), max((len(unit) for unit in wins.wins), default=0)
    kept: list[list[float]] = [[] for _ in range(depth)]
    removed: list[list[float]] = [[] for _ in range(depth)]
    first = 0
    for unit in wins.wins:
        total = sum(unit)
        pairs = [(number, first + place in keep) for place, number in enumerate(unit)]
        for rank, (number, stays) in enumerate(sorted(pairs, reverse=True) if total else []):
            (kept if stays else removed)[rank].append(100 * number / total)
        first += len(unit)
    return Cut(
        step=wins.step,
        layer=wins.layer,
        units=len(wins.wins),
        silent=sum(not any(unit) for unit in wins.wins),
        positions=wins.positions,
        neurons=neurons,
        left=len(keep),
        kept=kept,
        removed=removed,
    )


def wins_plot(results: Results) -> str:
    """How the wins of each unit spread over its neurons, by rank, and which ranks were removed.

    Raises:
        UsageError: the results hold no win counts.
        StoreError: the win counts do not fit the neurons that were kept.
    """
    cuts = [cut for cut in map(ranked, results.details.wins) if cut.kept]
    if not cuts:
        raise UsageError("the results hold no win counts: there is no cut to plot")
    columns = max(len(cut.kept) for cut in cuts)
    with looks("wins"):
        figure = new_figure(0.9 + 1.35 * len(cuts))
        grid = figure.subplots(len(cuts), columns, sharex=True, sharey="row", squeeze=False)
        for line, cut in zip(grid, cuts, strict=True):
            for rank, axes in enumerate(line):
                if rank < len(cut.kept):
                    _histogram(axes, cut, rank)
                else:
                    axes.set_axis_off()
            line[0].set_ylabel("units")
            line[-1].annotate(
                f"{short(cut.layer, 16)}\ncut to\n{short(cut.step, 16)}",
                (1.06, 0.5),
                xycoords="axes fraction",
                va="center",
            )
        for rank in range(columns):
            deepest = max(i for i, cut in enumerate(cuts) if len(cut.kept) > rank)
            grid[deepest, rank].tick_params(labelbottom=True)
            grid[0, rank].set_title(_ordinal(rank + 1) + " in its unit")
        figure.supxlabel("share of the wins of its unit [%]", fontsize=9)
        keys = [Patch(color=BLUE, label="kept"), Patch(color=VERMILLION, label="removed")]
        figure.legend(handles=keys, loc="outside upper right", ncols=2)
        return svg(figure, "wins", "Win counts by rank at every cut")


def _histogram(axes: Axes, cut: Cut, rank: int) -> None:
    """How many units have which share at one rank, kept and removed on top of each other."""
    shares = [cut.kept[rank], cut.removed[rank]]
    axes.hist(shares, bins=list(_BINS), stacked=True, color=[BLUE, VERMILLION])
    axes.set_xlim(0, 100)
    axes.set_xticks([0, 50, 100])
    axes.grid(axis="y")


def _ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th, ...

    >>> [_ordinal(n) for n in (1, 2, 3, 4, 11, 22)]
    ['1st', '2nd', '3rd', '4th', '11th', '22nd']
    """
    if number % 100 in (11, 12, 13):
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"


def layers_plot(results: Results) -> str:
    """The neurons of every layer by step; neurons whose weights are all zero are pale.

    With more than eight layers, only those are drawn that lose a neuron.

    Raises:
        UsageError: the results hold no layers.
    """
    states = results.details.layers
    if not states:
        raise UsageError("the results hold no layers: there is nothing to plot")
    steps = list(dict.fromkeys(state.step for state in states))
    layers = list(dict.fromkeys(state.layer for state in states))
    if len(layers) > 8:
        layers = [layer for layer in layers if _changes(states, layer)] or layers[:8]
    columns = min(len(layers), 4)
    lines = -(-len(layers) // columns)
    with looks("layers"):
        figure = new_figure(0.55 + lines * (0.4 + 0.25 * len(steps)))
        grid = figure.subplots(lines, columns, sharey=True, squeeze=False)
        for axes in grid.flat[len(layers) :]:
            axes.set_axis_off()
        for axes, layer in zip(grid.flat, layers, strict=False):
            _layer_bars(axes, [s for s in states if s.layer == layer], steps)
        keys = [
            Patch(color=BLUE, label="neurons (filters) in use"),
            Patch(color=PALE, label="all incoming weights zero"),
        ]
        figure.legend(handles=keys, loc="outside lower left", ncols=2)
        return svg(figure, "layers", "Neurons of every layer by step")


def _layer_bars(axes: Axes, states: list[LayerState], steps: list[str]) -> None:
    """The bars of one layer; a step that does not list the layer has an empty bar."""
    found = {state.step: state for state in states}
    neurons = [found[step].neurons if step in found else 0 for step in steps]
    alive = [found[step].alive if step in found else 0 for step in steps]
    axes.barh(range(len(steps)), neurons, color=PALE, height=0.66)
    axes.barh(range(len(steps)), alive, color=BLUE, height=0.66)
    axes.set_title(short(states[0].layer, 22))
    texts = [_of(*pair) for pair in zip(alive, neurons, strict=True)]
    rows_of_bars(axes, neurons, [short(step) for step in steps], texts)


def _of(alive: int, neurons: int) -> str:
    """How many neurons are in use, of how many where that is not all."""
    return f"{neurons:,}" if alive == neurons else f"{alive:,} of {neurons:,}"


def _changes(states: list[LayerState], layer: str) -> bool:
    """Whether the layer has different numbers of neurons, or dead ones, at some step."""
    found = [state for state in states if state.layer == layer]
    return len({state.neurons for state in found} | {state.alive for state in found}) > 1
