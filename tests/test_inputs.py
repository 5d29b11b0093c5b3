"""Inputs that are made up."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from command_line import call
from torch import nn

from maxprune.errors import UsageError
from maxprune.inputs import example_inputs, random_inputs


def test_they_are_the_same_at_every_call() -> None:
    net = nn.Linear(3, 2).double()
    assert torch.equal(example_inputs(net, (4, 3)), example_inputs(net, (4, 3)))
    assert example_inputs(net, (4, 3)).dtype == torch.float64
    assert example_inputs(net, (50,), "int").unique().tolist() == [0, 1]
    found = random_inputs((4, 3), 5)
    assert torch.equal(found, random_inputs((4, 3), 5))
    assert found.shape == (5, 4, 3)
    assert found.min() >= 0
    assert found.max() < 1


@pytest.mark.parametrize("side", [10**8, 10**12, 10**30])
def test_what_does_not_fit_into_memory_is_refused(side: int) -> None:
    for make in (
        lambda: example_inputs(nn.Identity(), (side, side)),
        lambda: example_inputs(nn.Identity(), (side, side), "int"),
        lambda: random_inputs((side, side), 2),
    ):
        with pytest.raises(UsageError, match="there is no memory for"):
            make()


@pytest.mark.parametrize(
    "command", [("convert", "OUT"), ("quantize", "--mode", "dynamic", "--out", "OUT")]
)
def test_commands_refuse_it_in_one_line(
    command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    name, *more = (part.replace("OUT", str(tmp_path / "net.onnx")) for part in command)
    size = ("--input", "1,99999999,99999999")
    code, _, said = call(monkeypatch, capsys, name, "maxprune.networks:lenet5", *more, *size)
    assert code == 2
    assert said == "maxprune: there is no memory for 16 inputs of shape (1, 99999999, 99999999)\n"
