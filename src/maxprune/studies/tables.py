"""Tables 1 and 2, and coded files: our mean and spread over seeds, and the published figure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from maxprune.compression.coding import coded_name
from maxprune.results import Results, Step, TableCell
from maxprune.runs.measured import step_name
from maxprune.studies.pipeline import BASELINE
from maxprune.studies.published import SHARES, TABLE1, TABLE2

TABLE1_STEPS = (BASELINE, "maxout k=4", "maxout k=3", "maxout k=2", "maxout k=1", "control")
TABLE2_STEPS = ("maxout k=1", *(step_name(share) for share in SHARES))


def table1(results: Sequence[Results]) -> list[TableCell]:
    """The cells of Table 1, with the control that the paper lacks."""
    return _table(results, TABLE1_STEPS, TABLE1)


def table2(results: Sequence[Results]) -> list[TableCell]:
    """The cells of Table 2."""
    return _table(results, TABLE2_STEPS, TABLE2)


def coded_cells(results: Sequence[Results], coded: Sequence[tuple[float, int]]) -> list[TableCell]:
    """The networks without maxout, at k = 1, with zeros and in coded files.

    Args:
        results: of the cells.
        coded: (share of zeros, bits).
    """
    steps = [BASELINE, "maxout k=1"]
    for share in dict.fromkeys(share for share, _ in coded):
        steps.append(step_name(share))
        steps += [coded_name(b, step_name(share)) for part, b in coded if part == share]
    return _table(results, steps, {})


def _table(
    results: Sequence[Results],
    steps: Sequence[str],
    published: dict[tuple[str, int], dict[str, float]],
) -> list[TableCell]:
    cells = []
    for network in dict.fromkeys(r.network for r in results):
        runs = [r for r in results if r.network == network]
        _, kind, fc = network.split("-")
        for name in steps:
            found = [step for run in runs if (step := _find(run, name)) is not None]
            if len(found) == len(runs):
                figure = published.get((kind, int(fc)), {}).get(name)
                cells.append(_cell(kind, int(fc), name, runs, found, figure))
    return cells


def _find(results: Results, name: str) -> Step | None:
    if name == "control":
        return results.control
    if name == BASELINE:
        base = results.baseline
        return Step(
            name=name, k=1, parameters=base.parameters, nonzero=base.parameters, removed=0,
            zeroed=0, macs=base.macs, bytes=base.bytes, accuracy_before_retraining=None,
            accuracy=base.accuracy, p_value=1, seconds=0,
        )  # fmt: skip
    return next((step for step in results.steps if step.name == name), None)


def _cell(
    network: str,
    fc: int,
    name: str,
    runs: Sequence[Results],
    steps: Sequence[Step],
    published: float | None,
) -> TableCell:
    accuracies = [step.accuracy for step in steps]
    mean = statistics.fmean(accuracies)
    return TableCell(
        network=network, fc=fc, step=name, seeds=[run.seed for run in runs],
        parameters=steps[0].parameters, removed=steps[0].removed, zeroed=steps[0].zeroed,
        accuracies=accuracies, mean=mean,
        spread=statistics.stdev(accuracies) if len(accuracies) > 1 else None,
        last_iteration=statistics.fmean(run.details.last_iteration[name] for run in runs),
        p_values=[step.p_value for step in steps], bytes=[step.bytes for step in steps],
        published=published,
        # A rounding error of the mean must not decide; a sample of the test set is 0.01 points.
        reached=None if published is None else mean >= published - 1e-9,
    )  # fmt: skip
