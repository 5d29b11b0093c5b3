"""`maxprune verify` and `maxprune faces` as a user types them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from command_line import call

sys.path.insert(0, str(Path(__file__).parents[1] / "verify"))
from verify_helpers import write_picture, write_verifier

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_verifier(tmp_path_factory.mktemp("verifier"))


@pytest.fixture
def given(folder: Path, tmp_path: Path) -> dict[str, Path]:
    levels = {"a": [10, 60, 110, 250], "b": [20, 50, 110, 240], "c": [250, 110, 60, 10]}
    return {n: write_picture(tmp_path / f"{n}.png", values) for n, values in levels.items()}


def test_same_and_different(
    given: dict[str, Path], folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    options = ["--model", folder, "--detector", "none"]
    code, said, _ = call(monkeypatch, capsys, "verify", given["a"], given["b"], *options)
    assert code == 0
    lines = said.splitlines()
    assert lines[0] == "same person"
    assert lines[1].startswith("distance 0.03")
    assert "10.00% of different people are accepted (FAR)" in lines[2]
    assert lines[2].endswith("measured on 20 pairs")
    _, said, _ = call(monkeypatch, capsys, "verify", given["a"], given["c"], *options)
    assert said.splitlines()[0] == "different people"


def test_json(
    given: dict[str, Path], folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    options = ["--model", folder, "--detector", "none", "--json", "--far", "10"]
    _, said, _ = call(monkeypatch, capsys, "verify", given["a"], given["b"], *options)
    found = json.loads(said)
    assert found["same"] is True
    assert found["distance"] <= found["threshold"]
    assert found["far"] == pytest.approx(0.1)
    assert found["faces"][0] == {"file": str(given["a"]), "box": None}


def test_a_gallery(
    given: dict[str, Path], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:  # fmt: skip
    options = ["--gallery", tmp_path / "g", "--model", folder, "--detector", "none"]
    code, said, _ = call(monkeypatch, capsys, "faces", "enroll", "Ada", given["a"], *options)
    assert (code, said) == (0, f"Ada: 1 picture; {tmp_path / 'g'} knows 1 person\n")
    _, said, _ = call(
        monkeypatch, capsys, "faces", "enroll", "Ben", given["c"], given["c"], *options
    )
    assert said.startswith("Ben: 2 pictures;")
    assert said.endswith("knows 2 people\n")
    _, said, _ = call(monkeypatch, capsys, "faces", "identify", given["b"], *options)
    assert said.splitlines()[0] == "Ada"
    assert said.splitlines()[2].startswith("  Ben: distance 0.")
    _, said, _ = call(monkeypatch, capsys, "faces", "identify", given["b"], *options, "--json")
    assert [match["person"] for match in json.loads(said)["matches"]] == ["Ada", "Ben"]
    stranger = write_picture(tmp_path / "d.png", [200, 0, 200, 0])
    _, said, _ = call(monkeypatch, capsys, "faces", "identify", stranger, *options)
    assert said.splitlines()[0] == "nobody in the gallery"


def test_nothing_is_enrolled_if_one_picture_is_none(
    given: dict[str, Path], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:  # fmt: skip
    (tmp_path / "text.png").write_text("no picture")
    options = ["--gallery", tmp_path / "g", "--model", folder, "--detector", "none"]
    code, _, error = call(
        monkeypatch, capsys, "faces", "enroll", "Ada", given["a"], tmp_path / "text.png", *options
    )
    assert code == 2
    assert "text.png cannot be read" in error
    assert not (tmp_path / "g").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--far", "0"], "--far is a percentage between 0 and 100, not 0"),
        (["--far", "0.01"], "cannot show a false acceptance rate of 0.01%"),
        (["--detector", "eyes"], "eyes"),
        (["--model", "nowhere"], "nowhere/verifier.json is not there"),
    ],
)
def test_wrong_input_is_one_line(
    arguments: list[str], says: str, given: dict[str, Path], folder: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: Capture,
) -> None:  # fmt: skip
    options = ["--model", folder, "--detector", "none", *arguments]
    code, _, error = call(monkeypatch, capsys, "verify", given["a"], given["b"], *options)
    assert code == 2
    assert says in error
    assert error.count("\n") == 1
