"""How a network was found: the trials of a search, for the terminal and the page."""

from __future__ import annotations

from rich.table import Table

from maxprune.report.plain import figures, plain_table
from maxprune.report.words import count, percent
from maxprune.results import Results, Search, Trial

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
        f"{percent(trial.accuracy):>8}% right, loses at most {points(trial.loss_bound)}: {verdict}"
    )


def trials_table(found: Search) -> Table:
    """Every trial of a search, a row each."""
    table = plain_table(
        f"How it was found: {found.goal}",
        f"on {count(found.samples)} validation samples; {EXPLANATION}",
    )
    table.add_column("trial", overflow="fold")
    figures(table, "params", "MACs", "before\n%", "after\n%", "loss\n<=", "taken")
    for trial in found.trials:
        table.add_row(*trial_cells(trial))
    return table


def trial_cells(trial: Trial) -> tuple[str, ...]:
    """The cells of one trial."""
    before = trial.accuracy_before_retraining
    return (
        trial.step, count(trial.parameters), count(trial.macs),
        "-" if before is None else percent(before),
        "-" if trial.accuracy is None else percent(trial.accuracy),
        "-" if trial.loss_bound is None else points(trial.loss_bound),
        "yes" if trial.taken else "no",
    )  # fmt: skip


def points(value: float) -> str:
    """Points of accuracy with two decimals and a true minus sign.

    >>> points(0.456), points(-0.1)
    ('0.46', '−0.10')
    """
    return f"{value:.2f}".replace("-", "\N{MINUS SIGN}")


def conclusion(results: Results) -> list[str]:
    """What the search ended with, in sentences; none for a study without a search."""
    found = results.details.search
    if found is None:
        return []
    sentences = []
    if not results.steps:
        sentences.append("No step passed: the network is as it was.")
    elif found.test_loss_bound is not None:
        sentences.append(
            "On the test set, looked at once, it loses at most "
            f"{points(found.test_loss_bound)} points with 95% confidence"
            + (
                "."
                if found.keep_accuracy is None
                else f", {'below' if found.test_loss_bound < found.keep_accuracy else 'ABOVE'} the "
                f"{found.keep_accuracy:g} that may be lost."
            )
        )
    if found.missed:
        names = {"macs": "MACs", "latency_ms": "latency"}
        missed = ", ".join(names.get(name, name) for name in found.missed)
        sentences.append(f"The budget could not be met ({missed}); this is the smallest reached.")
    return sentences
