"""Figures and verdicts in plain words, the same in the terminal, the plots and the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from maxprune.measure.significance import SIGNIFICANT
from maxprune.plural import plural
from maxprune.results import Baseline, Results, Step

Outcome = Literal["better", "same", "worse"]


def count(value: int) -> str:
    """A whole number with thousands separators.

    >>> count(440812)
    '440,812'
    """
    return f"{value:,}"


def span(values: Sequence[int]) -> str:
    """One number, or the smallest and the largest.

    Example:
        >>> span([1200, 1200]), span([1300, 1200])
        ('1,200', '1,200-1,300')
    """
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,}-{high:,}"


def percent(value: float) -> str:
    """A percentage with two decimals; what is under 100 is never shown as 100.

    >>> percent(70.648), percent(99.999), percent(100)
    ('70.65', '99.99', '100.00')
    """
    text = f"{value:.2f}"
    return "99.99" if text == "100.00" and value < 100 else text


def equals(p_value: float) -> str:
    """A p-value as it stands in a sentence.

    >>> equals(0.61), equals(0.00001)
    ('p = 0.6100', 'p < 0.0001')
    """
    text = probability(p_value)
    return f"p < {text[1:]}" if text.startswith("<") else f"p = {text}"


def before_and_after(tested: str) -> str:
    """What the columns of those names are.

    >>> before_and_after("test")
    'before, after: test accuracy right after the cut, and after retraining'
    """
    return f"before, after: {tested} accuracy right after the cut, and after retraining"


def probability(value: float) -> str:
    """A p-value with four decimals; what is smaller is never shown as zero.

    >>> probability(0.61), probability(0.00001)
    ('0.6100', '<0.0001')
    """
    return "<0.0001" if value < 0.0001 else f"{value:.4f}"


def outcome(step: Step, baseline: Baseline) -> Outcome:
    """Whether the accuracy of `step` differs significantly from the baseline's, and which way."""
    if step.p_value > SIGNIFICANT or step.accuracy == baseline.accuracy:
        return "same"
    return "worse" if step.accuracy < baseline.accuracy else "better"


@dataclass(frozen=True)
class Verdict:
    """What a study found, in words: a badge of a few, a sentence, and what else must be said."""

    outcome: Outcome
    badge: str
    sentence: str
    remarks: list[str]


def verdict(results: Results) -> Verdict:
    """The verdict on the last step of a study."""
    if not results.steps:
        text = f"Nothing was pruned; accuracy {percent(results.baseline.accuracy)}%."
        return Verdict("same", "Nothing was pruned", text, [])
    last, base = results.steps[-1], results.baseline
    found = outcome(last, base)
    badge = _badge(last, base)
    sentence = (
        f"{_gone(last)}; accuracy {percent(last.accuracy)}% against {percent(base.accuracy)}%: "
        f"{badge[0].lower()}{badge[1:]} ({equals(last.p_value)})."
    )
    return Verdict(found, badge, sentence, _remarks(results, found))


def _badge(step: Step, baseline: Baseline) -> str:
    """The outcome in two or three words."""
    if step.accuracy == baseline.accuracy:
        return "Exactly the same accuracy"
    lower = step.accuracy < baseline.accuracy
    if step.p_value > SIGNIFICANT:
        return "No significant loss" if lower else "No significant difference"
    return "Significantly worse" if lower else "Significantly better"


def _gone(step: Step) -> str:
    """What became of the parameters."""
    if step.zeroed == 0:
        if step.removed == 0:
            return "No parameter is gone"
        return f"{percent(100 * step.removed)}% of the parameters are gone"
    if step.removed == 0:
        return f"No parameter is gone, {percent(100 * step.zeroed)}% of them are zero"
    return (
        f"{percent(100 * step.removed)}% of the parameters are gone "
        f"and {percent(100 * step.zeroed)}% of the rest are zero"
    )


def _remarks(results: Results, found: Outcome) -> list[str]:
    """The way out where the last step is worse, and what a control from random weights reached."""
    remarks = []
    if found == "worse":
        good = [s for s in results.steps if outcome(s, results.baseline) != "worse"]
        best = min(good, key=lambda step: step.bytes, default=None)
        if best is None:
            remarks.append("Every step is significantly worse than the unpruned network.")
        else:
            remarks.append(
                f"The smallest network that is not significantly worse is that of step "
                f"“{best.name}”: {percent(100 * best.removed)}% removed, "
                f"{plural(best.bytes, 'byte')}, accuracy {percent(best.accuracy)}%."
            )
    if results.control is not None and results.details.search is None:
        remarks.append(
            "The control, the final architecture trained from random weights, reaches "
            f"{percent(results.control.accuracy)}%."
        )
    return remarks


def points(value: float) -> str:
    """Points of accuracy with two decimals and a true minus sign.

    >>> points(0.456), points(-0.1)
    ('0.46', '−0.10')
    """
    return f"{value:.2f}".replace("-", "\N{MINUS SIGN}")
