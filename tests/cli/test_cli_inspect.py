"""inspect from the command line."""

import json

import pytest
from command_line import call


def test_inspect_prints_tables_and_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "maxprune.networks:lenet5"
    code, out, _ = call(monkeypatch, capsys, "inspect", name, "--input", "1x28x28")
    assert code == 0
    assert "440,812 parameters" in out
    assert "Where a maxout pays" in out
    code, out, _ = call(
        monkeypatch, capsys, "inspect", name, "--input", "1,28,28", "--json", "--skip", "fc1,conv1"
    )
    assert code == 0
    reasons = {layer["name"]: layer["reason"] for layer in json.loads(out)["layers"]}
    assert reasons["fc1"] == reasons["conv1"] == "it is to be skipped"
    assert reasons["conv2"] == ""


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("maxprune.networks:lenet5", "--input", "28"), "does not take an input of shape (28,): "),
        (("maxprune.networks:lenet5", "--input", "28"), "; say another with --input\n"),
        (
            ("maxprune.networks:lenet5", "--input", "1,28,28", "--skip", "a,"),
            "--skip is a row of n",
        ),
        (("maxprune.networks:lenet5", "--input", "1,a"), "such as 3,32,32, not '1,a'"),
        (("maxprune.networks:lenet5", "--input", "1,28,28", "--skip", "x"), "no layer 'x' to skip"),
        (
            ("maxprune.networks:lenet5", "--input", "1,99999999,99999999"),
            "there is no memory for 2 inputs of shape (1, 99999999, 99999999)",
        ),
        (("maxprune.networks:lenet6", "--input", "1,28,28"), "has no 'lenet6'"),
        (("nowhere", "--input", "1,28,28"), "'nowhere' does not exist"),
        (("maxprune.networks:lenet5",), "Missing option '--input'"),
    ],
)
def test_inspect_refuses_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments, says
) -> None:
    code, out, err = call(monkeypatch, capsys, "inspect", *arguments)
    assert (code, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1
