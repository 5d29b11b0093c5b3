"""A verifier from its folder: what it says of two pictures, and what it refuses."""

from __future__ import annotations

import hashlib
import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.spatial.distance import braycurtis
from verify_helpers import MARGIN, SIZE, pairs, quarters, write_picture, write_verifier

from maxprune.errors import DataError, StoreError, UsageError
from maxprune.measure import roc
from maxprune.measure.distances import distances
from maxprune.verify import Box, Rates, Verifier
from maxprune.verify import verifier as module
from maxprune.verify.verifier import bray_curtis, cut_out


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_verifier(tmp_path_factory.mktemp("verifier"))


@pytest.fixture
def pictures(tmp_path: Path) -> tuple[Path, Path]:
    one = write_picture(tmp_path / "a.png", [10, 60, 110, 250])
    return one, write_picture(tmp_path / "b.png", [20, 50, 110, 240])


def test_two_pictures(folder: Path, pictures: tuple[Path, Path]) -> None:
    found = Verifier(folder, "none").verify(*pictures)
    expected = braycurtis([10, 60, 110, 250], [20, 50, 110, 240])
    assert found.distance == pytest.approx(expected, rel=0.02)
    assert found.same
    assert found.threshold == pytest.approx(roc(pairs()[0] - 0.001, pairs()[1]).eer_threshold)
    assert (found.far, found.frr) == pytest.approx(roc(*pairs()).rates_at(found.threshold))
    assert found.faces[0].box is None


def test_a_face_is_what_torch_would_see(folder: Path, pictures: tuple[Path, Path]) -> None:
    verifier = Verifier(folder, "none")
    described = verifier.describe(pictures[0])
    with Image.open(pictures[0]) as image:
        small = image.resize((SIZE, SIZE), Image.Resampling.LANCZOS)
    face = torch.from_numpy(np.asarray(small).copy())[None, None].float() / 255
    assert described.descriptor == pytest.approx(quarters()(face)[0].numpy(), abs=1e-6)


def test_a_stricter_threshold(folder: Path, pictures: tuple[Path, Path]) -> None:
    verifier = Verifier(folder, "none")
    verifier.at_far(0.1)
    assert verifier.rates.at(verifier.threshold) == pytest.approx((0.1, 0.1))
    assert verifier.verify(*pictures).same
    with pytest.raises(UsageError, match=r"10 pairs .* cannot show .* 1%; the smallest is 10%"):
        verifier.at_far(0.01)


def test_rates_equal_those_of_the_curve() -> None:
    generator = torch.Generator().manual_seed(0)
    distances = torch.rand(60, generator=generator).double()
    same = torch.arange(60) % 2 == 0
    rates, curve = Rates(distances[same].numpy(), distances[~same].numpy()), roc(distances, same)
    for threshold in [0.0, 1.0, *distances.tolist()]:
        assert rates.at(threshold) == pytest.approx(curve.rates_at(threshold))
    for far in (0.1, 0.5):
        assert rates.at(rates.threshold(far))[0] == pytest.approx(far)
        assert 1 - rates.at(rates.threshold(far))[1] == pytest.approx(curve.tar_at(far))


def test_equal_distances_are_accepted_together() -> None:
    rates = Rates(np.array([0.1]), np.array([0.2, 0.3, 0.3, 0.4]))
    assert rates.at(rates.threshold(0.5))[0] == 0.25


@pytest.mark.parametrize("far", [0.0, 1.0, float("nan")])
def test_rates_that_are_none(far: float) -> None:
    with pytest.raises(UsageError, match="between 0 and 100%"):
        Rates(np.array([0.1]), np.array([0.2])).threshold(far)


def test_bray_curtis_is_scipys() -> None:
    one, other = np.random.default_rng(0).random((2, 50)).astype(np.float32)
    assert bray_curtis(one, other) == pytest.approx(braycurtis(one, other))
    assert bray_curtis(0 * one, 0 * one) == 0


@pytest.mark.parametrize("kind", ["hellinger", "euclidean"])
def test_a_distance_is_that_of_the_descriptors_in_torch(kind: str, tmp_path: Path) -> None:
    verifier = Verifier(write_verifier(tmp_path, distance=kind), "none")
    rows = np.random.default_rng(0).random((3, 50)).astype(np.float32)
    rows[2] = 0
    for one, other in itertools.product(rows, rows):
        expected = distances(torch.tensor(one)[None], torch.tensor(other)[None], kind)
        assert verifier.apart(one, other) == pytest.approx(expected.item(), abs=1e-12)


