"""The most memory of a pass of relevance, from 10,000 to 1,000,000 generated pictures, and a plot.

Win counts, PLS-VIP (with 1 and with 64 MiB for its features; the rest goes to disk) and Taylor's
score over every picture, each at each number of pictures in a process of its own. A picture is a
function of its number, of 1 x 12 x 12 bytes, made as it is asked for; the network is tiny, so that
what grows with the pictures would be seen. The plot lies beside the results.

    python3 benchmarks/memory.py [--most 1000000] [--out FILE]
"""

from __future__ import annotations

import itertools
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from matplotlib.ticker import FuncFormatter
from shared import options, show
from torch import Tensor, nn

from maxprune import apply, channel_groups, count_wins, maxout_plan, vip
from maxprune.files import write_text
from maxprune.report.figure import CYCLE, looks, new_figure, svg
from maxprune.runs.environment import environment
from maxprune.runtime.memory import peak
from maxprune.scores import taylor

COUNTS = (10_000, 30_000, 100_000, 300_000, 1_000_000)
CLASSES, BATCH, SIDE = 10, 500, 12
MIB = 2**20


def generated(count: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Pictures by their numbers, mixed so that no two are alike, and their classes."""
    place = torch.arange(SIDE * SIDE) * 40_503
    for start in range(0, count, BATCH):
        number = torch.arange(start, min(start + BATCH, count))
        mixed = number[:, None] * 2_654_435_761 + place
        mixed = (mixed ^ (mixed >> 13)) * 1_274_126_177 >> 16 & 255
        labels = mixed[:, 0] * CLASSES // 256
        yield mixed.view(-1, 1, SIDE, SIDE).float() / 255, labels


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(144, 32), nn.ReLU(), nn.Linear(32, CLASSES),
    ).eval()  # fmt: skip


def wins(count: int) -> None:
    model = apply(network(), maxout_plan("7", 4))
    count_wins(model, "7", generated(count))


def scored(score: Callable[..., object], count: int) -> None:
    model = network()
    score(model, channel_groups(model, torch.zeros(2, 1, SIDE, SIDE)), generated(count))


PASSES: dict[str, Callable[[int], None]] = {
    "win counts": wins,
    "PLS-VIP, 1 MiB for features": partial(scored, partial(vip, memory=MIB)),
    "PLS-VIP, 64 MiB for features": partial(scored, partial(vip, memory=64 * MIB)),
    "Taylor": partial(scored, taylor),
}


def one(name: str, count: int) -> None:
    """In a process of its own: its peak in MiB, and how long it took."""
    torch.set_num_threads(1)
    started = time.perf_counter()
    PASSES[name](count)
    print(peak() / MIB, time.perf_counter() - started)


def measured(name: str, count: int) -> dict[str, Any]:
    command = [sys.executable, __file__, "one", name, str(count)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    most, seconds = map(float, said.split())
    return {"pass": name, "pictures": count, "peak_mib": most, "seconds": seconds}


def plot(rows: list[dict[str, Any]]) -> str:
    with looks("memory"):
        figure = new_figure(3.4)
        axes = figure.subplots()
        for (name, own), colour in zip(
            itertools.groupby(rows, lambda row: row["pass"]), CYCLE, strict=False
        ):
            points = [(row["pictures"], row["peak_mib"]) for row in own]
            axes.plot(*zip(*points, strict=True), "o-", color=colour, ms=5, lw=1.2, label=name)
        axes.set_xscale("log")
        axes.set_xticks(sorted({row["pictures"] for row in rows}))
        axes.minorticks_off()
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.set_ylim(0, 1.15 * max(row["peak_mib"] for row in rows))
        axes.set_xlabel("pictures that one pass looks at")
        axes.set_ylabel("peak memory of the process [MiB]")
        axes.grid(axis="y")
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), borderaxespad=0)
        return svg(figure, "memory", "Peak memory against the number of pictures")


def main() -> None:
    chosen = options(__doc__, most=COUNTS[-1])
    rows = [
        measured(name, count) for name in PASSES for count in COUNTS if count <= chosen.most
    ]  # fmt: skip
    growth = {
        name: max(peaks) - min(peaks)
        for name, own in itertools.groupby(rows, lambda row: row["pass"])
        if (peaks := [row["peak_mib"] for row in own])
    }
    show(
        {
            "benchmark": "memory", "picture_bytes": SIDE * SIDE, "environment": environment(1),
            "passes": rows, "largest_less_smallest_mib": growth,
        },
        chosen.out,
    )  # fmt: skip
    if chosen.out:
        write_text(Path(chosen.out).with_suffix(".svg"), plot(rows))


if __name__ == "__main__":
    if sys.argv[1:2] == ["one"]:
        one(sys.argv[2], int(sys.argv[3]))
    else:
        main()
