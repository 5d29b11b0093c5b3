"""Augmented pictures and somebody's own loaders, as the training loop sees them."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from maxprune.data.images import Dataset, Images
from maxprune.data.loaded import Loaded
from maxprune.data.samples import Pictures, Splits
from maxprune.data.spec import DataOptions, of_dataset, open_data
from maxprune.errors import DataError, UsageError
from maxprune.train import Fitting


def images(n: int = 20, channels: int = 3, size: int = 8) -> Images:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (n, channels, size, size), generator=generator)
    return Images(pixels.to(torch.uint8), torch.arange(n) % 4, 4)


def first(stream: Any, count: int) -> list[tuple[Tensor, Tensor]]:
    return list(islice(stream, count))


def test_a_stream_depends_on_seed_and_iteration_alone() -> None:
    pictures = Pictures(images(), flip=True, crop=1, mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.1))
    pictures = replace(pictures, turn=10.0, zoom=0.1, light=0.2, noise=0.02)
    whole = first(pictures.stream(4, seed=3), 12)
    later = first(pictures.stream(4, seed=3, start=7), 5)
    for (x, y), (again, labels) in zip(whole[7:], later, strict=True):
        assert torch.equal(x, again)
        assert torch.equal(y, labels)
    other = first(pictures.stream(4, seed=4), 1)
    assert not torch.equal(other[0][0], whole[0][0])


def test_what_is_judged_is_normalised_and_not_augmented() -> None:
    plain = images()
    pictures = Pictures(plain, flip=True, crop=2, mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.1))
    x = torch.cat([x for x, _ in pictures.batches(6)])
    expected = (plain.pixels / 255 - torch.tensor([0.5, 0.4, 0.3])[:, None, None]) / torch.tensor(
        [0.2, 0.2, 0.1]
    )[:, None, None]
    assert torch.allclose(x, expected, atol=1e-6)
    assert (len(pictures), pictures.classes, pictures.about()) == (20, 4, [20, 3, 8, 8, 1, 2])


def test_what_is_done_to_pictures_is_known_to_checkpoints() -> None:
    plain = Pictures(images())
    changes = [
        {"flip": True}, {"crop": 1}, {"turn": 5.0}, {"zoom": 0.1}, {"light": 0.1}, {"noise": 0.01},
        {"erase": 0.5},
    ]  # fmt: skip
    known = [tuple(replace(plain, **change).about()) for change in changes]
    assert len({*known, tuple(plain.about())}) == 8
    for change in changes:
        x, _ = next(replace(plain, **change).stream(20, seed=0))
        y, _ = next(plain.stream(20, seed=0))
        assert x.shape == y.shape
        assert not torch.equal(x, y)


def loader(n: int = 20, batch: int = 6, shuffle: bool = False) -> DataLoader:
    x, y = images(n).batch(torch.arange(n))
    return DataLoader(TensorDataset(x, y), batch, shuffle=shuffle)


def test_a_loader_is_gone_through_in_passes_that_the_seed_orders() -> None:
    own = Loaded(loader(shuffle=True), "own", 4)
    assert (len(own), own.about()) == (20, [20])
    state = torch.get_rng_state()
    one = first(own.stream(0, seed=1), 9)
    assert torch.equal(torch.get_rng_state(), state)
    again = first(own.stream(0, seed=1, start=5), 4)
    for (x, _), (y, _) in zip(one[5:], again, strict=True):
        assert torch.equal(x, y)
    assert not torch.equal(one[0][0], one[4][0])  # another pass, another order
    assert sorted(len(y) for _, y in one[:4]) == [2, 6, 6, 6]


@pytest.mark.parametrize(
    ("batches", "says"),
    [
        ([torch.zeros(3)], "gives a Tensor, not pairs"),
        ([(torch.zeros(3), [1, 2, 3])], "gives no tensors"),
        ([(torch.zeros(3, 2), torch.zeros(3))], "classes are whole numbers, one a sample"),
        ([(torch.zeros(3, 2), torch.zeros(2, dtype=torch.long))], "one a sample"),
        ([], "own gives no batch"),
        (
            [(torch.tensor([[0, torch.nan]]), torch.tensor([1]))],
            "own gives inputs that are not fin",
        ),
        ([(torch.tensor([[0, -torch.inf]]), torch.tensor([1]))], "NaN or infinity is among them"),
    ],
)
def test_batches_that_are_none_are_refused(batches: list[Any], says: str) -> None:
    with pytest.raises(DataError, match=says):
        next(Loaded(batches, "own", 4).stream(0, seed=0))


def test_a_dataset_keeps_a_tenth_to_judge_by() -> None:
    data = Dataset("own", images(100), images(40))
    splits = of_dataset(data, DataOptions(seed=3), mirrored=True)
    assert [len(splits.train), len(splits.validation), len(splits.test or [])] == [86, 10, 40]
    assert (splits.train.flip, splits.train.crop) == (True, 1)
    assert (splits.validation.flip, splits.validation.crop) == (False, 0)
    plain = of_dataset(data, DataOptions(augment=()))
    assert (plain.train.flip, plain.train.crop) == (False, 0)


def test_digits_are_never_mirrored_by_default() -> None:
    splits = open_data("digits")
    assert (splits.train.flip, splits.train.crop) == (False, 3)
    assert open_data("digits", DataOptions(augment=("flip",))).train.flip
    assert open_data("digits", DataOptions(shift=2)).train.crop == 2
    assert open_data("digits", DataOptions(shift=2, augment=())).train.crop == 0
    with pytest.raises(UsageError, match="shifted by 0 to 999 pixels, not -1"):
        open_data("digits", DataOptions(shift=-1))
    with pytest.raises(UsageError, match=r"pictures of \(28, 28\) cannot be shifted by 28 pixels"):
        open_data("digits", DataOptions(shift=28))
    augment = ("turn", "zoom", "light", "noise", "erase")
    more = open_data("digits", DataOptions(augment=augment)).train
    assert (more.turn, more.zoom, more.light, more.noise) == (10.0, 0.1, 0.2, 0.02)
    assert more.erase == 0.5
    assert (more.flip, more.crop) == (False, 0)


def test_more_of_a_small_dataset_is_held_out_where_that_is_asked_for() -> None:
    usual, more = open_data("digits"), open_data("digits", DataOptions(validation=0.25))
    assert [len(usual.validation), len(more.validation)] == [144, 359]
    assert [len(more.train), len(more.stopping or [])] == [1024, 54]
    assert len(open_data("digits", DataOptions(least=300)).validation) == 300
    assert len(open_data("digits", DataOptions(least=1000)).validation) == 359
    assert len(open_data("digits", DataOptions(least=10)).validation) == 144
    for wrong in (0.0, 0.6, -0.1, float("nan")):
        with pytest.raises(UsageError, match="more than 0 and at most 50% of the training set"):
            open_data("digits", DataOptions(validation=wrong))


def write(folder: Path, split: str, count: int) -> None:
    for name in ("cat", "dog"):
        (folder / split / name).mkdir(parents=True)
        for i in range(count):
            Image.new("RGB", (8, 8), (20 * i, 3, 9)).save(folder / split / name / f"{i}.png")


def test_a_folder_of_pictures(tmp_path: Path) -> None:
    write(tmp_path / "pets", "train", 10)
    splits = open_data(str(tmp_path / "pets"))
    assert (splits.name, splits.input_shape, splits.classes) == ("pets", (3, 8, 8), 2)
    assert [len(splits.train), len(splits.validation), splits.test] == [17, 2, None]
    assert splits.notes[0] == "classes: cat, dog"
    assert "10% of train/ was held out" in splits.notes[1]
    more = open_data(str(tmp_path / "pets"), DataOptions(validation=0.4))
    assert [len(more.train), len(more.validation)] == [11, 8]
    assert "40% of train/ was held out" in more.notes[1]
    write(tmp_path / "pets", "val", 3)
    with pytest.raises(UsageError, match="pets has validation pictures; none are held out"):
        open_data(str(tmp_path / "pets"), DataOptions(validation=0.4))
    write(tmp_path / "pets", "test", 4)
    (tmp_path / "pets" / "test" / "dog" / "broken.jpg").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"broken\.jpg"):
        open_data(str(tmp_path / "pets"))
    options = DataOptions(unreadable="skip", size=(1, 4, 4))
    splits = open_data(str(tmp_path / "pets"), options)
    assert splits.input_shape == (1, 4, 4)
    assert [len(splits.train), len(splits.validation), len(splits.test or [])] == [19, 6, 8]
    assert "1 picture could not be read: test/dog/broken.jpg" in splits.notes[-1]


OWN = """
import torch
from torch.utils.data import DataLoader, TensorDataset

