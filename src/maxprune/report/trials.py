"""How a network was found: the trials of a search, for the terminal and the page."""

from __future__ import annotations

import math

import torch
from rich.console import RenderableType
from rich.table import Table

from maxprune.measure import loss_bound
from maxprune.plural import plural
from maxprune.report.frontier import frontier_table
from maxprune.report.plain import figures, plain_table
from maxprune.report.table import steps_table
from maxprune.report.words import before_and_after, count, equals, percent, points
from maxprune.results import Budget, Results, Search, Trial

NAMES = {"macs": "MACs", "latency_ms": "latency"}
EXPLANATION = (
    "loss: the largest loss of accuracy, in points, that Tango's paired test of non-inferiority "
    "(1998) does not refute with 95% confidence"
)


def trial_line(trial: Trial) -> str:
    """One trial as a line that stays, while the search goes on."""
    verdict = "taken" if trial.taken else "taken back"
    if trial.accuracy is None or trial.loss_bound is None:
        return f"{trial.step:<28}broke off: {trial.reason}"
    return (
        f"{trial.step:<28}{count(trial.parameters):>12} parameters"
        f"{percent(trial.accuracy):>8}% right, {at_most(trial.loss_bound)}: {verdict}"
    )


def trials_table(found: Search) -> Table:
    """Every trial of a search, a row each."""
    table = plain_table(
        f"How it was found: {found.goal}",
        f"on {plural(found.samples, 'validation sample')}\n{before_and_after('validation')}\n"
        f"{EXPLANATION}{shared(found)}",
    )
    headers = trial_headers(found)
    table.add_column(headers[0], overflow="fold")
    figures(table, *headers[1:])
    for trial in found.trials:
        table.add_row(*trial_cells(trial, found))
    return table


def shared(found: Search) -> str:
    """What is judged over how many looks, in a few words; empty where all is judged alone."""
    if found.looks == 1 or found.keep_accuracy is None:
        return ""
    each = f"{found.looks} looks, each at {100 - 5 / found.looks:g}%"
    return f"; * over {each}, as it may be the last network"


def trial_headers(found: Search) -> list[str]:
    """The columns; milliseconds only where they were measured."""
    ms = ["ms"] if _timed(found) else []
    return ["trial", "params", "MACs", *ms, "before\n%", "after\n%", "loss\n<=", "taken"]


def trial_cells(trial: Trial, found: Search) -> list[str]:
    """The cells of one trial."""
    before, ms = trial.accuracy_before_retraining, trial.latency_ms
    timed = [] if not _timed(found) else ["-" if ms is None else f"{ms:.3g}"]
    marked = "*" if trial.last and shared(found) else ""
    return [
        trial.step, count(trial.parameters), count(trial.macs), *timed,
        "-" if before is None else percent(before),
        "-" if trial.accuracy is None else percent(trial.accuracy),
        "-" if trial.loss_bound is None else points(trial.loss_bound) + marked,
        "yes" if trial.taken else "no",
    ]  # fmt: skip


def _timed(found: Search) -> bool:
    return any(trial.latency_ms is not None for trial in found.trials)


def at_most(bound: float) -> str:
    """What a bound of the loss says, in points: a negative one is a gain.

    >>> at_most(0.456), at_most(-4.2)
    ('loses at most 0.46', 'gains at least 4.20')
    """
    return f"gains at least {-bound:.2f}" if bound < 0 else f"loses at most {bound:.2f}"


def summary(results: Results) -> list[RenderableType]:
    """Everything in tables and sentences: the trials, the steps, the conclusion, the notes."""
    search = results.details.search
    trials: list[RenderableType] = [] if search is None else [trials_table(search), ""]
    frontier = frontier_table(results)
    beside: list[RenderableType] = [] if frontier is None else ["", frontier]
    ending = [*conclusion(results), *results.details.notes]
    return [*trials, steps_table(results), *beside, *ending]


def conclusion(results: Results) -> list[str]:
    """What the search ended with, in sentences; none for a study without a search."""
    found = results.details.search
    if found is None:
        return []
    samples = int(results.details.training.get("test samples", 0))
    remarks = [f"{trial.step}: {trial.remark}." for trial in found.trials if trial.remark]
    ending = [*_untrained(found), *_ending(results, found, samples)]
    said = [*ending, *_many(found), *_additional(results, found), *_broken(found)]
    return [*said, *remarks, *_budgets(found)]


