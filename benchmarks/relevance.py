"""The relevance pass (win counts) over 60,000 images beside a bare forward pass, as ratios.

For LeNet-MFC and LeNet-MC at k = 4, fc 512: the same network, images, batches and mode; the two
take turns in one run and the figure is the median over rounds. Counting alone, without the
forward pass, is timed beside counting sample by sample in Python, on fewer images. Memory is the
peak of a process of its own that counts over 6,000 and over 60,000 images made batch by batch.

    python3 benchmarks/relevance.py [--rounds 5] [--samples 1000] [--out FILE]
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import statistics
import time

import torch
from shared import options, show
from torch import nn

from maxprune import apply, count_wins, maxout_plan, unit_wins
from maxprune.data import Images, load
from maxprune.networks import lenet5
from maxprune.runs.environment import environment
from maxprune.studies.lenet import NETWORKS, arguments, maxout_layer

BATCH = 250


def network(kind: str) -> nn.Module:
    torch.manual_seed(0)
    return apply(lenet5(**arguments(kind, 512)), maxout_plan(maxout_layer(kind), 4)).eval()


def forward(model: nn.Module, images: Images) -> None:
    with torch.inference_mode():
        for x, _ in images.batches(BATCH):
            model(x)


def relevance(model: nn.Module, images: Images, layer: str) -> list[list[int]]:
    return count_wins(model, layer, (x for x, _ in images.batches(BATCH))).wins.tolist()


def compared(model: nn.Module, images: Images, layer: str) -> torch.Tensor:
    """What the neurons of the layer give for these images."""
    values: list[torch.Tensor] = []
    handle = model.get_submodule(layer).register_forward_hook(lambda *a: values.append(a[2]))
    with torch.inference_mode():
        model(images.batch(torch.arange(len(images)))[0])
    handle.remove()
    return values[0]


def by_sample(values: torch.Tensor, above: float | None) -> list[list[int]]:
    """Counting as it is plainly written: image by image, unit by unit, position by position."""
    wins = [[0] * 4 for _ in range(values.shape[1] // 4)]
    for sample in values:
        rows = sample.reshape(len(sample), -1).tolist()
        for unit in range(len(rows) // 4):
            for position in range(len(rows[0])):
                four = [rows[4 * unit + i][position] for i in range(4)]
                best = max(four)
                if above is None or best > above:
                    wins[unit][four.index(best)] += 1
    return wins


def seconds(function: object, *arguments_: object) -> float:
    started = time.perf_counter()
    function(*arguments_)  # type: ignore[operator]
    return time.perf_counter() - started


def _peak(kind: str, count: int, answer: object) -> None:
    """Peak memory of counting, in MiB, in a process of its own; the images are made batch-wise."""
    torch.set_num_threads(1)
    model, layer = network(kind), maxout_layer(kind)
    batches = (torch.rand(BATCH, 1, 28, 28) for _ in range(count // BATCH))
    count_wins(model, layer, batches)
    answer.put(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)  # type: ignore[attr-defined]


def peak_memory(kind: str, count: int) -> float:
    context = multiprocessing.get_context("spawn")
    answer = context.Queue()
    process = context.Process(target=_peak, args=(kind, count, answer))
    process.start()
    peak = answer.get()
    process.join()
    return float(peak)


def main() -> None:
    chosen = options(__doc__, rounds=5, samples=1000)
    cores = os.cpu_count() or 1
    torch.set_num_threads(cores)
    images = load("mnist", chosen.data).train
    some = images.subset(torch.arange(chosen.samples))
    result: dict[str, object] = {"benchmark": "relevance", "images": len(images),
                                 "environment": environment(cores)}  # fmt: skip
    for kind in NETWORKS:
        model, layer = network(kind), maxout_layer(kind)
        forward(model, some)
        pairs = [
            (seconds(forward, model, images), seconds(relevance, model, images, layer))
            for _ in range(chosen.rounds)
        ]
        values, above = compared(model, some, layer), 0.0 if kind == "mfc" else None
        unit_wins(values, 4, above)
        counting = [
            (seconds(by_sample, values, above), seconds(unit_wins, values, 4, above))
            for _ in range(chosen.rounds)
        ]
        result[kind] = {
            "seconds_forward": statistics.median(bare for bare, _ in pairs),
            "seconds_relevance": statistics.median(own for _, own in pairs),
            "ratio_to_forward": statistics.median(own / bare for bare, own in pairs),
            "counting_alone_times_faster_than_python": statistics.median(
                plainly / own for plainly, own in counting
            ),
            "equal_counts": by_sample(values, above) == unit_wins(values, 4, above).tolist(),
            "peak_mib_6000": peak_memory(kind, 6_000),
            "peak_mib_60000": peak_memory(kind, 60_000),
        }
    show(result, chosen.out)


if __name__ == "__main__":
    main()