def part(n, classes=3, size=4):
    return DataLoader(TensorDataset(torch.rand(n, 1, size, size), torch.arange(n) % classes), 5)

def two(): return part(9), part(6)
def three(): return part(9), part(6), part(3)
def named(): return {"train": part(9), "val": part(6), "test": part(3)}
def one(): return part(9)
def once(): return iter(part(9)), part(6)
def missing(): return part(9), part(6, classes=2)
def shapes(): return part(9), part(6, size=5)
def empty(): return part(9), []
def fails(): raise OSError("no disk")
def exits(): raise SystemExit("no data")
def ragged(): return [*part(5), *part(5, size=5)], part(6)
class Broken(list):
    def __iter__(self):
        yield from part(5)
        raise ValueError("corrupt record")
def broken(): return Broken(), part(6)
def whole():
    import maxprune
    return maxprune.data.load("digits")
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    import sys

    monkeypatch.setattr(sys, "path", [*sys.path])
    path = tmp_path / f"own_data_{tmp_path.name[-12:]}.py"
    path.write_text(OWN)
    return path


def test_options_that_would_do_nothing_are_refused(own: Path) -> None:
    with pytest.raises(UsageError, match="loaders, which do their own: no size, augmentation"):
        open_data(f"{own}:two", DataOptions(mean=(0.5,)))
    with pytest.raises(UsageError, match=r"which do their own: no .* shift, .* validation"):
        open_data(f"{own}:two", DataOptions(validation=0.2))
    with pytest.raises(UsageError, match="the pictures of digits have one size"):
        open_data("digits", DataOptions(size=(1, 8, 8)))
    own.write_text(
        own.read_text() + "\nimport maxprune\ndef whole(): return maxprune.data.load('digits')\n"
    )
    options = DataOptions(mean=(0.5,), std=(0.5,), augment=("flip",))
    splits = open_data(f"{own}:whole", options)
    assert (splits.train.mean, splits.train.flip, splits.train.crop) == ((0.5,), True, 0)


