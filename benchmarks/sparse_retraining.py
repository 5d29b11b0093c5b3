"""How a network is best retrained while its weights go: ways beside each other, on validation data.

10,000 training images of MNIST are held out and nothing is said of the test set. LeNet-MFC and
LeNet-MC at k = 1 (F = 512) are trained on the other 50,000; from there a share of the parameters
goes to zero in several ways: all at once (the paper's), with the dropout scaled, little by little,
and that at three times the rate (ours). One single-threaded process a network.

    python3 benchmarks/sparse_retraining.py [--iterations 10000] [--seeds 1] [--out FILE]
"""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import torch
from shared import options, show

from maxprune import zero_plan
from maxprune.data import load
from maxprune.measure import accuracy
from maxprune.networks import lenet5
from maxprune.runs.environment import environment
from maxprune.studies.lenet import NETWORKS, Network
from maxprune.surgery import apply
from maxprune.train import Training, derive, train

HELD_OUT = 10_000
SHARES = (0.5, 0.98)
AT_ONE = {"mfc": {"fc": 128, "dropout": "fc"}, "mc": {"conv": [20, 13], "dropout": "conv"}}
WAYS = {
    "at once": {"ramp": 0.0, "scale_dropout": False},
    "at once, less dropout": {"ramp": 0.0},
    "little by little, less dropout": {},
    "little by little, less dropout, three times the rate": {"boost": 3.0},
}


def compared(work: tuple[Network, int, int, Path | None]) -> dict[str, Any]:
    """One network, dense and after every share and way: accuracies on the held out images."""
    network, seed, iterations, root = work
    torch.set_num_threads(1)
    rest, validation = load("mnist", root).holdout(HELD_OUT, seed)
    torch.manual_seed(derive(seed, "initial"))
    dense = lenet5(**AT_ONE[network])
    train(dense, rest, Training(iterations=iterations), derive(seed, "dense"))
    found = []
    for share in SHARES:
        for way, settings in WAYS.items():
            model = apply(dense, zero_plan(dense, 0.0))
            training = Training(iterations=iterations, **settings)
            train(model, rest, training, derive(seed, "sparse"), zeroed=share)
            found.append(
                {"zeroed": share, "way": way, "validation_accuracy": accuracy(model, validation)}
            )
            print(network, seed, found[-1], flush=True)
    return {
        "network": network, "seed": seed, "dense": accuracy(dense, validation), "sparse": found,
    }  # fmt: skip


def main() -> None:
    chosen = options(__doc__, iterations=10_000, seeds=1)
    work = [
        (network, seed, chosen.iterations, chosen.data)
        for seed in range(chosen.seeds)
        for network in NETWORKS
    ]
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        found = pool.map(compared, work, chunksize=1)
    result = {
        "benchmark": "sparse retraining", "dataset": "mnist", "held_out": HELD_OUT,
        "iterations": chosen.iterations, "environment": environment(1), "networks": found,
    }  # fmt: skip
    show(result, chosen.out)


if __name__ == "__main__":
    main()
