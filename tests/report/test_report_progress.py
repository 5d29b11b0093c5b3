"""The time left, without a terminal."""

import io

import pytest
from rich.console import Console

from maxprune.report.progress import Steps


def spoken(monkeypatch: pytest.MonkeyPatch, reports: list[tuple[float, int]]) -> list[str]:
    """The lines that a part of 1,000 iterations says at (second, iterations done)."""
    clock = [0.0]
    monkeypatch.setattr("maxprune.report.progress.time.monotonic", lambda: clock[0])
    file = io.StringIO()
    with Steps(Console(file=file, width=200), 1000, "all") as steps:
        for second, done in reports:
            clock[0] = second
            steps.report("part", done, 1000)
    return file.getvalue().splitlines()


def test_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    reports = [(50.0 * i, 100 * i) for i in range(11)]
    lines = spoken(monkeypatch, reports)
    assert lines[0] == "part: 200 of 1,000 iterations; all: 20%, 100 s, about 400 s left"
    assert lines[-1] == "part: 1,000 of 1,000 iterations; all: 100%, 500 s, about 0 s left"


def test_what_an_earlier_run_did_took_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = spoken(monkeypatch, [(1, 0), (2, 700), (61, 800), (122, 900)])
    assert lines == [
        "part: 800 of 1,000 iterations; all: 80%, 61 s, about 122 s left",
        "part: 900 of 1,000 iterations; all: 90%, 122 s, about 61 s left",
    ]


def test_all_done_by_an_earlier_run(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = spoken(monkeypatch, [(1, 0), (2, 1000)])
    assert lines == ["part: 1,000 of 1,000 iterations; all: 100%, 2 s"]
