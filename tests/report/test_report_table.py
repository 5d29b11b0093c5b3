from __future__ import annotations

import io

import pytest
from report_sample import sample_results, sample_step
from rich.console import Console

from maxprune.report import steps_table
from maxprune.results import Baseline, Results


def printed(results: Results, width: int = 80) -> list[str]:
    output = io.StringIO()
    Console(file=output, width=width).print(steps_table(results))
    return output.getvalue().splitlines()


def cells(lines: list[str], name: str) -> list[str]:
    return next(line for line in lines if line.startswith(name)).removeprefix(name).split()


def test_shows_every_figure_in_eighty_columns() -> None:
    lines = printed(sample_results())
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    assert "…" not in text
    assert "FLOP" not in text.upper()
    assert "MACs" in text
    assert cells(lines, "no maxout") == (
        ["440,812", "0.00", "-", "2,302,000", "1,765,168", "-", "98.30", "-"]
    )
    assert cells(lines, "weights 95%") == (
        ["129,388", "70.65", "94.94", "1,990,576", "18,344", "61.08", "98.27", "0.8129"]
    )


def test_has_the_baseline_first_and_the_control_last() -> None:
    names = ["no maxout", "maxout k=4", "maxout k=3", "maxout k=2", "maxout k=1", "weights 95%"]
    lines = printed(sample_results())
    found = [line for line in lines if any(character.isdigit() for character in line)][1:]
    assert [line[:11].strip() for line in found] == [*names, "control"]
    assert not any(line.startswith("control") for line in printed(sample_results(control=None)))


def test_figures_of_a_column_end_at_the_same_place() -> None:
    lines = printed(sample_results())
    rows = [line for line in lines if line.startswith(("maxout", "weights"))]
    assert len({line.rindex(",") for line in rows}) == 1
    assert {len(line.rstrip()) for line in rows} == {len(rows[0].rstrip())}


def test_has_no_colour_when_piped() -> None:
    assert "\x1b" not in "\n".join(printed(sample_results()))


def test_large_networks_have_one_unit_a_column() -> None:
    base = Baseline(parameters=145_002_878, macs=15_470_314_496, bytes=580_011_512, accuracy=97.3)
    step = sample_step(
        "maxout after fc6, k=4", 132_419_966, removed=0.0868, macs=15_000_000_000, bytes=529_000_000
    )
    lines = printed(sample_results(baseline=base, steps=[step], control=None))
    assert max(map(len, lines)) <= 80
    assert "…" not in "\n".join(lines)
    assert cells(lines, "no maxout")[:4] == ["145,002.9", "0.00", "15,470.3", "580,011.5"]


def test_a_column_that_says_nothing_is_left_out() -> None:
    whole = "\n".join(printed(sample_results()))
    assert "zeroed" in whole
    assert "before retraining" not in whole
    assert "right after the cut, and after retraining" in whole
    step = sample_step("1", 129_388, accuracy_before_retraining=None)
    less = "\n".join(printed(sample_results(steps=[step], control=None)))
    assert "zeroed" not in less
    assert "before" not in less
    assert "after: test accuracy after retraining" in less


@pytest.mark.parametrize("name", ["[bold]x[/bold]", "<script>", "$x_1$"])
def test_names_are_text(name: str) -> None:
    assert any(name in line for line in printed(sample_results(study=name), 120))
    steps = [sample_step(name, 129_388)]
    assert any(line.startswith(name) for line in printed(sample_results(steps=steps), 120))


def test_a_long_name_wraps_and_no_figure_is_lost() -> None:
    name = "a step with a name that is far too long for one line"
    lines = printed(sample_results(steps=[sample_step(name, 129_388)], control=None))
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    for word in [*name.split(), "129,388", "1,990,576", "519,472", "0.3100"]:
        assert word in text
