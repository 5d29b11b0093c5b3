import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from cifar10_helpers import (
    BATCHES,
    COPY,
    LAST,
    PUBLISHED,
    TEST,
    Files,
    link,
    module,
    put,
    refused,
    trust,
)
from data_helpers import Mirror

from maxprune.data import Dataset, cifar10
from maxprune.errors import DataError, OutputError

pytestmark = pytest.mark.usefixtures("cifar10_of_30")


# The real data


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, Dataset]:
    """The JPEG copy of this machine, where it has one, decoded and then from the cache."""
    named = os.environ.get("MAXPRUNE_DATA")
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    folder = Path(named) if named else beside
    if not (folder / "cifar10" / COPY).is_file():
        pytest.skip(f"real CIFAR-10 is not checked: no cifar10/{COPY} in {folder}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAXPRUNE_CACHE", str(tmp_path_factory.mktemp("cache")))
        first = cifar10(folder, download=False)
        patch.setattr(module, "members", None)  # now nothing can be decoded
        return first, cifar10(folder, download=False)


def test_the_real_copy_of_cifar10(real: tuple[Dataset, Dataset]) -> None:
    data, again = real
    assert (data.name, data.classes, data.input_shape) == ("cifar10 (JPEG copy)", 10, (3, 32, 32))
    assert torch.bincount(data.train.labels).tolist() == [5000] * 10
    assert torch.bincount(data.test.labels).tolist() == [1000] * 10
    mean = data.train.pixels.numpy().mean((0, 2, 3)) / 255
    assert np.allclose(mean, [0.4914, 0.4822, 0.4465], rtol=0, atol=2e-4)  # of the published bytes
    for mine, kept in ((data.train, again.train), (data.test, again.test)):
        assert torch.equal(mine.pixels, kept.pixels)
        assert torch.equal(mine.labels, kept.labels)


# The published form


def test_the_published_records_in_their_order(published: Path, batches: Files) -> None:
    data = cifar10(published, download=False)
    assert (data.name, data.classes, data.input_shape) == ("cifar10", 10, (3, 32, 32))
    assert data.train.labels.tolist() == list(range(10)) * 2
    assert data.test.labels.tolist() == list(range(10))
    content = [batches[name] for name in BATCHES]
    pixels = b"".join(part[at + 1 : at + 3073] for part in content for at in range(0, 12292, 3073))
    assert data.train.pixels.numpy().tobytes() == pixels
    assert data.test.pixels[3, 1, 31, 30].item() == batches[LAST][3 * 3073 + 1 + 2048 - 2]


def test_another_archive_is_not_the_published_one(
    published: Path, batches: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(published, PUBLISHED, {**batches, LAST: batches[BATCHES[0]]})
    path = published / "cifar10" / PUBLISHED
    said = refused(published)
    assert said.startswith(f"{path} has the md5 ")
    assert said.endswith("delete it and get it again")
    monkeypatch.undo()
    assert "expected c32a1d4ab5d03f1284b67883e8d87530" in refused(published)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({BATCHES[1]: b"\1" * 4 * 3072}, "data_batch_2.bin has 12288 bytes, expected 12292"),
        ({LAST: b"\1" * 9 * 3073}, "test_batch.bin has 27657 bytes, expected 30730"),
        ({BATCHES[4]: b"\1" * 40_000}, "of 40000 bytes, expected at most 30730"),
        ({BATCHES[2]: b"\0" * 9219 + b"\n" * 3073}, "record 3 has the label 10, expected 0 to 9"),
        ({"cifar-10-batches-bin/more.bin": b""}, "has 'cifar-10-batches-bin/more.bin', which"),
        ({"data_batch_1.bin": b""}, "has 'data_batch_1.bin', which CIFAR-10 has not"),
        ({f"../{LAST}": b""}, "test_batch.bin', which CIFAR-10 has not"),
        ({"x": link(LAST)}, "test_batch.bin', which is not a regular file"),
        ({LAST: link(LAST)}, "test_batch.bin', which is not a regular file"),
        ({"x": link(LAST, tarfile.LNKTYPE)}, "test_batch.bin', which is not a regular file"),
        ({"x": link("pipe", tarfile.FIFOTYPE)}, "'pipe', which is not a regular file"),
    ],
)
def test_a_published_archive_with_other_members_is_refused(
    published: Path, batches: Files, monkeypatch: pytest.MonkeyPatch, change: Files, message: str
) -> None:
    put(published, PUBLISHED, {**batches, **change})
    trust(published, monkeypatch)
    said = refused(published)
    assert message in said
    assert str(published / "cifar10" / PUBLISHED) in said


