"""Tables 3 and 4 from weights in a file and pictures in folders, at reduced size."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from faces_helpers import portrait, write_lfw
from PIL import Image
from safetensors.torch import save_file

from maxprune.cli import main
from maxprune.errors import DataError, UsageError
from maxprune.networks import vgg_face
from maxprune.studies.faces.vgg16 import Vgg16Study, run_vgg16
from maxprune.train.rates import SteppedRates

BLOCKS = [[4, 4], [4, 4], [4, 4, 8], [8, 8, 8], [8, 8, 8]]
PEOPLE = 8


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lfw(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Vgg16Study:
    """Weights as published but for their sizes, and eight people who are not in LFW."""
    folder = tmp_path_factory.mktemp("given")
    torch.manual_seed(0)
    network = vgg_face(BLOCKS, hidden=[16, 8], size=32, identities=5)
    state = network.state_dict()
    state["conv1_1.weight"] = state["conv1_1.weight"] / 255  # as published, for 0 to 255
    save_file(state, folder / "vgg_face.safetensors")
    for person in range(PEOPLE):
        where = folder / "pictures" / "train" / f"Somebody_{person}"
        where.mkdir(parents=True)
        for number in range(3):
            grey = portrait(100 + person, number)
            Image.fromarray(np.stack([grey] * 3, 2)).save(where / f"{number}.jpg")
    return Vgg16Study(
        folder / "vgg_face.safetensors", folder / "pictures", "mfc", epochs=3, weight_epochs=1,
        shares=(0.5,), held=3,
    )  # fmt: skip


@pytest.mark.parametrize(("network", "layer"), [("mfc", "fc6"), ("mc", "conv5_3")])
def test_all_steps(network: str, layer: str, study: Vgg16Study, root: Path, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    run, data, notes = run_vgg16(
        replace(study, network=network), root, tmp_path, lambda *step: told.append(step)
    )
    names = [f"maxout k={k}" for k in (4, 3, 2, 1)]
    assert [step.name for step in run.steps] == ["no maxout", *names, "weights 50%"]
    before = vgg_face(BLOCKS, hidden=[16, 8], size=32, identities=PEOPLE - 3)
    assert run.steps[0].parameters == sum(p.numel() for p in before.parameters())
    assert all(step.wins is None or step.wins.layer == layer for step in run.steps)
    weights = run.steps[-1].parameters / 2
    assert 0.97 * weights < run.steps[-1].nonzero <= weights  # some biases are zero too
    assert data.train.classes == PEOPLE - 3
    assert len(run.steps[0].tested) == len(data.tested) == 16
    assert {name for name, _, _ in told} == {*names, "weights 50%"}
    assert any("fc8 is new: 5 outputs in place of 5" in note for note in notes)


def test_nobody_of_lfw_is_trained_on(study: Vgg16Study, root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pictures" / "train"
    for name in ("Person_00", "Else"):
        (folder / name).mkdir(parents=True)
        Image.fromarray(portrait(0, 0)).convert("RGB").save(folder / name / "0.jpg")
    with pytest.raises(DataError, match=r"Person_00 is in .* and in LFW, which is tested"):
        run_vgg16(replace(study, pictures=folder.parent), root, tmp_path / "o", lambda *_: None)


def test_too_few_people(study: Vgg16Study, root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"8 people with two pictures; of them 7 are"):
        run_vgg16(replace(study, held=7), root, tmp_path, lambda *_: None)


def test_an_unknown_network(study: Vgg16Study, root: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="mfc or mc, not 'fc'"):
        run_vgg16(replace(study, network="fc"), root, tmp_path, lambda *_: None)


def test_rates_hold_for_a_third_each() -> None:
    training = SteppedRates(iterations=7)
    rates = [training.rate_at(i) for i in range(7)]
    assert rates == [1e-2] * 3 + [1e-3] * 2 + [1e-4] * 2
    assert SteppedRates(iterations=1).rate_at(0) == 1e-2


def test_from_the_command_line(
    study: Vgg16Study, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr("maxprune.studies.faces.table.ROUNDS", 50)
    monkeypatch.setattr("maxprune.studies.published.SHARES", (0.1, 0.5))
    given = [
        "--weights", study.weights, "--pictures", study.pictures, "--network", "mfc", "--held", 3,
        "--epochs", 1, "--weight-epochs", 1, "--data", root, "--out", tmp_path / "out",
    ]  # fmt: skip
    for table, more in (("table3", ["--json"]), ("table4", ["--resume"])):
        arguments = ["maxprune", "reproduce", table, *given, *more]
        monkeypatch.setattr(sys, "argv", [str(argument) for argument in arguments])
        with pytest.raises(SystemExit) as end:
            main()
        assert not end.value.code, capsys.readouterr().err
    said = capsys.readouterr().out
    cells, _ = json.JSONDecoder().raw_decode(said)
    assert [cell["step"] for cell in cells][1:] == [f"maxout k={k}" for k in (4, 3, 2, 1)]
    assert "weights 50%" in said
    assert [cell["published"] for cell in cells] == [3.7, 3.33, 2.83, 2.76, 2.66]
    for name in ("table3", "table4"):
        for ending in ("json", "txt", "svg"):
            assert (tmp_path / "out" / f"{name}.{ending}").exists()


def test_without_weights(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["maxprune", "reproduce", "table4"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert (
        "needs --weights FILE (the published VGG-Face) and --pictures DIR"
        in capsys.readouterr().err
    )
