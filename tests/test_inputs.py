"""Inputs that are made up."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import call
from torch import nn

import maxprune
from maxprune.errors import UsageError
from maxprune.inputs import example_inputs


def test_they_are_the_same_at_every_call() -> None:
    net = nn.Linear(3, 2).double()
    assert torch.equal(example_inputs(net, (4, 3)), example_inputs(net, (4, 3)))
    assert example_inputs(net, (4, 3)).dtype == torch.float64
    assert example_inputs(net, (50,), "int").unique().tolist() == [0, 1]
    found = example_inputs(net, (4, 3), count=5)
    assert found.shape == (5, 4, 3)


@pytest.mark.parametrize("side", [10**8, 10**12, 10**30])
def test_what_does_not_fit_into_memory_is_refused(side: int) -> None:
    for make in (
        lambda: example_inputs(nn.Identity(), (side, side)),
        lambda: example_inputs(nn.Identity(), (side, side), "int"),
        lambda: example_inputs(nn.Identity(), (side, side), count=16),
    ):
        with pytest.raises(UsageError, match="there is no memory for"):
            make()


@pytest.mark.parametrize("given", ["1,28,28", "", (), (1, 0), (1.0, 2), 28])
def test_a_shape_that_is_none_is_refused_alike(given: Any) -> None:
    says = re.escape(f"an input shape is a row of numbers from 1, (3, 32, 32), not {given!r}")
    for look in (maxprune.inspect, lambda net, shape: maxprune.bench({"a": net}, shape)):
        with pytest.raises(UsageError, match=says):
            look(nn.Linear(3, 2), given)


def test_a_command_refuses_it_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    network, size = "maxprune.networks:lenet5", ("--input", "1,99999999,99999999")
    code, _, said = call(monkeypatch, capsys, "convert", network, tmp_path / "net.onnx", *size)
    assert code == 2
    assert said == "maxprune: there is no memory for 16 inputs of shape (1, 99999999, 99999999)\n"
