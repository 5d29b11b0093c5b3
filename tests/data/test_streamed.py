"""Pictures that stay on disk give what pictures in memory give, to the bit."""

from __future__ import annotations

import threading
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from streaming_helpers import picture, write_folder, write_shards

from maxprune.data import streaming as streaming_module
from maxprune.data import survey
from maxprune.data.folder import read_folder
from maxprune.data.images import Images
from maxprune.data.order import batches
from maxprune.data.part import Part
from maxprune.data.samples import Pictures, Splits, fingerprint
from maxprune.data.spec import DataOptions, open_data
from maxprune.data.streamed import AHEAD, PIECE, Streamed
from maxprune.data.streaming import stream_folder
from maxprune.errors import DataError, UsageError

STREAM = DataOptions(stream="yes")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MAXPRUNE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def flowers(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "flowers")


def same(ours: Any, theirs: Any, count: int | None = None) -> None:
    """Two streams or passes are equal, to the bit."""
    pairs = list(islice(zip(ours, theirs, strict=count is None), count))
    assert pairs
    for (x, y), (other, labels) in pairs:
        assert torch.equal(x, other)
        assert torch.equal(y, labels)
        assert (x.dtype, y.dtype) == (other.dtype, labels.dtype)


def pictures(splits: Splits) -> list[Pictures]:
    parts = [splits.train, splits.validation, splits.test, splits.stopping]
    assert all(isinstance(part, Pictures) for part in parts)
    return parts  # type: ignore[return-value]


@pytest.mark.parametrize("size", [None, (3, 6, 5), (1, 4, 4)])
@pytest.mark.parametrize("workers", [1, 3])
def test_a_folder_is_what_it_is_in_memory(
    flowers: Path, size: tuple[int, int, int] | None, workers: int
) -> None:
    there = stream_folder(flowers, size, workers=workers)
    held = read_folder(flowers, size)
    assert (there.name, there.classes, there.skipped) == (held.name, held.classes, ())
    for ours, theirs in (
        (there.train, held.train),
        (there.validation, held.validation),
        (there.test, held.test),
    ):
        assert isinstance(ours, Streamed)
        assert isinstance(theirs, Images)
        assert torch.equal(ours.labels, theirs.labels)
        assert (ours.shape, ours.classes, ours.about()) == (theirs.shape, 3, theirs.about())
        assert [ours.iterations(n) for n in (7, 100)] == [theirs.iterations(n) for n in (7, 100)]
        same(ours.batches(7), theirs.batches(7))
        index = torch.tensor([3, 0, 3])
        same([ours.batch(index)], [theirs.batch(index)])
        same([ours.subset(index).batch(index[1:2])], [theirs.subset(index).batch(index[1:2])])
        assert torch.equal(ours.held().pixels, theirs.pixels)
    same(there.train.stream(16, seed=5), held.train.stream(16, seed=5), 9)  # three epochs


def test_what_is_made_of_it_is_the_same(flowers: Path) -> None:
    augment = ("flip", "crop", "turn", "noise", "erase")
    options = DataOptions(augment=augment, mean=(0.5,) * 3, std=(0.2,) * 3, seed=4)
    ours = open_data(str(flowers), replace(options, stream="yes", workers=2))
    theirs = open_data(str(flowers), options)
    assert (ours.streamed, theirs.streamed) == (True, False)
    assert (ours.notes, ours.input_shape, ours.classes) == (
        theirs.notes, theirs.input_shape, theirs.classes,
    )  # fmt: skip
    for one, other in zip(pictures(ours), pictures(theirs), strict=True):
        assert one.about() == other.about()
        same(one.batches(10), other.batches(10))
    same(ours.train.stream(8, seed=1), theirs.train.stream(8, seed=1), 8)


def test_a_stream_goes_on_in_the_middle(flowers: Path) -> None:
    train = open_data(str(flowers), STREAM).train
    whole = list(islice(train.stream(8, seed=3), 15))
    same(train.stream(8, seed=3, start=6), iter(whole[6:]), 9)
    other, _ = next(train.stream(8, seed=4))
    assert not torch.equal(other, whole[0][0])


