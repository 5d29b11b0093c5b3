"""The grid of the tables from the command line."""

import json
from pathlib import Path

import pytest
from command_line import call

from maxprune.results import Results


def test_the_grid_fills_tables_and_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "grid"
    shared = ("--fc", 8, "--seeds", 2, "--iterations", 12, "--dataset", "digits", "--jobs", 2,
              "--out", out, "--network", "mfc")  # fmt: skip
    code, said, error = call(monkeypatch, capsys, "reproduce", "table1", *shared)
    assert code == 0, error
    assert "control" in said
    table = json.loads((out / "table1.json").read_text())["records"]
    steps = ["no maxout", "maxout k=4", "maxout k=3", "maxout k=2", "maxout k=1", "control"]
    assert [cell["step"] for cell in table] == steps
    for cell in table:
        assert cell["mean"] == pytest.approx(sum(cell["accuracies"]) / 2)
        assert cell["seeds"] == [0, 1]
    code, _, error = call(monkeypatch, capsys, "reproduce", "table2", *shared)
    assert code == 2
    assert "--resume" in error
    code, _, error = call(monkeypatch, capsys, "reproduce", "table2", *shared, "--resume")
    assert code == 0, error
    table = json.loads((out / "table2.json").read_text())["records"]
    assert [cell["step"] for cell in table][-1] == "weights 98%"
    assert all(abs(c["zeroed"] - float(c["step"][8:-1]) / 100) < 0.01 for c in table[1:])
    code, _, error = call(monkeypatch, capsys, "reproduce", "figure1", *shared, "--resume")
    assert code == 0, error
    assert (out / "figure1.svg").read_text().startswith("<svg")
    for curve in json.loads((out / "figure1.json").read_text())["records"]:
        assert len(curve["zeroed"]) == len(curve["alive"])
        assert curve["alive"][0] == 1.0
        assert curve["retrained"] or curve["alive"] == sorted(curve["alive"], reverse=True)
    # The steps of table1 and its control are still there after table2 and figure1.
    results = Results.read(out / "mfc-8-seed0" / "results.json")
    assert len(results.steps) == 12
    assert results.control is not None
    code, _, error = call(
        monkeypatch, capsys, "reproduce", "table1", *shared, "--resume", "--paper"
    )
    assert code == 2
    assert "started without --paper; this one is started with --paper; name another" in error


def test_all_sizes_are_checked_before_any_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--dataset", "digits", "--fc", 16, "--fc", 3, "--out", tmp_path / "grid")
    code, _, error = call(monkeypatch, capsys, "reproduce", "table1", *options)
    assert code == 2
    assert "k = 4 is more than the 3 neurons" in error
    assert not (tmp_path / "grid").exists()
