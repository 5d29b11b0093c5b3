"""The command line: bad input is one line and leaves nothing, and there is help."""

import contextlib
import os
import signal
from pathlib import Path

import pytest
import torch
from command_line import call

from maxprune.errors import UsageError


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("demo", "--k", "999"), "more than the"),
        (("demo", "--k", "1"), "at least k = 2"),
        (("demo", "--layer", "fc9"), "no layer 'fc9'"),
        (("demo", "--layer", "fc2"), "output layer"),
        (("demo", "--weights", "120"), "between 0 and 100"),
        (("demo", "--weights", "many"), "between 0 and 100"),
        (("demo", "--weights", "0.7"), "percentage: 70, not 0.7"),
        (("demo", "--weights", "99.99", "--fc", "16"), "takes every weight"),
        (("demo", "--iterations", "0"), "at least 1"),
        (("demo", "--k", "two"), "--help"),
        (("demo", "--nonsense"), "--nonsense"),
        (("frobnicate",), "frobnicate"),
        (("reproduce", "table1", "--network", "vgg"), "mfc, mc"),
        (("reproduce", "table1", "--fc", "0"), "--fc"),
        (("reproduce", "table1", "--fc", "3", "--dataset", "digits"), "more than the"),
        (("reproduce", "table1", "--seeds", "0"), "--seeds"),
        (("reproduce", "table1", "--jobs", "-1"), "--jobs"),
        (("demo", "--weights", "0.5%", "--k", "999"), "more than the"),
        (("reproduce", "table1", "--dataset", "imagenet"), "imagenet"),
        (("reproduce", "table1", "--data", "/nowhere/at/all"), "/nowhere/at/all"),
        (("reproduce", "table1", "--accounting", "--network", "vgg"), "mfc, mc"),
        (("reproduce", "table3", "--accounting", "--network", "vgg"), "mfc, mc"),
        (("reproduce", "table3"), "table3 needs --weights FILE"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, error = call(monkeypatch, capsys, *arguments)
    assert code == 2
    assert out == ""
    assert error.count("\n") == 1
    assert words in error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [(), ("reproduce",)])
def test_without_a_command_there_is_help(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    code, out, _ = call(monkeypatch, capsys, *arguments)
    assert code == 0
    assert "Commands:" in out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("failure", [UsageError("no"), AttributeError("half imported"), None])
def test_an_interrupt_that_others_caught_is_no_failure(
    number: signal.Signals, failure: Exception | None, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def caught(**_: object) -> None:
        with contextlib.suppress(KeyboardInterrupt):
            os.kill(os.getpid(), number)
        if failure:
            raise failure

    before = signal.getsignal(number)
    monkeypatch.setattr("maxprune.cli.app", caught)
    code, _, said = call(monkeypatch, capsys, "bench")
    assert (code, said) == (128 + number, "maxprune: stopped\n")
    assert signal.getsignal(number) is before


@pytest.mark.parametrize(
    ("command", "says"),
    [
        *((name, "go on with the same command and --resume")
          for name in ("demo", "compress", "compare", "reproduce")),
        *((name, "nothing was changed: start the same command again")
          for name in ("convert", "quantize", "faces")),
    ],
)  # fmt: skip
def test_who_stops_a_command_reads_how_to_go_on(
    command: str, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(**_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("maxprune.cli.app", stopped)
    assert call(monkeypatch, capsys, command) == (130, "", f"maxprune: stopped; {says}\n")


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA: no\nmore"), MemoryError()])
def test_no_memory_is_one_line(
    error: BaseException, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(**_: object) -> None:
        raise error

    monkeypatch.setattr("maxprune.cli.app", full)
    code, out, said = call(monkeypatch, capsys, "compress")
    assert (code, out) == (2, "")
    assert said.startswith("maxprune: out of memory: lower --batch, or do less")
    assert said.count("\n") == 1
