"""What the figures of the documentation show of a small network on scikit-learn's digits.

Two convolutions of 16 and 32 filters with batch norm, a layer of 64 and one of 10, trained for 20
epochs. Of it: the importance of every channel by PLS-VIP; the test accuracy after each score has
removed channels, without retraining; bytes and accuracy of the coded file by bits, values not
trained; the error rates of pairs of digits by the Bray-Curtis distance. docs/tools/figures.py
draws it. One thread, about a minute.

    python3 benchmarks/figures.py [--epochs 20] [--out results/benchmarks/figures.json]
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
from shared import options, show
from torch import nn

import maxprune
from maxprune import measure
from maxprune.data.images import Dataset
from maxprune.runs.environment import environment
from maxprune.scores.named import SCORES, Scoring

SHARES = [share / 10 for share in range(1, 9)]
BITS = range(1, 8)
PAIRS = 600  # of each sort
THRESHOLDS = [step / 50 for step in range(51)]


def network() -> nn.Module:
    """The network before its training."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(32 * 7 * 7, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip


def main() -> None:
    given = options(__doc__, epochs=20)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    data = maxprune.data.load("digits")
    net = network()
    maxprune.train(net, data.train, maxprune.Fitting.of_epochs(given.epochs, len(data.train)))
    show(
        {
            "benchmark": "figures",
            "epochs": given.epochs,
            "accuracy": measure.accuracy(net, data.test),
            **channels(net, data),
            "sharing": sharing(net, data),
            "pairs": pairs(net, data),
            "environment": environment(1),
        },
        given.out,
    )


def channels(net: nn.Module, data: Dataset) -> dict[str, Any]:
    """The VIP of every channel, and the accuracy after cuts by every score."""
    groups = maxprune.channel_groups(net, data.test.batch(torch.arange(2))[0])
    found = {name: s.of(net, groups, data.train, Scoring()) for name, s in SCORES.items()}
    return {
        "vip": {name: scores.tolist() for name, scores in found["pls"].items()},
        "shares": SHARES,
        "cut": {name: cut(net, data, groups, scores) for name, scores in found.items()},
    }


def cut(net: nn.Module, data: Dataset, groups: Any, scores: dict[str, torch.Tensor]) -> list[float]:
    """Test accuracies after each share of the scored channels is gone, in percent."""
    scored = [group for group in groups if group.name in scores]
    plans = [maxprune.lowest(scored, scores, share) for share in SHARES]
    return [measure.accuracy(maxprune.apply(net, plan), data.test) for plan in plans]


def sharing(net: nn.Module, data: Dataset) -> dict[str, Any]:
    """The weights of the layer of 64 as a histogram, their 32 values, and coded files."""
    weights = net[9].weight.detach().flatten()
    limit = float(weights.abs().max())
    files = []
    for bits in BITS:
        shared = maxprune.apply(net, maxprune.share_plan(net, bits))
        with tempfile.TemporaryDirectory() as folder:
            size = maxprune.save_coded(shared, Path(folder) / "net.mxp", factory=network)
        files.append({"bits": bits, "bytes": size, "accuracy": measure.accuracy(shared, data.test)})
    return {
        "limit": limit,
        "histogram": torch.histc(weights, 80, -limit, limit).int().tolist(),
        "values": list(maxprune.share_plan(net, 5).values["9"]),
        "dense_bytes": 4 * measure.parameters(net),
        "files": files,
    }


def pairs(net: nn.Module, data: Dataset) -> dict[str, Any]:
    """FAR and FRR of test pictures of the same digit and of different ones, by threshold."""
    rows = measure.descriptors(net, "10", data.test.batches(360))
    labels = data.test.labels
    every = torch.triu_indices(len(rows), len(rows), offset=1).T
    every = every[torch.randperm(len(every), generator=torch.Generator().manual_seed(0))]
    same = labels[every[:, 0]] == labels[every[:, 1]]
    chosen = torch.cat([every[same][:PAIRS], every[~same][:PAIRS]])
    found = measure.roc(
        measure.pair_distances(rows, chosen, "bray-curtis"), torch.arange(2 * PAIRS) < PAIRS
    )
    rates = [found.rates_at(threshold) for threshold in THRESHOLDS]
    return {
        "of_each_sort": PAIRS, "thresholds": THRESHOLDS, "far": [far for far, _ in rates],
        "frr": [frr for _, frr in rates], "eer": found.eer, "eer_threshold": found.eer_threshold,
    }  # fmt: skip


if __name__ == "__main__":
    main()
