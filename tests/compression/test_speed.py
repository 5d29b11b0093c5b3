"""In which precision a compression trains, and whether compiled."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from maxprune.compression import speed
from maxprune.compression.settings import Compression
from maxprune.compression.speed import with_speed
from maxprune.data import load
from maxprune.data.samples import Splits
from maxprune.data.spec import as_splits
from maxprune.files import write_json
from maxprune.train import Fitting


@pytest.fixture(scope="module")
def data() -> Splits:
    return as_splits(load("digits"))


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))


def chosen(data: Splits, folder: Path | None = None, **asked: object) -> tuple[str, bool]:
    settings = Compression(keep_accuracy=1, **asked)  # type: ignore[arg-type]
    found = with_speed(Fitting(), settings, network(), data, folder)
    return found.precision, found.compiled


def test_equal_seeds_give_equal_results_by_default(data: Splits) -> None:
    assert chosen(data) == ("float32", False)


def test_what_is_asked_for_is_taken(data: Splits) -> None:
    assert chosen(data, precision="bfloat16", compiled=True) == ("bfloat16", True)


def test_the_clock_is_asked_once_and_a_run_that_goes_on_keeps_its_answer(
    data: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def precision(model: nn.Module, x: torch.Tensor, *_: object) -> str:
        asked.append(len(x))
        return "bfloat16"

    monkeypatch.setattr(speed, "measured_precision", precision)
    monkeypatch.setattr(speed, "measured_compiling", lambda *given: given[-1] == "bfloat16")
    assert chosen(data, tmp_path, precision="auto", compiled="auto") == ("bfloat16", True)
    assert asked == [128]
    write_json(tmp_path / "run.json", {"training": {"precision": "float32", "compiled": False}})
    assert chosen(data, tmp_path, precision="auto", compiled="auto") == ("float32", False)
    assert chosen(data, tmp_path, precision="bfloat16") == ("bfloat16", False)
    assert asked == [128]
