"""`maxprune compare` as it is called."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import call

from maxprune.comparison import Comparison

NETWORK = ("compare", "maxprune.networks:lenet5", "--data", "digits")


def test_a_comparison_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    arguments = (
        *NETWORK, "--out", out, "--methods", "pls,bn-scale", "--sizes", "0.5", "--seeds", 1,
        "--train-epochs", 0.2, "--epochs", 0.2, "--jobs", 1,
    )  # fmt: skip
    code, said, err = call(monkeypatch, capsys, *arguments)
    assert code == 0
    assert "≤ 50%  pls" in said
    assert "bn-scale did not reach every size: there is no batch norm" in said
    assert "pls-seed0: 2 of 2 iterations" in err
    found = Comparison.read(out / "comparison.json")
    assert found.network == "maxprune.networks:lenet5"
    assert found.details.command.startswith("maxprune compare maxprune.networks:lenet5")
    assert found.compared[0].parameters <= found.starts[0].parameters / 2
    assert "≤ 50%" in (out / "comparison.txt").read_text()
    assert (out / "comparison.svg").read_text().startswith("<svg")
    code, _, err = call(monkeypatch, capsys, *arguments)
    assert (code, "holds this run already; go on with --resume" in err) == (2, True)
    code, said, _ = call(monkeypatch, capsys, *arguments, "--resume", "--json")
    assert code == 0
    assert json.loads(said)["compared"][0]["method"] == "pls"
    code, _, err = call(monkeypatch, capsys, *arguments, "--resume", "--rate", 0.1)
    assert (code, "holds the results of another run (comparing how rate" in err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--methods", "best"), "there is no method 'best'; there are maxout, pls"),
        (("--sizes", "0"), "sizes.0: Input should be greater than 0"),
        (("--sizes", "0.5,"), "--sizes is a row of numbers such as 0.75,0.5,0.25, not '0.5,'"),
        (("--train-epochs", "inf"), "train_epochs: Input should be a finite number"),
        (("--sizes", "0.5,0.5"), "every size is named once"),
        (("--by", "bytes"), "by: Input should be 'parameters' or 'macs'"),
        (("--epochs", "0"), "epochs: Input should be greater than 0"),
        (("--train-epochs", "0", "--methods", "scratch"), "a network that is trained here"),
        (("--seeds", "0"), "Invalid value for '--seeds'"),
        (("--skip", "x"), "no layer 'x'"),
        (("--sizes", "0.5,0.0001"), "down to a size of 0.0001 (0.00"),
        (("--skip", "conv1,conv2,fc1", "--methods", "pls"), "nothing in the network can be cut"),
        (("--fit", "no.py:fit"), "no.py does not exist"),
    ],
)
def test_it_refuses_in_one_line_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...], says: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    code, said, err = call(monkeypatch, capsys, *NETWORK, *arguments)
    assert (code, said) == (2, "")
    assert says in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
