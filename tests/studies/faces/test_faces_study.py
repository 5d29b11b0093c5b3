"""The study from pictures on disk to its table, with a small network."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from faces_helpers import write_lfw
from torch import nn

from maxprune.errors import OutputError, UsageError
from maxprune.files import read_json
from maxprune.lineage import lineage
from maxprune.measure import parameters
from maxprune.networks import Discriminant, descriptor_network
from maxprune.studies.faces import (
    CodingPiece,
    FacePiece,
    FaceStudy,
    best_free,
    coding_pieces,
    pieces,
    read_table,
)
from maxprune.studies.faces import work as module
from maxprune.verification_results import FaceRun
from maxprune.verify import Verifier

STUDY = FaceStudy(
    folds=(0, 1), ways=("mfc", "mc", "mfc-pls", "mc-pls"), epochs=6, retrain_epochs=1,
    weight_epochs=1, shares=(0.5, 0.8), held=3,
    blocks=((4,), (8,), (8,), (8,)), hidden=(16, 8), dimensions=5,
)  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lfw(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def done(root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[FacePiece]]:
    """A study that has run."""
    folder = tmp_path_factory.mktemp("study")
    work = pieces(STUDY, root)
    for piece in work:
        reported: list[int] = []
        piece.do(folder / piece.name, reported.append)
        assert reported[-1] == piece.length()
    return folder, work


def run(folder: Path, name: str) -> FaceRun:
    return FaceRun.model_validate(read_json(folder / name / module.RESULT))


def test_every_fold_begins_with_one_network(done: tuple[Path, list[FacePiece]]) -> None:
    _, work = done
    names = [piece.name for piece in work]
    assert names[:3] == ["fold0-first", "fold0-mfc", "fold0-mc"]
    assert [piece.after for piece in work[:3]] == ["", "fold0-first", "fold0-first"]
    assert len(work) == 10


def test_the_steps_and_their_sizes(done: tuple[Path, list[FacePiece]]) -> None:
    folder, _ = done
    found = run(folder, "fold0-mfc")
    names = [step.name for step in found.steps]
    maxouts = [f"maxout k={k}" for k in (4, 3, 2, 1)]
    assert names == ["no maxout", *maxouts, "weights 50%", "weights 80%"]
    assert [step.k for step in found.steps] == [1, 4, 3, 2, 1, 1, 1]
    sizes = [step.parameters for step in found.steps]
    assert sizes[0] > sizes[1] > sizes[2] > sizes[3] > sizes[4] == sizes[5] == sizes[6]
    zeros = [1 - step.nonzero / step.parameters for step in found.steps]
    assert zeros[-2:] == pytest.approx([0.5, 0.8], abs=0.03)  # the second hidden layer only trains
    assert [step.wins is not None for step in found.steps] == [False] * 2 + [True] * 3 + [False] * 2


def test_by_pls_as_many_neurons_go(done: tuple[Path, list[FacePiece]]) -> None:
    folder, _ = done
    for place in ("mfc", "mc"):
        by_wins, by_pls = run(folder, f"fold0-{place}"), run(folder, f"fold0-{place}-pls")
        assert [step.name for step in by_pls.steps[1:]] == ["pls 3/4", "pls 2/4", "pls 1/4"]
        assert by_pls.steps[-1].parameters == by_wins.steps[4].parameters
        assert by_pls.steps[0] == by_wins.steps[0]


def test_a_network_learns_who_is_who(
    done: tuple[Path, list[FacePiece]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The people are easy to tell apart, and none of them was trained on."""
    monkeypatch.setattr("maxprune.studies.faces.table.ROUNDS", 50)
    folder, work = done
    cells = read_table(work, folder)
    first = next(cell for cell in cells if cell.step == "no maxout")
    assert first.mean < 20
    assert first.p_value == 1
    assert len(first.eers) == 2
    assert {cell.network for cell in cells} == set(STUDY.ways)


