import os
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from maxprune.data import Folder, Images, read_folder
from maxprune.data.layout import SUFFIXES
from maxprune.errors import DataError, UsageError


def save(path: Path, value: int = 0, mode: str = "RGB", size: tuple[int, int] = (4, 3)) -> Path:
    """A picture of one colour; `size` is (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    colour = value if mode == "L" else (value,) * len(Image.new(mode, (1, 1)).getbands())
    Image.new(mode, size, colour).save(path)
    return path


@pytest.fixture
def flowers(tmp_path: Path) -> Path:
    """Three splits of two classes."""
    root = tmp_path / "flowers"
    for start, split in ((10, "train"), (30, "val"), (50, "test")):
        for offset, path in enumerate(("lily/b.png", "lily/a.png", "rose/a.png")):
            save(root / split / path, start + offset)
    return root


def values(images: Images | None) -> list[tuple[int, int]]:
    """(value, label) of each picture of one colour."""
    assert images is not None
    assert (images.pixels.flatten(1) == images.pixels[:, :1, 0, 0]).all()
    return list(zip(images.pixels[:, 0, 0, 0].tolist(), images.labels.tolist(), strict=True))


def refused(root: Path, **options: object) -> str:
    with pytest.raises(DataError) as caught:
        read_folder(root, **options)
    assert str(caught.value).isprintable()  # so of one line
    return str(caught.value)


def test_three_splits(flowers: Path) -> None:
    found = read_folder(flowers)
    assert isinstance(found, Folder)
    assert (found.name, found.classes, found.skipped) == ("flowers", ("lily", "rose"), ())
    assert values(found.train) == [(11, 0), (10, 0), (12, 1)]
    assert values(found.validation) == [(31, 0), (30, 0), (32, 1)]
    assert values(found.test) == [(51, 0), (50, 0), (52, 1)]
    assert found.train.pixels.shape == (3, 3, 3, 4)
    assert {part.classes for part in (found.train, found.validation, found.test)} == {2}


def test_validation_and_test_may_be_missing(tmp_path: Path) -> None:
    save(tmp_path / "train" / "a" / "1.png")
    found = read_folder(tmp_path)
    assert (found.validation, found.test) == (None, None)


@pytest.mark.parametrize("name", ["validation", "valid"])
def test_the_other_names_of_validation(flowers: Path, name: str) -> None:
    (flowers / "val").rename(flowers / name)
    assert values(read_folder(flowers).validation) == [(31, 0), (30, 0), (32, 1)]
    save(flowers / "val" / "lily" / "1.png")
    assert f"{flowers} has the folders val and {name}; keep one" in refused(flowers)


def test_the_name_is_that_of_the_folder_however_it_is_given(
    flowers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(flowers / "train")
    assert read_folder(Path("..")).name == "flowers"


def test_which_files_count(tmp_path: Path) -> None:
    inside = tmp_path / "train" / "a"
    for number, suffix in enumerate(sorted(SUFFIXES)):
        name = f"{number:02}{suffix.upper() if number % 2 else suffix}"
        save(inside / name, 20 * number, "L", (8, 8))
    save(inside / "deep" / "er" / "x.png", 222, "L", (8, 8))
    save(inside / ".hidden" / "x.png", 1, "L", (8, 8))
    save(inside / ".hidden.png", 1, "L", (8, 8))
    (inside / "notes.txt").write_text("no picture")
    (inside / "Thumbs.db").write_bytes(b"no picture")
    (inside / "png").write_bytes(b"no suffix")
    save(tmp_path / "train" / ".cache" / "x.png", 1, "L", (8, 8))
    (tmp_path / "train" / "readme.md").write_text("no class")
    (tmp_path / "train" / ".x.png").write_bytes(b"hidden")
    save(tmp_path / "other" / "b" / "x.png", 1, "L", (8, 8))
    found = read_folder(tmp_path)
    assert found.classes == ("a",)
    assert found.train.pixels.shape == (11, 3, 8, 8)  # WebP knows no grey
    first = found.train.pixels[:, 0, 0, 0].tolist()
    assert np.abs(np.array(first) - [*range(0, 200, 20), 222]).max() <= 2  # JPEG and WebP


def test_the_order_is_that_of_the_names_whatever_the_file_system_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["B/2.png", "B/10.png", "a/Z.png", "a/a/1.png", "a/a.png", "é/1.png"]
    for value, name in enumerate(names):
        save(tmp_path / "train" / name, value)
    wanted = [(1, 0), (0, 0), (2, 1), (3, 1), (4, 1), (5, 2)]
    assert values(read_folder(tmp_path).train) == wanted
    listdir, walk = os.listdir, os.walk
    monkeypatch.setattr(os, "listdir", lambda path: listdir(path)[::-1])
    monkeypatch.setattr(
        os, "walk", lambda *a, **k: ((p, d[::-1], f[::-1]) for p, d, f in list(walk(*a, **k))[::-1])
    )
    found = read_folder(tmp_path)
    assert found.classes == ("B", "a", "é")
    assert values(found.train) == wanted


def test_the_order_survives_many_threads_and_every_picture_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for value in range(120):
        side = 200 if value % 7 == 0 else 10  # some take longer
        save(tmp_path / "train" / f"{value // 60}" / f"{value:03}.png", value, "L", (side, side))
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    told: list[tuple[int, int]] = []
    threads = set()

    def tick(done: int, total: int) -> None:
        told.append((done, total))
        threads.add(threading.get_ident())

    found = read_folder(tmp_path, (1, 6, 6), tick=tick)
    assert values(found.train) == [(value, value // 60) for value in range(120)]
    assert told == [(done, 120) for done in range(1, 121)]
    assert threads == {threading.get_ident()}


def test_a_size_is_what_every_picture_gets(tmp_path: Path) -> None:
    save(tmp_path / "train" / "a" / "1.png", 3, "L", (40, 9))
    save(tmp_path / "train" / "a" / "2.png", 4, "RGBA", (5, 70))
    save(tmp_path / "test" / "a" / "3.png", 5, "RGB", (8, 6))
    for size in ((3, 6, 8), (1, 6, 8), (3, 1, 1)):
        found = read_folder(tmp_path, size)
        assert found.train.pixels.shape == (2, *size)
        assert values(found.train)[0] == (3, 0)
        assert values(found.test) == [(5, 0)]


def test_without_a_size_they_must_agree_in_theirs(flowers: Path) -> None:
    other = save(flowers / "train" / "rose" / "b.png", size=(5, 6))
    said = refused(flowers)
    first = flowers / "train" / "lily" / "a.png"
    assert f"{first} is 4x3, {other} is 5x6 pixels" in said
    assert "give --input 3,H,W" in said
    other.unlink()
    other = save(flowers / "test" / "rose" / "b.png", size=(3, 4))
    assert f"{first} is 4x3, {other} is 3x4 pixels" in refused(flowers, unreadable="skip")


def test_a_size_is_compared_after_turning(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    save(tmp_path / "train" / "a" / "1.png", size=(4, 3))
    Image.new("RGB", (3, 4)).save(tmp_path / "train" / "a" / "2.png", exif=exif)
    assert read_folder(tmp_path).train.pixels.shape == (2, 3, 3, 4)


@pytest.mark.parametrize("coloured", ["train/a/1", "train/a/2", "val/a/1", "val/a/2", None])
def test_all_are_grey_or_all_are_rgb(tmp_path: Path, coloured: str | None) -> None:
    for value, name in enumerate(("train/a/1", "train/a/2", "val/a/1", "val/a/2")):
        save(tmp_path / f"{name}.png", value, "RGB" if name == coloured else "L")
    found = read_folder(tmp_path)
    channels = 1 if coloured is None else 3
    assert found.train.pixels.shape == found.validation.pixels.shape == (2, channels, 3, 4)
    assert found.train.pixels.is_contiguous()
    assert values(found.train) == [(0, 0), (1, 0)]
    assert values(found.validation) == [(2, 0), (3, 0)]


def test_a_missing_class_is_named_with_its_split(flowers: Path) -> None:
    (flowers / "val" / "rose" / "a.png").unlink()
    assert refused(flowers).endswith("flowers/val has no pictures of class 'rose'")
    (flowers / "val" / "rose").rmdir()
    assert refused(flowers).endswith("flowers/val has no pictures of class 'rose'")


def test_a_class_without_pictures_to_train_on(flowers: Path) -> None:
    (flowers / "train" / "tulip").mkdir()
    (flowers / "train" / "tulip" / "notes.txt").write_text("none yet")
    assert refused(flowers).endswith("flowers/train has no pictures of class 'tulip'")


def test_a_class_that_was_not_trained_on_is_named_with_its_split(flowers: Path) -> None:
    save(flowers / "test" / "tulip" / "1.png")
    train, test = flowers / "train", flowers / "test"
    assert refused(flowers) == f"{test} has the class 'tulip', which {train} does not have"


def test_another_layout_is_answered_with_the_expected_one(tmp_path: Path) -> None:
    expected = r"; expected ROOT/train/CLASS/*.jpg and, as you like, ROOT/val/CLASS/*"
    assert f"{tmp_path / 'no'} is not a folder that exists{expected}" in refused(tmp_path / "no")
    assert f"{tmp_path} has no folder train{expected}" in refused(tmp_path)
    save(tmp_path / "train" / ".a" / "1.png")
    assert f"{tmp_path / 'train'} has no folders of classes{expected}" in refused(tmp_path)
    save(tmp_path / "train" / "a" / "1.png")
    loose = save(tmp_path / "test" / "1.PNG")
    assert f"{loose} lies in no folder of a class{expected}" in refused(tmp_path)
    loose.unlink()
    assert refused(tmp_path).endswith("test has no pictures of class 'a'")


def spoil(flowers: Path) -> dict[str, str]:
    """Pictures of each kind of damage; their paths and what is said about them."""
    whole = save(flowers / "train" / "rose" / "b.png", 7, size=(90, 90))
    whole.write_bytes(whole.read_bytes()[:-30])
    (flowers / "train" / "lily" / "c.jpg").write_bytes(b"<html>not found</html>")
    (flowers / "train" / "lily" / "deep").mkdir()
    (flowers / "train" / "lily" / "deep" / "d.gif").symlink_to(flowers / "nowhere")
    (flowers / "test" / "rose" / "e.bmp").write_bytes(b"")
    return {
        "train/lily/c.jpg": "not a picture of a known kind",
        "train/lily/deep/d.gif": "not a file that exists",
        "train/rose/b.png": "truncated",
        "test/rose/e.bmp": "not a picture of a known kind",
    }


def test_the_first_picture_that_cannot_be_read_stops_it(flowers: Path) -> None:
    told: list[int] = []
    for path, reason in spoil(flowers).items():
        told.clear()
        said = refused(flowers, tick=lambda done, total: told.append(done))
        assert said.startswith(f"cannot read {flowers / path}: ")
        assert reason in said
        assert "--unreadable skip" in said
        assert len(told) < 12
        (flowers / path).unlink()
    assert len(read_folder(flowers).train) == 3


def test_pictures_that_cannot_be_read_are_left_out_and_listed(flowers: Path) -> None:
    wanted = spoil(flowers)
    told: list[tuple[int, int]] = []
    found = read_folder(flowers, None, "skip", lambda *now: told.append(now))
    assert [line.partition(": ")[0] for line in found.skipped] == list(wanted)
    for line, reason in zip(found.skipped, wanted.values(), strict=True):
        assert reason in line
        assert str(flowers) not in line
    assert values(found.train) == [(11, 0), (10, 0), (12, 1)]
    assert values(found.test) == [(51, 0), (50, 0), (52, 1)]
    assert told == [(done, 13) for done in range(1, 14)]


def test_a_class_of_which_nothing_can_be_read_is_named(flowers: Path) -> None:
    (flowers / "val" / "rose" / "a.png").write_bytes(b"")
    said = refused(flowers, unreadable="skip")
    assert said == f"{flowers / 'val'} has no pictures of class 'rose' that can be read"
    for path in flowers.glob("train/*/*"):
        path.write_bytes(b"")
    assert refused(flowers, unreadable="skip").endswith("class 'lily' that can be read")


@pytest.mark.parametrize("side", [11, 30])
def test_an_absurdly_large_picture_cannot_be_read(
    flowers: Path, monkeypatch: pytest.MonkeyPatch, side: int
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    save(flowers / "train" / "rose" / "large.png", size=(side, side))
    assert "rose/large.png: absurdly large" in refused(flowers)
    (skipped,) = read_folder(flowers, unreadable="skip").skipped
    assert skipped.startswith("train/rose/large.png: absurdly large")


def test_linked_pictures_and_linked_classes_are_read(flowers: Path, tmp_path: Path) -> None:
    there = save(tmp_path / "elsewhere" / "1.png", 99)
    (flowers / "train" / "lily" / "link.png").symlink_to(there)
    for split in ("train", "val", "test"):
        (flowers / split / "violet").symlink_to(there.parent)
    found = read_folder(flowers)
    assert values(found.train) == [(11, 0), (10, 0), (99, 0), (12, 1), (99, 2)]


def test_a_link_that_goes_round_in_circles_is_refused(flowers: Path) -> None:
    (flowers / "train" / "lily" / "again").symlink_to(flowers / "train")
    assert "train/lily/again is a link to a folder" in refused(flowers)


@pytest.mark.parametrize("called", ["listdir", "scandir"])
def test_a_folder_that_cannot_be_looked_into_is_no_empty_folder(
    flowers: Path, monkeypatch: pytest.MonkeyPatch, called: str
) -> None:
    locked, true = flowers / "train" / ("" if called == "listdir" else "rose"), getattr(os, called)

    def look(path: str | Path) -> object:
        if Path(path) == locked:
            raise PermissionError(13, "Permission denied", str(path))
        return true(path)

    monkeypatch.setattr(os, called, look)
    assert refused(flowers) == f"cannot read the folder {locked}: Permission denied"


def test_a_name_of_two_lines_is_shown_in_one(tmp_path: Path) -> None:
    path = tmp_path / "train" / "a" / "two\nlines.png"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"")
    assert r"a/two\nlines.png: not a picture" in refused(tmp_path)
    save(tmp_path / "train" / "a" / "1.png")
    (skipped,) = read_folder(tmp_path, unreadable="skip").skipped
    assert skipped.startswith(r"train/a/two\nlines.png: ")


@pytest.mark.parametrize("size", [(2, 4, 4), (3, 0, 4), (1, 4, -1), (3, 4), (0, 4, 4)])
def test_a_size_that_no_picture_has_is_refused(flowers: Path, size: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match=f"size is {','.join(map(str, size))}, but must be"):
        read_folder(flowers, size)


def test_a_word_that_means_nothing_is_refused(flowers: Path) -> None:
    with pytest.raises(UsageError, match="unreadable is 'ignore', but must be 'stop' or 'skip'"):
        read_folder(flowers, unreadable="ignore")


def test_more_than_the_memory_holds_is_said_before_anything_is_read(flowers: Path) -> None:
    told: list[int] = []
    said = refused(flowers, size=(3, 10**9, 10**9), tick=lambda done, total: told.append(done))
    assert "3 pictures of 3x1000000000x1000000000 bytes are more than the memory holds" in said
    assert not told


def test_the_memory_is_set_aside_once_a_split(
    flowers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, ...]] = []
    empty = torch.empty

    def counted(shape: int | tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        if dtype == torch.uint8:
            asked.append(shape)
        return empty(shape, dtype=dtype)

    monkeypatch.setattr(torch, "empty", counted)
    read_folder(flowers)
    read_folder(flowers, (3, 8, 8))
    assert asked == [(3, 3, 3, 4)] * 3 + [(3, 3, 8, 8)] * 3
