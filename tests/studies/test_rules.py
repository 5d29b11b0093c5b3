"""The rules for maxout units side by side: equal sizes, the paper's rule, resumed and told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import call
from command_line import run as command

from maxprune.errors import UsageError
from maxprune.studies.rules import WAYS, RuleCell, chosen

RULES = ("by lot", "uneven, margin", "one step, as long", "two, together")
OPTIONS = ("--dataset", "digits", "--iterations", 2, "--jobs", 1, "--seeds", 1)


@pytest.fixture(scope="module")
def run(
    in_this_process: None, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[RuleCell]]:
    """A short study of some rules: its folder and its cells."""
    named = [part for rule in RULES for part in ("--rule", rule)]
    out = tmp_path_factory.mktemp("rules") / "out"
    folder = command(out, "reproduce", "rules", *OPTIONS, *named)
    content = json.loads((folder / "rules.json").read_text())
    return folder, [RuleCell.model_validate(one) for one in content["records"]]


def test_all_have_the_same_sizes(run: tuple[Path, list[RuleCell]]) -> None:
    cells = run[1]
    assert list(dict.fromkeys(cell.way for cell in cells)) == [
        "the paper's", "by lot", "uneven, margin", "one step, as long", "two layers",
        "two, together",
    ]  # fmt: skip
    sizes = {(cell.k, cell.parameters[0]) for cell in cells if "two" not in cell.way}
    assert sizes == {(3, 334_444), (2, 231_916), (1, 129_388)}
    both = {cell.k: cell.parameters[0] for cell in cells if cell.way == "two layers"}
    together = {cell.k: cell.parameters[0] for cell in cells if cell.way == "two, together"}
    assert both[1] == together[1] == 35_075
    for k in (2, 3):
        assert 0 <= both[k] - together[k] < 1000  # less than a filter and its readers


def test_each_is_compared_with_the_papers(run: tuple[Path, list[RuleCell]]) -> None:
    cells = {(cell.way, cell.k): cell for cell in run[1]}
    for (way, _), cell in cells.items():
        assert len(cell.p_values) == (0 if way in ("the paper's", "two layers") else 1)
    paper, lot = cells["the paper's", 1], cells["by lot", 1]
    assert lot.difference == pytest.approx(lot.accuracies[0] - paper.accuracies[0])


def test_a_finished_run_is_told_again_and_another_rule_joins_it(
    run: tuple[Path, list[RuleCell]], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    folder, cells = run
    named = ("--rule", "by lot", "--rule", "one step", "--resume", "--json")
    code, out, error = call(
        monkeypatch, capsys, "reproduce", "rules", *OPTIONS, *named, "--out", folder
    )
    assert code == 0, error
    found = [RuleCell.model_validate(one) for one in json.loads(out)]
    assert [cell for cell in found if cell.way != "one step"] == [
        cell for cell in cells if cell.way in ("the paper's", "by lot")
    ]
    assert "one step" in (folder / "rules.txt").read_text()
    assert (folder / "rules.svg").read_text().startswith("<svg")


def test_the_papers_rule_is_always_there() -> None:
    assert chosen(()) == WAYS
    assert [way.name for way in chosen(["margin"])] == ["the paper's", "margin"]
    assert [way.name for way in chosen(["two, together"])] == ["two layers", "two, together"]
    with pytest.raises(UsageError, match="no rule 'best'; there are the paper's; margin; by lot"):
        chosen(["best"])