@pytest.mark.parametrize("parts", [1, 2, 3, 5])
def test_a_part_of_a_batch_is_decoded_alone(
    flowers: Path, parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = stream_folder(flowers, workers=1).train
    read: list[int] = []
    true = type(train.index).read
    monkeypatch.setattr(
        type(train.index), "read", lambda self, i, size: (read.append(i), true(self, i, size))[1]
    )
    whole = list(islice(train.stream(13, seed=2), 4))
    wanted = list(islice(batches(len(train), 13, 2), 4))
    found = []
    for rank in range(parts):
        read.clear()
        stream = train.stream(13, seed=2, part=Part(rank, parts))
        found.append(list(islice(stream, 4)))
        stream.close()  # type: ignore[attr-defined]
        own = torch.cat([index[Part(rank, parts).rows(13)] for index in wanted])
        assert set(own.tolist()) <= set(read)
        assert len(read) <= (4 + AHEAD + 1 + 1) * -(-13 // parts)  # and what waits for a worker
    joined = [
        tuple(torch.cat(t) for t in zip(*ranks, strict=True)) for ranks in zip(*found, strict=True)
    ]
    same(joined, whole)


def test_pieces_of_batches_are_put_together(flowers: Path) -> None:
    there, held = stream_folder(flowers, workers=2).train, read_folder(flowers).train
    for size in (1, PIECE - 1, PIECE, PIECE + 1, 35, 36, 1000):
        same(there.batches(size), held.batches(size))
    with pytest.raises(UsageError, match="batch size is 0"):
        there.batches(0)
    with pytest.raises(UsageError, match="numbered from 0 to 35"):
        there.subset(torch.tensor([36]))


def test_threads_end_with_the_stream(flowers: Path) -> None:
    before = threading.active_count()
    stream = stream_folder(flowers, workers=3).train.stream(4, seed=0)
    next(stream)
    assert threading.active_count() > before
    stream.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_grey_pictures_stay_grey_unless_one_is_not(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "grey", mode="L")
    assert stream_folder(root).train.shape == (1, 8, 8)
    picture(7).save(root / "test" / "class1" / "x.png")
    ours, theirs = stream_folder(root), read_folder(root)
    assert ours.train.shape == (3, 8, 8)
    same(ours.train.batches(9), theirs.train.batches(9))


def refused(root: Path, **how: Any) -> str:
    with pytest.raises(DataError) as caught:
        list(stream_folder(root, **how).train.batches(8))
    assert str(caught.value).isprintable()
    return str(caught.value)


def test_sizes_that_differ_are_refused_before_anything_is_trained(flowers: Path) -> None:
    other = flowers / "test" / "class2" / "wide.png"
    picture(0, (9, 8)).save(other)
    said = refused(flowers)
    assert f"{flowers / 'test' / 'class0' / '000.png'} is 8x8, {other} is 9x8 pixels" in said
    assert "give --input 3,H,W" in said
    assert len(list(stream_folder(flowers, (3, 4, 4)).train.batches(10))) == 4
    for path in (flowers / "test").glob("*/*"):
        picture(0, (9, 8)).save(path)  # of one size, but not that of the others
    first = flowers / "test" / "class0" / "000.png"
    train = flowers / "train" / "class0" / "000.png"
    assert f"{train} is 8x8, {first} is 9x8" in refused(flowers)
    exif = Image.Exif()
    exif[0x0112] = 6  # on its side: 8x9 becomes 9x8
    picture(0, (8, 9)).save(flowers / "val" / "class0" / "turned.png", exif=exif)
    assert "9x8" in refused(flowers)


def spoil(flowers: Path) -> None:
    whole = flowers / "train" / "class0" / "001.jpg"
    whole.write_bytes(whole.read_bytes()[:-40])
    (flowers / "train" / "class2" / "000.png").write_bytes(b"no picture")
    (flowers / "test" / "class1" / "gone.png").symlink_to(flowers / "nowhere")


def test_pictures_that_cannot_be_read_stop_it_or_are_left_out(flowers: Path, cache: Path) -> None:
    spoil(flowers)
    assert "class2/000.png: not a picture of a known kind" in refused(flowers)
    said = refused(flowers, size=(3, 8, 8))
    assert said.startswith(f"cannot read {flowers / 'train' / 'class0' / '001.jpg'}: ")
    assert "--unreadable skip" in said
    for size in (None, (3, 4, 4)):
        ours = stream_folder(flowers, size, skip=True)
        theirs = read_folder(flowers, size, "skip")
        assert ours.skipped == theirs.skipped
        assert len(ours.skipped) == 3
        assert ours.test is not None
        same(ours.train.batches(8), theirs.train.batches(8))
        same(ours.test.batches(8), theirs.test.batches(8))  # type: ignore[union-attr]
        same(ours.train.stream(8, seed=1), theirs.train.stream(8, seed=1), 10)
    for path in (flowers / "train" / "class1").iterdir():
        path.write_bytes(b"")
    assert "no pictures of class 'class1' that can be read" in refused(flowers, skip=True)


def test_what_was_seen_of_all_pictures_is_kept(
    flowers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[int, int]] = []
    stream_folder(flowers, tick=lambda *now: told.append(now))
    assert told[-1] == (9, 9)
    assert len(told) == 57
    told.clear()
    stream_folder(flowers, tick=lambda *now: told.append(now))
    assert not told
    picture(3, (8, 9)).save(flowers / "train" / "class0" / "000.png")
    assert "is 8x9" in refused(flowers, tick=lambda *now: told.append(now))
    assert told


@pytest.mark.parametrize("content", [b"", b"{}", b'{"shape": null, "first": 5, "unreadable": 3}'])
def test_a_damaged_cache_is_made_again(flowers: Path, cache: Path, content: bytes) -> None:
    spoil(flowers)
    wanted, told = stream_folder(flowers, skip=True).skipped, []
    assert stream_folder(flowers, skip=True, tick=lambda *now: told.append(now)).skipped == wanted
    assert (len(wanted), told) == (3, [])
    for path in (cache / "looked").iterdir():
        path.write_bytes(content)
    assert stream_folder(flowers, skip=True).skipped == wanted


def test_a_file_that_vanishes_is_named(flowers: Path) -> None:
    found = stream_folder(flowers)
    gone = flowers / "train" / "class1" / "004.png"
    gone.unlink()
    with pytest.raises(DataError, match=rf"^{gone} is gone; it has to stay"):
        list(found.train.batches(8))
    picture(0, (3, 3)).save(gone)
    with pytest.raises(DataError, match=rf"^{gone} was changed since it was looked at"):
        list(found.train.batches(8))


def test_an_absurdly_large_picture_is_not_decoded(
    flowers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    assert "absurdly large" in refused(flowers)
    assert "absurdly large" in refused(flowers, size=(3, 4, 4))


def test_what_tells_pictures_from_others(flowers: Path) -> None:
    def known(**options: Any) -> str:
        return fingerprint(open_data(str(flowers), replace(STREAM, **options)).train)

    first = known()
    assert known() == first
    assert len({first, known(size=(3, 4, 4)), known(mean=(0.5,) * 3), known(seed=1)}) == 4
    picture(1).save(flowers / "train" / "class0" / "000.png", compress_level=0)
    assert known() != first


def test_what_does_not_fit_in_half_of_the_memory_is_streamed(
    flowers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need = 57 * 3 * 8 * 8
    for free, streamed in ((2 * need, False), (2 * need - 2, True), (None, True)):
        monkeypatch.setattr(streaming_module.room, "free", lambda free=free: free)
        splits = open_data(str(flowers))
        assert splits.streamed is streamed
        assert any("read from disk as they are needed" in n for n in splits.notes) is streamed
    assert not open_data(str(flowers), DataOptions(stream="no")).streamed
    splits = open_data(str(flowers), DataOptions(size=(1, 2, 2)))
    assert splits.streamed  # nobody tells


def test_options_that_do_not_fit_are_refused(flowers: Path) -> None:
    with pytest.raises(UsageError, match="workers are for pictures that are streamed"):
        open_data(str(flowers), DataOptions(stream="no", workers=2))
    with pytest.raises(UsageError, match="at least 0 workers"):
        open_data(str(flowers), DataOptions(stream="yes", workers=-1))
    for options in (STREAM, DataOptions(workers=1)):
        with pytest.raises(UsageError, match="digits is in memory; streaming, with workers, is"):
            open_data("digits", options)


@pytest.mark.parametrize("numbered", [True, False])
@pytest.mark.parametrize("stream", ["yes", "no", "auto"])
def test_shards_are_what_their_folder_is(
    flowers: Path, tmp_path: Path, numbered: bool, stream: Any
) -> None:
    root = write_shards(flowers, tmp_path / "shards", numbered=numbered)
    ours, theirs = open_data(str(root), DataOptions(stream=stream)), open_data(str(flowers))
    assert ours.streamed is (stream == "yes")
    assert ours.notes[0] == ("classes: 0, 1, 2" if numbered else theirs.notes[0])
    for one, other in zip(pictures(ours), pictures(theirs), strict=True):
        same(one.batches(10), other.batches(10))
    same(ours.train.stream(8, seed=1), theirs.train.stream(8, seed=1), 8)


def test_a_look_at_headers_is_a_look_at_the_pictures(flowers: Path) -> None:
    """What `Survey` says without decoding is what decoding says."""
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK"):
        suffix = "tif" if mode == "CMYK" else "png"
        name = flowers / "val" / "class0" / f"x{mode.replace(';', '')}.{suffix}"
        Image.new(mode, (8, 8)).save(name)
    index = streaming_module.indexed(flowers)["validation"]
    looks = [survey.Survey(None, skip, 1) for skip in (False, True)]
    for place in range(len(index)):
        header, decoded = (look._one(index, place) for look in looks)
        assert header == decoded, index.path(place)