def test_a_box_is_cut_out_of_the_middle(folder: Path) -> None:
    about = Verifier(folder, "none").about
    picture = np.zeros((1, 100, 100), np.uint8)
    picture[:, 40:62, 30:52] = 200  # 22 pixels: 20 and their margin
    assert pytest.approx(22) == MARGIN * 20
    inside = [(cut_out(picture, Box(left, 41, 20), about) > 150).all() for left in (27, 31, 35)]
    assert inside == [False, True, False]


def test_a_box_at_the_edge_repeats_the_edge(folder: Path) -> None:
    about = Verifier(folder, "none").about
    picture = np.full((3, 30, 30), 90, np.uint8)
    for box in (Box(0, 0, 30), Box(-5, 10, 20), Box(20, 20, 20)):
        face = cut_out(picture, box, about)
        assert face.shape == (1, SIZE, SIZE)
        assert (face == 90).all()


def test_no_face_and_several(
    folder: Path, pictures: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    boxes = [Box(2, 3, 30), Box(1, 1, 10)]
    monkeypatch.setattr(module, "find_faces", lambda picture: boxes)
    with pytest.raises(DataError, match=r"2 faces were found: 30x30 at \(2, 3\), 10x10"):
        Verifier(folder).describe(pictures[0])
    assert Verifier(folder, which="largest").describe(pictures[0]).box == boxes[0]
    monkeypatch.setattr(module, "find_faces", lambda picture: [])
    with pytest.raises(DataError, match="no face was found"):
        Verifier(folder).describe(pictures[0])


def test_what_is_no_picture(folder: Path, tmp_path: Path, pictures: tuple[Path, Path]) -> None:
    verifier = Verifier(folder, "none")
    text, cut, huge = (tmp_path / name for name in ("text.jpg", "cut.jpg", "huge.png"))
    text.write_text("no picture")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)).save(cut)
    cut.write_bytes(cut.read_bytes()[:600])
    Image.new("1", (20_000, 20_000)).save(huge)
    for path in (text, cut, huge, tmp_path / "missing.jpg"):
        with pytest.raises(DataError, match="cannot be read") as caught:
            verifier.verify(pictures[0], path)
        assert path.name in str(caught.value)
        assert str(caught.value).isprintable()


def test_a_damaged_folder(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"verifier\.json is not there"):
        Verifier(tmp_path)
    folder = write_verifier(tmp_path / "v")
    network, about = folder / module.NETWORK, folder / module.ABOUT
    whole, said = network.read_bytes(), about.read_text()
    network.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(StoreError, match="checksum is not the one"):
        Verifier(folder)
    network.write_bytes(whole)
    for change, says in (
        ({"format": 3}, "format 3; this maxprune reads 1 and 2"),
        ({"format": 2}, "weights: their checksum"),
        ({"weights": 64 * "0"}, "weights: their checksum"),
        ({"threshold": -1}, "threshold"),
        ({"size": 0}, "size"),
        ({"more": 1}, "more"),
        ({"same": []}, "distances of same pairs"),
    ):
        about.write_text(json.dumps({**json.loads(said), **change}))
        with pytest.raises(StoreError, match=says):
            Verifier(folder).rates  # noqa: B018
    about.write_text("[]")
    with pytest.raises(StoreError, match="format None"):
        Verifier(folder)


def test_an_onnx_file_of_nothing(tmp_path: Path) -> None:
    folder = write_verifier(tmp_path / "v")
    (folder / module.NETWORK).write_bytes(b"nothing")
    record = json.loads((folder / module.ABOUT).read_text())
    record["sha256"] = hashlib.sha256(b"nothing").hexdigest()
    (folder / module.ABOUT).write_text(json.dumps(record))
    with pytest.raises(StoreError, match="cannot be opened by ONNX Runtime"):
        Verifier(folder)


def test_it_works_where_torch_is_not_installed(folder: Path, pictures: tuple[Path, Path]) -> None:
    """A process in which importing torch fails."""
    code = (
        "import sys; sys.modules['torch'] = None; from maxprune.cli import main; "
        f"sys.argv = ['maxprune', 'verify', {str(pictures[0])!r}, {str(pictures[1])!r}, "
        f"'--model', {str(folder)!r}, '--detector', 'none']; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("same person\n"), done.stderr
    assert done.returncode == 0


def test_an_unknown_detector(folder: Path) -> None:
    with pytest.raises(UsageError, match="viola-jones or none, not 'eyes'"):
        Verifier(folder, "eyes")  # type: ignore[arg-type]