def test_a_published_archive_that_lacks_a_file_or_has_it_twice(
    published: Path, batches: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    twice = tarfile.TarInfo(LAST)
    put(published, PUBLISHED, {**batches, "again": twice})
    trust(published, monkeypatch)
    assert "test_batch.bin', which CIFAR-10 has not, or not twice" in refused(published)
    put(
        published,
        PUBLISHED,
        {name.replace("-bin/", "-py/"): body for name, body in batches.items()},
    )
    trust(published, monkeypatch)
    assert "batches-py/readme.html', which CIFAR-10 has not" in refused(published)
    del batches[BATCHES[3]], batches[LAST]
    put(published, PUBLISHED, batches)
    trust(published, monkeypatch)
    assert "lacks data_batch_4.bin, test_batch.bin" in refused(published)


@pytest.mark.parametrize("damage", ["cut", "not gzip", "not tar", "checksum", "empty"])
def test_a_damaged_archive_is_named(
    published: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    whole = (published / "cifar10" / PUBLISHED).read_bytes()
    wrong = {
        "cut": whole[:-3000],
        "not gzip": b"<html>" * 1000,
        "not tar": b"\x1f\x8b" + whole[2:10] + b"\x03\x00" + bytes(8),
        "checksum": whole[:-6] + bytes([whole[-6] ^ 1]) + whole[-5:],
        "empty": b"",
    }
    put(published, PUBLISHED, wrong[damage])
    trust(published, monkeypatch)
    said = refused(published)
    assert str(published / "cifar10" / PUBLISHED) in said
    assert "delete it and get it again" in said


# Where it is looked for


def test_the_published_form_serves_before_the_copy(
    published: Path, copied: Path, tmp_path: Path
) -> None:
    assert published == copied
    assert cifar10(published).name == "cifar10"
    assert not (tmp_path / "cache").exists()
    (published / "cifar10" / PUBLISHED).unlink()
    assert cifar10(published).name == "cifar10 (JPEG copy)"


def test_a_root_without_the_folder_is_refused_though_others_have_it(
    copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAXPRUNE_DATA", str(copied))
    assert f"{tmp_path / 'cifar10'} is not a folder that exists" in refused(tmp_path)


def test_a_folder_that_has_neither_form_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cifar10").mkdir()
    assert f"has neither {PUBLISHED} nor {COPY}; put one of them there" in refused(tmp_path)


def test_the_environment_serves_before_the_cache(
    copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "cache", PUBLISHED, b"damaged")
    monkeypatch.setenv("MAXPRUNE_DATA", str(copied))
    assert cifar10(mirrors=()).name == "cifar10 (JPEG copy)"
    monkeypatch.setenv("MAXPRUNE_DATA", str(tmp_path / "typo"))
    with pytest.raises(DataError, match=r"MAXPRUNE_DATA is .*typo, which is not a folder"):
        cifar10(download=False)


def test_an_environment_without_cifar10_leaves_it_to_the_cache(
    pictures: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "cache", COPY, pictures)
    (tmp_path / "env").mkdir()
    monkeypatch.setenv("MAXPRUNE_DATA", str(tmp_path / "env"))
    assert cifar10(download=False).name == "cifar10 (JPEG copy)"


def serve(mirror: Mirror, published: Path) -> tuple[str, ...]:
    mirror.files = {f"x/{PUBLISHED}": (published / "cifar10" / PUBLISHED).read_bytes()}
    return (f"{mirror.url}x/",)


def test_downloads_once_into_the_cache(published: Path, tmp_path: Path, mirror: Mirror) -> None:
    mirrors = serve(mirror, published)
    assert cifar10(mirrors=mirrors).name == "cifar10"
    assert len(cifar10(mirrors=mirrors).test) == len(cifar10(download=False).test) == TEST
    assert mirror.asked == [(f"x/{PUBLISHED}", None)]
    kept = (tmp_path / "cache" / "cifar10" / PUBLISHED).read_bytes()
    assert kept == mirror.files[f"x/{PUBLISHED}"]


def test_without_download_nothing_is_asked(published: Path, tmp_path: Path, mirror: Mirror) -> None:
    with pytest.raises(DataError, match=r"downloading is switched off; .* root=DIR"):
        cifar10(download=False, mirrors=serve(mirror, published))
    assert not mirror.asked
    assert not (tmp_path / "cache").exists()


def test_another_file_from_a_mirror_is_refused(
    published: Path, tmp_path: Path, mirror: Mirror, second: Mirror
) -> None:
    good, (bad,) = serve(mirror, published), serve(second, published)
    second.files[f"x/{PUBLISHED}"] += b"\0"
    with pytest.raises(DataError, match=r"sends something else: .* has the md5"):
        cifar10(mirrors=(bad,))
    assert not list((tmp_path / "cache").rglob("*.gz"))
    assert cifar10(mirrors=(bad, *good)).name == "cifar10"


def test_a_mirror_that_sends_without_end_is_given_up(
    published: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LIMIT", 1000)
    mirror.lengths = False
    with pytest.raises(DataError, match="sends more than the 1000 bytes"):
        cifar10(mirrors=serve(mirror, published))


def test_no_network_says_what_to_do() -> None:
    with pytest.raises(
        DataError, match=r"cannot be reached .* DIR/cifar10 .* root=DIR or set MAXPRUNE_DATA"
    ):
        cifar10(mirrors=("http://127.0.0.1:1/",))


def test_a_cache_that_cannot_be_written(published: Path, tmp_path: Path, mirror: Mirror) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(OutputError, match="set MAXPRUNE_CACHE"):
        cifar10(mirrors=serve(mirror, published))


def test_the_published_address() -> None:
    assert [f"{mirror}{module._PUBLISHED}" for mirror in module.MIRRORS] == [
        "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
    ]
