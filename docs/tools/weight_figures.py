"""Figures of single weights: zeros, shared values, 8 bits."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure
from torch import nn

from maxprune.files import read_json
from maxprune.plural import plural
from maxprune.report.figure import BLUE, GREEN, GREY, INK, SKY, VERMILLION, rows_of_bars
from maxprune.weights.gradual import growing_zeros

ITERATIONS, SHARE = 10_000, 0.9


def weights_figure(figure: Figure, results: Path) -> None:
    """Left: the share of zeros while a network trains. Right: Table 2 for LeNet-MFC, 512."""
    left, right = figure.subplots(1, 2)
    steps = growing_zeros(nn.Linear(100, 100, bias=False), SHARE, ITERATIONS // 2)
    starts = [*steps, ITERATIONS]
    left.step(starts, [100 * s for s in (*steps.values(), SHARE)], where="post", color=BLUE)
    left.set_title("little by little, for 90%")
    left.set_xlabel("iteration of the retraining")
    left.set_ylabel("zero [%]")
    left.set_ylim(0, 100)
    left.grid(axis="y")
    cells = [
        cell for cell in read_json(results / "lenet" / "table2.json")["records"]
        if (cell["network"], cell["fc"]) == ("mfc", 512)
    ]  # fmt: skip
    zeroed = [100 * cell["zeroed"] for cell in cells]
    right.errorbar(
        zeroed, [c["mean"] for c in cells], [c["spread"] for c in cells], fmt="o-", color=BLUE,
        ms=4, lw=1.2, label="ours, 3 seeds",
    )  # fmt: skip
    right.plot(
        zeroed, [c["published"] for c in cells], "o", mfc="none", color=VERMILLION, label="paper"
    )
    right.set_ylim(98.8, 99.5)
    last = cells[-1]
    right.annotate(
        f"{last['published']} ↓", (zeroed[-1], 98.8), xytext=(0, 4), ha="right",
        textcoords="offset points", color=VERMILLION, fontsize=8,
    )  # fmt: skip
    right.set_title("LeNet-MFC 512 at k = 1, MNIST")
    right.set_xlabel("zero [% of the parameters]")
    right.set_ylabel("test accuracy [%]")
    right.grid(axis="y")
    right.legend(loc="lower left")


def sharing_figure(figure: Figure, results: Path) -> None:
    """Left: weights and the 32 values they get. Right: bytes and accuracy by bits."""
    found = read_json(results / "benchmarks" / "figures.json")
    sharing = found["sharing"]
    left, right = figure.subplots(1, 2)
    counts, limit = sharing["histogram"], sharing["limit"]
    width = 2 * limit / len(counts)
    left.bar([-limit + (i + 0.5) * width for i in range(len(counts))], counts, width, color=SKY)
    left.vlines(sharing["values"], 0, -0.07 * max(counts), color=VERMILLION, lw=1)
    left.set_title(f"{plural(sum(counts), 'weight')}; red: their {len(sharing['values'])} values")
    left.set_xlabel("weight")
    left.set_ylabel("how many")
    files = sharing["files"]
    bits = [file["bits"] for file in files]
    right.plot(bits, [file["accuracy"] for file in files], "o-", color=BLUE, ms=4, lw=1.2)
    right.axhline(found["accuracy"], color=INK, lw=1, ls="--")
    right.set_xlabel("bits of the values, and bytes of the file")
    right.set_xticks(bits, [f"{file['bits']}\n{file['bytes']:,}" for file in files], fontsize=7.5)
    right.set_ylabel("test accuracy [%]")
    right.set_title(f"values not trained; dense {sharing['dense_bytes']:,} bytes")
    right.grid(axis="y")


def int8_figure(figure: Figure, results: Path) -> None:
    """Bytes of the files of three networks as they were, dynamic and static."""
    files = {
        "LeNet-MFC 512": "lenet-mfc-512-seed0-no-maxout",
        "pruned, 90% zero": "lenet-mfc-512-seed0-weights-90",
        "ResNet-56 pruned by PLS": "resnet56-ours-8",
    }
    panels = figure.subplots(1, len(files))
    for axes, (title, name) in zip(panels, files.items(), strict=True):
        steps = read_json(results / "int8" / f"{name}.json")["steps"]
        sizes = [step["bytes"] for step in steps]
        texts = [f"{step['bytes']:,}\n{step['accuracy']:.2f}%" for step in steps]
        names = [step["name"].removeprefix("int8, ") for step in steps]
        axes.barh(range(len(sizes)), sizes, color=[GREY, SKY, GREEN], height=0.62)
        rows_of_bars(axes, sizes, names if axes is panels[0] else [""] * len(names), texts)
        axes.set_title(title)
