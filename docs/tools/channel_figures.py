"""Figures of neurons and channels that go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from maxprune.files import read_json
from maxprune.report.figure import BLUE, CYCLE, GREY, INK, PALE, VERMILLION

UNITS = 12  # of the demo's 128 that are drawn
SHOWN = {"taylor": BLUE, "obd": CYCLE[2], "pls": VERMILLION, "magnitude": CYCLE[3],
         "apoz": CYCLE[4], "random": GREY}  # fmt: skip


def maxout_figure(figure: Figure, results: Path) -> None:
    """The first units of the demo's maxout: a bar a neuron, as high as its share of wins."""
    cuts = read_json(results / "demo" / "results.json")["details"]["wins"]
    rows = figure.subplots(len(cuts), 1)
    for axes, cut in zip(rows, cuts, strict=True):
        k = len(cut["wins"][0])
        _units(axes, cut, k)
        axes.set_ylabel(f"k = {k}", rotation=0, ha="right", va="center")
    rows[0].set_title(
        f"share of wins in the first {UNITS} of {len(cuts[0]['wins'])} units of the demo; "
        "red: the neuron that goes"
    )


def _units(axes: Axes, cut: dict[str, Any], k: int) -> None:
    kept = set(cut["keep"])
    for unit, wins in enumerate(cut["wins"][:UNITS]):
        total = max(1, sum(wins))
        axes.add_patch(Rectangle((unit - 0.08, 0), 0.92, 1.0, color=PALE, alpha=0.5, lw=0))
        for place, count in enumerate(wins):
            goes = unit * k + place not in kept
            axes.bar(
                unit + (place + 0.5) * 0.76 / k, count / total, width=0.6 / k,
                color=VERMILLION if goes else BLUE,
            )  # fmt: skip
    axes.set_xlim(-0.2, UNITS)
    axes.set_ylim(0, 1)
    axes.set_xticks([])
    axes.set_yticks([0, 0.5, 1], ["0", "", "1"])
    axes.spines["bottom"].set_visible(False)


def pls_figure(figure: Figure, results: Path) -> None:
    """VIP of every channel, highest first in each layer, and what a fifth of them is."""
    found = read_json(results / "benchmarks" / "figures.json")["vip"]
    every = sorted(value for values in found.values() for value in values)
    limit = every[len(every) // 5]
    names = ["first layer", "second layer", "third layer"]
    panels = figure.subplots(
        1, len(found), sharey=True, width_ratios=[len(values) + 6 for values in found.values()]
    )
    for axes, name, values in zip(panels, names, found.values(), strict=True):
        values = sorted(values, reverse=True)
        colours = [VERMILLION if value < limit else BLUE for value in values]
        axes.bar(range(len(values)), values, color=colours, width=0.8)
        axes.axhline(limit, color=INK, lw=0.8, ls="--")
        axes.set_title(f"{name}, {len(values)}")
        axes.set_xticks([])
    panels[0].set_ylabel("VIP")
    panels[-1].annotate(
        "below it a fifth of all", (1, limit), xycoords=("axes fraction", "data"), ha="right",
        xytext=(0, 3), textcoords="offset points", fontsize=8,
    )  # fmt: skip


def scores_figure(figure: Figure, results: Path) -> None:
    """Test accuracy after each score has cut, without retraining."""
    found = read_json(results / "benchmarks" / "figures.json")
    axes = figure.subplots()
    shares = [0.0, *(100 * share for share in found["shares"])]
    for name, colour in SHOWN.items():
        line = "o--" if name == "random" else "o-"
        axes.plot(
            shares, [found["accuracy"], *found["cut"][name]], line, ms=3.5, lw=1.4, color=colour,
            label=name,
        )  # fmt: skip
    axes.set_xlabel("channels removed [%]")
    axes.set_ylabel("test accuracy, not retrained [%]")
    axes.grid(axis="y")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
