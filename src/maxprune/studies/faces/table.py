"""The paper's Tables 3 and 4 with our network: every step's error rates, over the folds."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from maxprune.errors import UsageError
from maxprune.measure import (
    choose_threshold,
    eer_difference_p_value,
    mean_and_standard_error,
    percent,
    roc,
    verified,
)
from maxprune.measure.significance import SIGNIFICANT
from maxprune.studies.faces.people import FoldData
from maxprune.studies.faces.steps import BASELINE
from maxprune.studies.published import TABLE3, TABLE4
from maxprune.verification_results import FaceCell, FaceRun, Pictured

FAR = 0.01
ROUNDS = 10_000


def face_table(runs: Sequence[FaceRun], data: Mapping[int, FoldData]) -> list[FaceCell]:
    """A cell for every network that all folds have, in the order of the steps.

    Args:
        runs: of any ways of cutting, each in the same folds.
        data: of the folds.

    Raises:
        UsageError: a way of cutting was not run in all of the folds.
    """
    cells: list[FaceCell] = []
    for network in dict.fromkeys(run.network for run in runs):
        own = [run for run in runs if run.network == network]
        if sorted(run.fold for run in own) != sorted(data):
            raise UsageError(f"{network} was not run in all folds")
        for place, step in enumerate(own[0].steps):
            if all(len(run.steps) > place and run.steps[place].name == step.name for run in own):
                cells.append(_cell(own, place, data))
    return cells


def largest_free_share(cells: Sequence[FaceCell]) -> FaceCell | None:
    """The network with the most zeros that is not significantly worse than that without maxout.

    It is chosen by the people held out; the shares are taken in their order, up to the first whose
    EER is higher with p < 0.05.

    Args:
        cells: of one way of cutting.
    """
    first, best = cells[0], None
    for cell in cells:
        if cell.zeroed > 0 or cell.step.startswith("weights"):
            if cell.held > first.held and cell.held_p_value < SIGNIFICANT:
                break
            best = cell
    return best


def best_free(cells: Sequence[FaceCell]) -> FaceCell:
    """The network to take away: of those with the most zeros that cost nothing, the smallest.

    Where no share of weights is free it is the last one without neurons to spare.

    Args:
        cells: of all ways of cutting.
    """
    found = []
    for network in dict.fromkeys(cell.network for cell in cells):
        own = [cell for cell in cells if cell.network == network]
        whole = [cell for cell in own if not cell.step.startswith("weights")]
        found.append(largest_free_share(own) or whole[-1])
    return min(found, key=lambda cell: cell.parameters * (1 - cell.zeroed))


def _cell(runs: Sequence[FaceRun], place: int, data: Mapping[int, FoldData]) -> FaceCell:
    steps = [run.steps[place] for run in runs]
    firsts = [run.steps[0] for run in runs]
    folds = [data[run.fold] for run in runs]
    tested = [(torch.tensor(s.tested), d.tested.same) for s, d in zip(steps, folds, strict=True)]
    held = [(torch.tensor(s.held), d.held.same) for s, d in zip(steps, folds, strict=True)]
    curves = [roc(*pairs) for pairs in tested]
    eers = [100 * curve.eer for curve in curves]
    mean, error = mean_and_standard_error(eers)
    accuracies = [
        percent(verified(*pairs, choose_threshold(*_balanced(*others))))
        for pairs, others in zip(tested, held, strict=True)
    ]
    tars = [tar for curve in curves if (tar := curve.tar_at(FAR)) is not None]
    step, first, network = steps[0], firsts[0], runs[0].network
    return FaceCell(
        network=network, step=step.name, folds=[run.fold for run in runs],
        parameters=step.parameters, removed=1 - step.parameters / first.parameters,
        zeroed=1 - step.nonzero / step.parameters, macs=step.macs,
        bytes=round(statistics.fmean(run.sizes[place] for run in runs)), eers=eers, mean=mean,
        standard_error=error, accuracies=accuracies,
        tar=100 * statistics.fmean(tars) if len(tars) == len(curves) else None,
        held=statistics.fmean(100 * roc(*pairs).eer for pairs in held),
        held_p_value=_p_value(steps, firsts, [d.held.same for d in folds], "held"),
        p_value=_p_value(steps, firsts, [d.tested.same for d in folds], "tested"),
        published=_published(network, step.name), bits=step.bits,
    )  # fmt: skip


def _balanced(distances: Tensor, same: Tensor) -> tuple[Tensor, Tensor]:
    """As many pairs of two people as of one, as the tested pairs have; both are in random order."""
    count = min(int(same.sum()), int((~same).sum()))
    chosen = torch.cat([torch.nonzero(kind).flatten()[:count] for kind in (same, ~same)])
    return distances[chosen], same[chosen]


def _p_value(
    steps: Sequence[Pictured], firsts: Sequence[Pictured], same: Sequence[Tensor], which: str
) -> float:
    """Against the first networks, over all folds."""
    if all(step.name == BASELINE for step in steps):
        return 1.0
    one, other = (
        torch.cat([torch.tensor(getattr(step, which)) for step in networks])
        for networks in (steps, firsts)
    )
    fold = torch.cat([torch.full((len(s),), i) for i, s in enumerate(same)])
    return eer_difference_p_value(one, other, torch.cat(list(same)), ROUNDS, fold=fold)


def _published(network: str, step: str) -> float | None:
    return {**TABLE3.get(network, {}), **TABLE4.get(network, {})}.get(step)
