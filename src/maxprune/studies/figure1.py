"""Figure 1 of Moya Rueda et al. 2017: do neurons die when single weights are pruned?

A neuron is alive while one of its incoming weights is not zero. For a trained network the curve
is found by thresholds alone; the points are the networks of Table 2, retrained at every share.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from torch import nn

from maxprune.errors import StoreError
from maxprune.plan import ZeroPlan
from maxprune.results import AliveCurve, Results
from maxprune.runs.workspace import place_of
from maxprune.store import load
from maxprune.studies.lenet import Cell
from maxprune.studies.pipeline import BASELINE
from maxprune.surgery import alive_neurons, apply
from maxprune.weights import prunable, zero_plan

SHARES = (*(i / 100 for i in range(0, 98, 2)), *(0.98 + i / 1000 for i in range(20)), 0.9995)


def thresholded(model: nn.Module, shares: Iterable[float] = SHARES) -> list[tuple[float, float]]:
    """(share of parameters zeroed, share of neurons alive) by global thresholds alone."""
    total = sum(p.numel() for p in model.parameters())
    weights = sum(w.numel() for w in prunable(model))
    points = []
    for share in shares:
        if share * total < weights:
            plan: ZeroPlan = zero_plan(model, share)
            points.append((plan.zeroed / total, _alive(apply(model, plan))))
    return points


def curves(cell: Cell, folder: Path, results: Results) -> list[AliveCurve]:
    """The curves of one cell: unpruned and at k = 1 by thresholds, and the retrained networks.

    Raises:
        StoreError: the cell's trained networks are not in its folder.
    """
    found = []
    for step in (BASELINE, "maxout k=1"):
        place = place_of(folder, step)
        if not place.exists():
            raise StoreError(f"{place} is not there; name a new --out to train it again")
        points = thresholded(load(place))
        found.append(_curve(cell, step, False, points))
    retrained = [
        (step.zeroed, _alive_of(results, step.name)) for step in results.steps if step.k == 1
    ]
    return [*found, _curve(cell, "maxout k=1", True, retrained)]


def _curve(cell: Cell, step: str, retrained: bool, points: list[tuple[float, float]]) -> AliveCurve:
    return AliveCurve(
        network=cell.network, fc=cell.fc, seed=cell.seed, step=step, retrained=retrained,
        zeroed=[z for z, _ in points], alive=[a for _, a in points],
    )  # fmt: skip


def _alive(model: nn.Module) -> float:
    counts = alive_neurons(model).values()
    return sum(alive for alive, _ in counts) / sum(total for _, total in counts)


def _alive_of(results: Results, step: str) -> float:
    layers = [state for state in results.details.layers if state.step == step]
    return sum(state.alive for state in layers) / sum(state.neurons for state in layers)