def test_the_network_to_take_away_is_coded(
    done: tuple[Path, list[FacePiece]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In every fold; the verifier answers as the table says, and is smaller than its weights."""
    monkeypatch.setattr("maxprune.studies.faces.table.ROUNDS", 50)
    folder, work = done
    taken = best_free(read_table(work, folder))
    coding = coding_pieces(work, taken)
    assert [piece.name for piece in coding] == [f"fold{i}-{taken.network}-coded" for i in (0, 1)]
    for piece in coding:
        assert not piece.is_done(folder / piece.name)
        reported: list[int] = []
        piece.do(folder / piece.name, reported.append)
        assert reported[-1] == piece.length()
        assert piece.is_done(folder / piece.name)
    cells = read_table(work, folder, [piece.name for piece in coding])
    (cell,) = [cell for cell in cells if cell.bits is not None]
    assert (cell.network, cell.bits) == (taken.network, 5)
    assert cell.zeroed == pytest.approx(taken.zeroed, abs=1e-3)
    assert cell.bytes < 0.5 * taken.bytes
    place = coding[-1].write_verifier(folder / coding[-1].name, tmp_path / "verifier")
    assert (place / "verifier.mxp").exists()
    verifier = Verifier(place, "none")
    assert verifier.about.distance == "euclidean"
    picture = work[0].root / "lfw" / "lfw-deepfunneled" / "Person_04" / "Person_04_0001.jpg"
    assert verifier.verify(picture, picture).same
    (step,) = run(folder, coding[-1].name).steps
    tested = coding[-1].cut.data().tested
    same = sorted(d for d, s in zip(step.tested, tested.same, strict=True) if s)
    assert verifier.about.same == pytest.approx(same, abs=1e-6)


def test_another_network_of_the_same_way_is_coded_anew(
    done: tuple[Path, list[FacePiece]], tmp_path: Path
) -> None:
    folder, work = done
    (piece,) = (piece for piece in work if piece.name == "fold0-mfc")
    shutil.copytree(folder / piece.name, tmp_path / piece.name)
    for step in ("weights 80%", "maxout k=1"):
        coding = CodingPiece(piece, step)
        assert not coding.is_done(tmp_path / coding.name)
        coding.do(tmp_path / coding.name, lambda _: None)
        assert (
            run(tmp_path, coding.name).steps[0].name == f"{step.removeprefix('weights ')}, 5 bits"
        )


def test_what_is_not_tuned_stays(done: tuple[Path, list[FacePiece]]) -> None:
    folder, work = done
    of = {piece.name: piece for piece in work}
    first = of["fold0-first"].network(folder / "fold0-first", "no maxout").state_dict()
    for way in ("mfc", "mc"):
        last = of[f"fold0-{way}"].network(folder / f"fold0-{way}", "maxout k=1").state_dict()
        same = {n for n in first if n.startswith(("conv", "norm")) and n in last}
        same = {n for n in same if torch.equal(first[n], last[n])}
        assert any(n.startswith("conv3") for n in same)
        assert ("conv4_1.weight" in same) == (way == "mfc")
        assert not any(n.startswith("fc") for n in same)


def test_the_last_network_opens_without_its_output(done: tuple[Path, list[FacePiece]]) -> None:
    folder, work = done
    piece = next(piece for piece in work if piece.name == "fold1-mc")
    model = piece.network(folder / piece.name, "weights 80%")
    assert lineage(descriptor_network(model)).arguments["identities"] == 0

    def fit(network: nn.Module) -> Discriminant:
        return Discriminant(network(torch.zeros(1, 1, 64, 64)).shape[1], STUDY.dimensions)

    body = descriptor_network(model.eval(), fit)
    assert parameters(body) == run(folder, "fold1-mc").steps[-1].parameters


def test_what_is_done_is_not_done_again(
    done: tuple[Path, list[FacePiece]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, work = done
    assert all(piece.is_done(folder / piece.name) for piece in work)
    other = pieces(replace(STUDY, shares=(0.5, 0.9)), work[0].root)
    assert [piece.name for piece in other if not piece.is_done(folder / piece.name)] == [
        "fold0-mfc", "fold0-mc", "fold1-mfc", "fold1-mc",
    ]  # fmt: skip
    with pytest.raises(OutputError, match=r"shares=0\.5,0\.8; this one .* shares=0\.5,0\.9"):
        other[1].do(folder / other[1].name, lambda _: None)
    monkeypatch.setattr("maxprune.studies.faces.steps.train", None)
    before = run(folder, "fold0-mfc")
    (folder / "fold0-mfc" / module.RESULT).unlink()
    work[1].do(folder / "fold0-mfc", lambda _: None)
    assert run(folder, "fold0-mfc") == before


def test_a_killed_piece_goes_on_where_it_was(
    done: tuple[Path, list[FacePiece]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The result is that of a run that was never killed, but for the seconds."""
    folder, work = done
    shutil.copytree(folder / "fold0-first", tmp_path / "fold0-first")
    piece = next(piece for piece in work if piece.name == "fold0-mfc-pls")
    real, calls = module.Steps.trained, 0

    def killed(*args: object, **settings: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return real(*args, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(module.Steps, "trained", killed)
    with pytest.raises(KeyboardInterrupt):
        piece.do(tmp_path / piece.name, lambda _: None)
    monkeypatch.setattr(module.Steps, "trained", real)
    piece.do(tmp_path / piece.name, lambda _: None)
    whole, again = (
        [s.model_copy(update={"seconds": 0.0}) for s in run(where, piece.name).steps]
        for where in (folder, tmp_path)
    )
    assert whole == again


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"folds": ()}, "name folds"),
        ({"folds": (1, 1)}, "each once"),
        ({"ways": ("mfd",)}, "not 'mfd'"),
        ({"shares": (0.5, 1.0)}, "between 0 and 1"),
        ({"shares": (0.5, 0.2)}, "must grow"),
        ({"epochs": 0.0}, "more than 0 epochs"),
        ({"dimensions": -1}, "a descriptor has 0 dimensions or more"),
        ({"hidden": (8,)}, "a discriminant reads the first of several hidden layers"),
        ({"taught": -1.0}, "taught is a finite number from 0"),
    ],
)
def test_settings_that_cannot_work(settings: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        replace(STUDY, **settings).check()  # type: ignore[arg-type]