def test_a_pass_of_a_loader_has_its_own_batches() -> None:
    own = Loaded(loader(20, batch=6), "own", 4)
    assert own.iterations(128) == 4
    assert Fitting.of_passes(2, own).iterations == 8
    assert Fitting.of_passes(2, own).judge_every == 4
    assert Fitting.of_passes(2, Pictures(images()), batch=5).iterations == 8


def test_functions_that_give_loaders(own: Path) -> None:
    for name, test in (("two", None), ("three", 3), ("named", 3)):
        splits: Splits = open_data(f"{own}:{name}")
        assert [len(splits.train), len(splits.validation)] == [9, 6]
        assert (splits.test and len(splits.test)) == test
        assert (splits.input_shape, splits.classes) == ((1, 4, 4), 3)


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        ("one", UsageError, "a DataLoader is no"),
        ("once", UsageError, "cannot be gone through twice"),
        ("missing", DataError, "class 2 is in train or validation, not in both"),
        ("shapes", DataError, r"inputs of validation are \(1, 5, 5\), not \(1, 4, 4\)"),
        ("empty", DataError, "validation gives nothing"),
        ("fails", UsageError, "failed: OSError: no disk"),
        ("exits", UsageError, "failed: SystemExit: no data"),
        ("ragged", DataError, r"inputs of train are \(1, 5, 5\), not \(1, 4, 4\)"),
        ("broken", DataError, "train failed: ValueError: corrupt record"),
    ],
)
def test_functions_that_give_something_else(own: Path, name: str, error: Any, says: str) -> None:
    with pytest.raises(error, match=says):
        open_data(f"{own}:{name}")


def test_milder_is_half_as_much() -> None:
    options = DataOptions(augment=("flip", "crop", "turn", "zoom", "light", "noise", "erase"))
    milder = open_data("digits", options).milder()
    assert milder is not None
    train = milder.train
    assert (train.flip, train.crop, train.turn, train.zoom) == (True, 1, 5.0, 0.05)
    assert (train.light, train.noise, train.erase) == (0.1, 0.01, 0.25)
    for augment in ((), ("flip",)):
        assert open_data("digits", DataOptions(augment=augment)).milder() is None
    assert open_data("digits", DataOptions(shift=1)).milder() is None
    turned = open_data("digits", DataOptions(shift=1, augment=("crop", "turn"))).milder()
    assert turned is not None
    assert (turned.train.crop, turned.train.turn) == (1, 5.0)
    own = Loaded(loader(), "own", 4)
    assert Splits("own", own, own, None, (4,)).milder() is None
