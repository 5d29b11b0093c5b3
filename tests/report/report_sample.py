"""Plausible synthetic results: a LeNet-MFC of F = 512 pruned to k = 1, then its weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from maxprune.results import Baseline, Curve, Details, LayerState, Results, Step, Wins

PARAMETERS, MACS, BYTES = 440_812, 2_302_000, 1_765_168


def sample_step(name: str, parameters: int, **changes: Any) -> Step:
    """A step with figures that fit its number of parameters."""
    nonzero = changes.pop("nonzero", parameters)
    figures: dict[str, Any] = {
        "name": name,
        "k": 1,
        "parameters": parameters,
        "nonzero": nonzero,
        "removed": (PARAMETERS - parameters) / PARAMETERS,
        "zeroed": (parameters - nonzero) / parameters,
        "macs": MACS - (PARAMETERS - parameters),
        "bytes": 4 * nonzero + 1920,
        "accuracy_before_retraining": 97.5,
        "accuracy": 98.4,
        "p_value": 0.31,
        "seconds": 214.5,
    }
    return Step(**{**figures, **changes})


def sample_steps() -> list[Step]:
    """k = 4, 3, 2, 1, then one global pruning of single weights."""
    return [
        sample_step(
            "maxout k=4",
            436_972,
            k=4,
            accuracy_before_retraining=None,
            accuracy=98.41,
            p_value=0.352,
        ),
        sample_step(
            "maxout k=3",
            334_444,
            k=3,
            accuracy_before_retraining=97.93,
            accuracy=98.52,
            p_value=0.0831,
        ),
        sample_step(
            "maxout k=2",
            231_916,
            k=2,
            accuracy_before_retraining=96.14,
            accuracy=98.49,
            p_value=0.1263,
        ),
        sample_step(
            "maxout k=1",
            129_388,
            k=1,
            accuracy_before_retraining=88.27,
            accuracy=98.36,
            p_value=0.6131,
        ),
        sample_step(
            "weights 95%",
            129_388,
            nonzero=6_547,
            bytes=18_344,
            accuracy_before_retraining=61.08,
            accuracy=98.27,
            p_value=0.8129,
        ),
    ]


def sample_wins(step: str, k: int, seed: int) -> Wins:
    """128 units of k neurons, a tenth of them never active, the least of each removed."""
    draw = np.random.default_rng(seed)
    wins, keep = [], []
    for unit in range(128):
        active = 0 if draw.random() < 0.1 else int(draw.integers(5_000, 40_000))
        weights = [float(draw.exponential()) ** 1.6 for _ in range(k)]
        counts = [int(active * weight / sum(weights)) for weight in weights]
        least = min(range(k), key=lambda i: (counts[i], i))
        keep += [unit * k + i for i in range(k) if i != least]
        wins.append(counts)
    return Wins(step=step, layer="fc1", wins=wins, keep=keep, positions=60_000)


def sample_layers() -> list[LayerState]:
    """conv1, conv2, fc1 and fc2 after every step."""
    found = []
    for step in sample_steps():
        neurons = 128 * step.k
        share = step.nonzero / step.parameters
        shapes = [
            ("conv1", "conv", 1, 20, 520),
            ("conv2", "conv", 20, 50, 25_050),
            ("fc1", "linear", 800, neurons, 801 * neurons),
            ("fc2", "linear", 128, 10, 1_290),
        ]
        for layer, kind, inputs, outputs, parameters in shapes:
            found.append(
                LayerState(
                    step=step.name,
                    layer=layer,
                    kind=kind,
                    inputs=inputs,
                    neurons=outputs,
                    alive=outputs if share == 1 or layer == "fc2" else int(outputs * 0.86),
                    parameters=parameters,
                    nonzero=int(parameters * share),
                )
            )
    return found


def sample_curves() -> list[Curve]:
    """A falling, noisy loss for the baseline and every step."""
    draw = np.random.default_rng(3)
    found = []
    for index, name in enumerate(["no maxout", *(step.name for step in sample_steps())]):
        xs = list(range(250, 10_001, 250))
        start = 0.5 if index < 2 else 0.05 * index
        ys = [start * (x / 250) ** -0.8 * float(draw.uniform(0.8, 1.25)) + 0.006 for x in xs]
        found.append(Curve(step=name, iterations=xs, loss=ys))
    return found


def sample_results(**changes: Any) -> Results:
    """A whole study; `changes` replace fields of the record."""
    steps = sample_steps()
    details = Details(
        command="maxprune study mfc --dataset mnist --features 512 --seed 7 --out runs/mfc-512",
        environment={
            "machine": "2 cores, AMD EPYC (AVX2), 8 GiB",
            "system": "Linux 6.1, Python 3.11.2",
            "torch": "2.13.0+cpu",
            "date": "2026-11-21",
        },
        training={
            "iterations": 10_000,
            "batch": 64,
            "rate": 0.01,
            "momentum": 0.9,
            "weight decay": 0.0005,
            "schedule": "inv",
            "dropout": 0.5,
            "test samples": 10_000,
        },
        notes=["The share of weights to zero was chosen on 5,000 training images held out."],
        wins=[sample_wins(f"maxout k={k - 1}", k, k) for k in (4, 3, 2)],
        layers=sample_layers(),
        curves=sample_curves(),
    )
    content: dict[str, Any] = {
        "study": "mfc",
        "dataset": "MNIST",
        "network": "LeNet-MFC 512",
        "seed": 7,
        "baseline": Baseline(parameters=PARAMETERS, macs=MACS, bytes=BYTES, accuracy=98.30),
        "steps": steps,
        "control": sample_step(
            "control", 129_388, accuracy_before_retraining=None, accuracy=97.88, p_value=0.0042
        ),
        "details": details,
    }
    return Results(**{**content, **changes})
