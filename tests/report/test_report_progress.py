"""The time left, without a terminal."""

import io

import pytest
from rich.console import Console

from maxprune.report.progress import Steps, tell_waiting
from maxprune.train.waiting import Waiting


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


def test_waiting_is_shown_and_what_to_do_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maxprune.report.progress.time.monotonic", lambda: 1.0)
    file, waiting = io.StringIO(), Waiting("more --workers")
    with Steps(Console(file=file, width=200), None, "all", waiting=waiting) as steps:
        steps.report("a", 100, 100)
        waiting.waited, waiting.passed = 2.0, 20.0  # too early to tell
        steps.report("b", 100, 100)
        waiting.waited, waiting.passed = 3.0, 30.0  # a tenth
        steps.report("c", 100, 100)
        waiting.waited, waiting.passed = 13.0, 40.0
        steps.report("d", 100, 100)
        steps.report("e", 100, 100)
    assert file.getvalue().splitlines() == [
        "a: 100 of 100 iterations; 0 s",
        "b: 100 of 100 iterations; 0 s; waiting for data 10%",
        "c: 100 of 100 iterations; 0 s; waiting for data 10%",
        "d: 100 of 100 iterations; 0 s; waiting for data 32%",
        "32% of the training's time is spent waiting for data: more --workers",
        "e: 100 of 100 iterations; 0 s; waiting for data 32%",
    ]


def test_pictures_in_memory_bring_no_advice() -> None:
    file = io.StringIO()
    assert not tell_waiting(Console(file=file), Waiting("", 20.0, 40.0))
    assert not file.getvalue()
