"""Trainings in float32, in bfloat16 and compiled: milliseconds a step, and where they end.

LeNet-5 (fc 512) on MNIST and a small VGG-like network on CIFAR-10, batch 64, each way from the same
seeds on the same pictures in the same order (dropout draws otherwise when compiled). The ways take
turns within a seed. What `measured_precision` and `measured_compiling` choose stands beside it, for
the training as long as it is here and for one of an hour.

    python3 benchmarks/precision.py [--seeds 3] [--iterations 1000] [--out FILE]
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from shared import options, show
from torch import nn

from maxprune.data import Dataset, load
from maxprune.measure import accuracy
from maxprune.modes import best_device
from maxprune.networks import lenet5, vgg_small
from maxprune.runs.environment import environment
from maxprune.train import Fitting, train
from maxprune.train.precision import measured_compiling, measured_precision

WAYS = {
    "float32": {},
    "bfloat16": {"precision": "bfloat16"},
    "float32, compiled": {"compiled": True},
}
BATCH = 64
HOUR = 3600.0


def run(build: Callable[[], nn.Module], data: Dataset, iterations: int, seeds: int) -> dict:
    found: dict[str, dict[str, list[float]]] = {
        way: {"milliseconds a step": [], "accuracy": []} for way in WAYS
    }
    for seed in range(seeds):
        for way, how in WAYS.items():
            torch.manual_seed(seed)
            model = build().to(best_device())
            fitting = Fitting(iterations=iterations, batch=BATCH, judge_every=0, **how)
            warm = fitting.model_copy(update={"iterations": 5})
            train(build().to(best_device()), data.train, warm, seed)
            started = time.perf_counter()
            train(model, data.train, fitting, seed)
            passed = time.perf_counter() - started
            found[way]["milliseconds a step"].append(1000 * passed / iterations)
            found[way]["accuracy"].append(accuracy(model, data.test))
    x, y = next(data.train.batches(BATCH))
    plain = statistics.median(found["float32"]["milliseconds a step"]) / 1000
    chosen = {}
    for name, length in (("as here", iterations), ("of an hour", round(HOUR / plain))):
        fitting = Fitting(iterations=length, batch=BATCH)
        model = build().to(best_device())
        precision = measured_precision(model, x, y, fitting)
        chosen[name] = {
            "precision": precision,
            "compiled": measured_compiling(model, x, y, fitting, precision),
        }
    medians = {
        way: {
            "milliseconds a step": statistics.median(values["milliseconds a step"]),
            "mean accuracy": statistics.mean(values["accuracy"]),
        }
        for way, values in found.items()
    }
    return {"ways": medians, "chosen for a training": chosen, "all": found}


def main() -> None:
    asked = options(__doc__, seeds=3, iterations=1000)
    torch.set_num_threads(1)
    result = {
        "lenet5 on MNIST": run(
            lambda: lenet5(fc=512), load("mnist", asked.data), asked.iterations, asked.seeds
        ),
        "vgg_small on CIFAR-10": run(
            vgg_small, load("cifar10", asked.data), asked.iterations, asked.seeds
        ),
        "environment": environment(1),
    }
    show(result, asked.out)


if __name__ == "__main__":
    main()
