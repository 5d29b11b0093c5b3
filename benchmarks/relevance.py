"""The relevance pass (win counts) over 60,000 images beside a bare forward pass, as ratios.

For LeNet-MFC and LeNet-MC at k = 4, fc 512: the same network, images, batches and mode; the two
take turns in one run and the figure is the median over rounds. Counting sample by sample in
Python is timed on fewer images and compared per image. Memory is the peak of a process of its own
that counts over 6,000 and over 60,000 images, less the images themselves.

    python3 benchmarks/relevance.py [--rounds 5] [--samples 300] [--out FILE]
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import statistics
import time
from pathlib import Path

import torch
from torch import nn

from maxprune import apply, count_wins, maxout_plan
from maxprune.data import Images, load
from maxprune.files import write_json
from maxprune.networks import lenet5
from maxprune.studies.environment import environment
from maxprune.studies.lenet import NETWORKS, arguments, maxout_layer

BATCH = 1000


def network(kind: str) -> nn.Module:
    torch.manual_seed(0)
    return apply(lenet5(**arguments(kind, 512)), maxout_plan(maxout_layer(kind), 4)).eval()


def forward(model: nn.Module, images: Images) -> None:
    with torch.inference_mode():
        for x, _ in images.batches(BATCH):
            model(x)


def relevance(model: nn.Module, images: Images, layer: str) -> list[list[int]]:
    return count_wins(model, layer, (x for x, _ in images.batches(BATCH))).wins.tolist()


def by_sample(model: nn.Module, images: Images, layer: str) -> list[list[int]]:
    """Counting as it is plainly written: image by image, unit by unit, position by position."""
    values: list[torch.Tensor] = []
    handle = model.get_submodule(layer).register_forward_hook(lambda *a: values.append(a[2]))
    wins: list[list[int]] = []
    with torch.inference_mode():
        for x, _ in images.batches(1):
            model(x)
            neurons = values.pop()[0]
            rows = neurons.reshape(len(neurons), -1).tolist()
            wins = wins or [[0] * 4 for _ in range(len(rows) // 4)]
            for unit in range(len(rows) // 4):
                for position in range(len(rows[0])):
                    four = [rows[4 * unit + i][position] for i in range(4)]
                    best = max(four)
                    if layer != "fc1" or best > 0:
                        wins[unit][four.index(best)] += 1
    handle.remove()
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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--samples", type=int, default=300)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    cores = os.cpu_count() or 1
    torch.set_num_threads(cores)
    images = load("mnist", options.data).train
    some = images.subset(torch.arange(options.samples))
    result: dict[str, object] = {"benchmark": "relevance", "images": len(images),
                                 "environment": environment(cores)}  # fmt: skip
    for kind in NETWORKS:
        model, layer = network(kind), maxout_layer(kind)
        forward(model, some)
        pairs = [
            (seconds(forward, model, images), seconds(relevance, model, images, layer))
            for _ in range(options.rounds)
        ]
        ours = statistics.median(own for _, own in pairs) / len(images)
        plainly = seconds(by_sample, model, some, layer) / len(some)
        result[kind] = {
            "seconds_forward": statistics.median(bare for bare, _ in pairs),
            "seconds_relevance": statistics.median(own for _, own in pairs),
            "ratio_to_forward": statistics.median(own / bare for bare, own in pairs),
            "ratio_of_python_by_sample": plainly / ours,
            "equal_counts": by_sample(model, some, layer) == relevance(model, some, layer),
            "peak_mib_6000": peak_memory(kind, 6_000),
            "peak_mib_60000": peak_memory(kind, 60_000),
        }
    for key, value in result.items():
        print(f"{key}: {value}")
    if options.out:
        write_json(options.out, result)


if __name__ == "__main__":
    main()
