"""`--kind`: networks that take whole numbers, in every command that makes up inputs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from command_line import call
from torch import nn

import maxprune
from maxprune.runtime.engines import Source, open_engine
from maxprune.store import OnnxNetwork, describe, export_onnx


@maxprune.factory
def words() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Embedding(9, 8), nn.Flatten(), nn.Linear(24, 16), nn.Linear(16, 4))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return maxprune.save(words(), tmp_path / "words")


def test_whole_numbers_go_in(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = ("--input", "3", "--kind", "int")
    code, said, _ = call(monkeypatch, capsys, "inspect", folder, *whole, "--json")
    assert (code, json.loads(said)["layers"][0]["kind"]) == (0, "Embedding")
    out = folder.parent / "words.maxprune"
    code, said, _ = call(monkeypatch, capsys, "convert", folder, out, *whole)
    assert (code, "checked on 16 inputs" in said, bool(describe(out).graph)) == (0, True, True)
    out = folder.parent / "words.onnx"
    given = ("quantize", folder, "--mode", "dynamic", "--out", out)
    code, _, error = call(monkeypatch, capsys, *given, *whole)
    assert (code, error) == (0, "")
    assert OnnxNetwork(out)(torch.tensor([[0, 5, 8]])).shape == (1, 4)


WHOLE = "maxprune: {} takes whole numbers, not floats: give --kind int\n"


@pytest.mark.parametrize("command", ["inspect", "bench", "convert", "quantize"])
@pytest.mark.parametrize(
    ("kind", "says"),
    [(("--kind", "text"), "maxprune: --kind is float or int, not 'text'\n"), ((), WHOLE)],
    ids=["other numbers", "floats for whole numbers"],
)
def test_what_does_not_fit_is_refused_alike(
    command: str, kind: tuple[str, ...], says: str, folder: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    out = {"convert": [folder.parent / "words.pt2"], "quantize": ["--mode", "dynamic"]}
    given = (command, folder, *out.get(command, []), "--input", "3", *kind)
    code, _, error = call(monkeypatch, capsys, *given)
    assert (code, error) == (2, says.format("words" if command == "bench" else "the network"))


def test_an_onnx_file_says_itself_which_numbers_it_takes(tmp_path: Path) -> None:
    place = export_onnx(words(), tmp_path / "words.onnx", torch.zeros(2, 3, dtype=torch.long))
    opened = open_engine("onnx", Source("words", str(place)), (3,), "float", "cpu", 1)
    (found,) = opened.prepare(opened.inputs(2))()  # type: ignore[misc]
    assert found.shape == (2, 4)


@pytest.mark.parametrize("given", [("convert", "words.maxprune"), ("quantize", "--data", "digits")])
def test_without_random_inputs_it_would_do_nothing(
    given: tuple[str, ...], folder: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(folder.parent)
    command, *rest = given
    code, _, error = call(monkeypatch, capsys, command, "words", *rest, "--kind", "int")
    assert (code, error.count("\n")) == (2, 1)
    assert "--kind int is for the random inputs of --input, without --data" in error