def _many(found: Search) -> list[str]:
    """Whether more networks lost too much than the confidence was shared among."""
    bounds = [trial.loss_bound for trial in found.trials if trial.loss_bound is not None]
    lost = sum(found.keep_accuracy is not None and b >= found.keep_accuracy for b in bounds)
    if found.looks == 1 or lost <= found.looks:
        return []
    return [
        f"{plural(lost, 'network')} failed, more than the {found.looks} looks that the 95% hold "
        "over: where more than those really lose too much, it is a little less (--looks)."
    ]


def _untrained(found: Search) -> list[str]:
    """Whether the network was no better than a guess before anything was cut."""
    if found.guess is None:
        return []
    error = math.sqrt(found.guess * (100 - found.guess) / found.samples)
    if found.validation > found.guess + 2 * error:
        return []
    return [
        f"BEFORE ANY CUT the network was no better than a guess: right on {found.validation:.2f}% "
        f"of the validation samples, where always naming the commonest class is on "
        f"{found.guess:.2f}%. So nothing that follows speaks for the cuts; train it first."
    ]


def _ending(results: Results, found: Search, samples: int) -> list[str]:
    """What became of the network."""
    if not results.steps and found.budgets and not found.missed:
        return ["The network is within its budget as it was: nothing was cut."]
    if not results.steps:
        over = f" over {plural(found.looks, 'look')}" if any(t.taken for t in found.trials) else ""
        return [f"No step passed{over}: the network is as it was."]
    bound = found.test_loss_bound
    if bound is None:
        return []
    says = f"On the test set, looked at once, it {at_most(bound)} points with 95% confidence"
    if bound < 0 or found.keep_accuracy is None:
        return [f"{says}."]
    if bound < found.keep_accuracy:
        return [f"{says}, below the {found.keep_accuracy:g} that may be lost."]
    same = torch.ones(samples, dtype=torch.bool)
    least = loss_bound(same, same)
    if least >= found.keep_accuracy:
        return [
            f"{says}; a test set of {plural(samples, 'sample')} is too small to show "
            f"less than {points(least)}, and so not the {found.keep_accuracy:g} that may be lost."
        ]
    return [f"{says}, ABOVE the {found.keep_accuracy:g} that may be lost."]


def _additional(results: Results, found: Search) -> list[str]:
    """What the additional training brings without any cut, or that nobody has measured it."""
    if not results.steps:
        return []
    last, control = results.steps[-1], found.control
    if control is None or results.control is None:
        if last.accuracy <= results.baseline.accuracy:
            return []
        return [
            "Part of the gain may come from the additional training, of which the unpruned network "
            "had none; --control (control=True in Python) measures it."
        ]
    difference = f"{control.difference:+.2f}".replace("-", "\N{MINUS SIGN}")
    return [
        "The control, the unpruned network retrained as often "
        f"({plural(control.retrainings, 'time')}), has {percent(results.control.accuracy)}% "
        f"{results.tested} accuracy, the pruned one {percent(last.accuracy)}% "
        f"({difference} points, {equals(control.p_value)})."
    ]


def _broken(found: Search) -> list[str]:
    """Why trials broke off; the same reason once."""
    reasons: dict[str, list[str]] = {}
    for trial in found.trials:
        if trial.reason:
            reasons.setdefault(trial.reason, []).append(trial.step)
    return [f"Broke off: {', '.join(steps)}: {reason}." for reason, steps in reasons.items()]


def _budgets(found: Search) -> list[str]:
    """What was reached of every budget."""
    says = [
        f"{NAMES.get(b.name, b.name)}: {_size(b, b.reached)} of at most {_size(b, b.most)}, "
        f"{_size(b, b.start)} at the start"
        for b in found.budgets
    ]
    sentences = [f"Budget: {'; '.join(says)}."] if says else []
    if found.missed:
        missed = ", ".join(NAMES.get(name, name) for name in found.missed)
        sentences.append(f"The budget could not be met ({missed}); this is the smallest reached.")
    return sentences


def _size(budget: Budget, value: float) -> str:
    return f"{value:.3g} ms" if budget.name == "latency_ms" else count(round(value))
