from __future__ import annotations

import pytest
from report_sample import PARAMETERS, sample_results, sample_step

from maxprune.report.words import verdict
from maxprune.results import Results


def study(accuracy: float, p_value: float, nonzero: int = 129_388) -> Results:
    steps = [
        sample_step("maxout k=2", 231_916, k=2, accuracy=98.31, p_value=0.9),
        sample_step("last", 129_388, nonzero=nonzero, accuracy=accuracy, p_value=p_value),
    ]
    return sample_results(steps=steps, control=None)


@pytest.mark.parametrize(
    ("accuracy", "p_value", "outcome", "words"),
    [
        (98.27, 0.81, "same", "no significant loss (p = 0.8100)"),
        (98.36, 0.61, "same", "no significant difference (p = 0.6100)"),
        (98.30, 1.0, "same", "exactly the same accuracy (p = 1.0000)"),
        (97.10, 0.05, "worse", "significantly worse (p = 0.0500)"),
        (97.10, 0.0501, "same", "no significant loss"),
        (97.10, 0.00002, "worse", "significantly worse (p < 0.0001)"),
        (98.80, 0.004, "better", "significantly better (p = 0.0040)"),
    ],
)
def test_the_verdict_is_honest(accuracy: float, p_value: float, outcome: str, words: str) -> None:
    found = verdict(study(accuracy, p_value))
    assert found.outcome == outcome
    assert words in found.sentence
    assert f"accuracy {accuracy:.2f}% against 98.30%" in found.sentence
    assert found.sentence.startswith("70.65% of the parameters are gone;")


def test_zeroed_parameters_are_said_apart() -> None:
    assert "gone and 94.94% of the rest are zero;" in verdict(study(98.3, 1, 6_547)).sentence
    whole = sample_step("zeros", PARAMETERS, nonzero=PARAMETERS // 2)
    sentence = verdict(sample_results(steps=[whole])).sentence
    assert sentence.startswith("No parameter is gone, 50.00% of them are zero")


def test_a_bad_end_names_the_smallest_good_step() -> None:
    remarks = verdict(study(97.1, 0.001)).remarks
    assert len(remarks) == 1
    assert "“maxout k=2”: 47.39% removed" in remarks[0]
    bad = [sample_step("only", 129_388, accuracy=90.0, p_value=0.001)]
    assert "Every step is" in verdict(sample_results(steps=bad)).remarks[0]


def test_no_steps() -> None:
    assert verdict(sample_results(steps=[], control=None)).sentence.startswith("Nothing was")
