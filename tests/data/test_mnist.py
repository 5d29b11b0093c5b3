import gzip
import hashlib
import importlib
from pathlib import Path

import numpy as np
import pytest
import torch
from data_helpers import Mirror, idx_bytes

from maxprune.data import mnist
from maxprune.errors import DataError, OutputError

module = importlib.import_module("maxprune.data.mnist")  # its name in the package is the function
NAMES = [file.name for file in module._FILES]


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No data folder of this machine, and an empty cache."""
    monkeypatch.delenv("MAXPRUNE_DATA", raising=False)
    monkeypatch.setenv("MAXPRUNE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Four small files under MNIST's names, and their MD5s in the place of the true ones."""
    draw = np.random.default_rng(0)
    arrays = [
        draw.integers(0, 256, (20, 28, 28), dtype=np.uint8),
        (np.arange(20) % 10).astype(np.uint8),
        draw.integers(0, 256, (10, 28, 28), dtype=np.uint8),
        np.arange(10, dtype=np.uint8)[::-1].copy(),
    ]
    contents = dict(zip(NAMES, map(idx_bytes, arrays), strict=True))
    use(monkeypatch, contents, [array.shape for array in arrays])
    return contents


def use(monkeypatch: pytest.MonkeyPatch, contents: dict[str, bytes], shapes: list) -> None:
    files = tuple(
        module._File(name, shape, hashlib.md5(content).hexdigest())  # noqa: S324
        for (name, content), shape in zip(contents.items(), shapes, strict=True)
    )
    monkeypatch.setattr(module, "_FILES", files)


def write(folder: Path, contents: dict[str, bytes], packed: bool = True) -> Path:
    (folder / "mnist").mkdir(parents=True)
    for name, content in contents.items():
        path = folder / "mnist" / (f"{name}.gz" if packed else name)
        path.write_bytes(gzip.compress(content) if packed else content)
    return folder


def serve(mirror: Mirror, contents: dict[str, bytes]) -> tuple[str, ...]:
    mirror.files = {f"x/{name}.gz": gzip.compress(body) for name, body in contents.items()}
    return (f"{mirror.url}x/",)


def test_the_real_mnist(real_data: Path) -> None:
    data = mnist(real_data, download=False)
    assert (data.name, data.classes, data.input_shape) == ("mnist", 10, (1, 28, 28))
    assert (len(data.train), len(data.test)) == (60000, 10000)
    assert data.test.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert torch.bincount(data.train.labels).tolist() == [
        5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949,
    ]  # fmt: skip
    assert round(data.train.pixels.double().mean().item() / 255, 4) == 0.1307


@pytest.mark.parametrize("packed", [True, False])
def test_an_explicit_root_serves(small: dict[str, bytes], tmp_path: Path, packed: bool) -> None:
    data = mnist(write(tmp_path / "root", small, packed), download=False)
    assert data.train.pixels.shape == (20, 1, 28, 28)
    assert data.train.pixels.numpy().tobytes() == small[NAMES[0]][16:]
    assert data.test.labels.tolist() == list(range(9, -1, -1))


def test_a_root_without_the_folder_is_refused_though_others_have_it(
    small: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAXPRUNE_DATA", str(write(tmp_path / "env", small)))
    with pytest.raises(DataError, match=f"{tmp_path / 'mnist'} is not a folder that exists"):
        mnist(tmp_path)


def test_a_folder_that_lacks_a_file_is_refused(small: dict[str, bytes], tmp_path: Path) -> None:
    root = write(tmp_path / "root", small)
    (root / "mnist" / f"{NAMES[3]}.gz").unlink()
    with pytest.raises(DataError, match=f"has neither {NAMES[3]}.gz nor {NAMES[3]}"):
        mnist(root)


def test_the_environment_serves_before_the_cache(
    small: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAXPRUNE_DATA", str(write(tmp_path / "env", small)))
    write(tmp_path / "cache", dict.fromkeys(small, b"damaged"))
    assert len(mnist(mirrors=()).train) == 20


def test_an_environment_without_mnist_leaves_it_to_the_cache(
    small: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "cache", small)
    (tmp_path / "env").mkdir()
    monkeypatch.setenv("MAXPRUNE_DATA", str(tmp_path / "env"))
    assert len(mnist(download=False).train) == 20
    monkeypatch.setenv("MAXPRUNE_DATA", str(tmp_path / "typo"))
    with pytest.raises(DataError, match=r"MAXPRUNE_DATA is .*typo, which is not a folder"):
        mnist(download=False)


def test_downloads_once_into_the_cache(
    small: dict[str, bytes], tmp_path: Path, mirror: Mirror
) -> None:
    mirrors = serve(mirror, small)
    assert len(mnist(mirrors=mirrors).test) == 10
    assert [name for name, _ in mirror.asked] == [f"x/{name}.gz" for name in NAMES]
    assert len(mnist(mirrors=mirrors).test) == len(mnist(download=False).test) == 10
    assert len(mirror.asked) == 4


def test_without_download_nothing_is_asked(
    small: dict[str, bytes], tmp_path: Path, mirror: Mirror
) -> None:
    with pytest.raises(DataError, match=r"downloading is switched off; .* root=DIR"):
        mnist(download=False, mirrors=serve(mirror, small))
    assert not mirror.asked
    assert not (tmp_path / "cache").exists()


def test_another_packing_is_taken_and_another_content_is_not(
    small: dict[str, bytes], tmp_path: Path, mirror: Mirror
) -> None:
    mirrors = serve(mirror, small)
    mirror.files[f"x/{NAMES[1]}.gz"] = gzip.compress(small[NAMES[1]], 1, mtime=7)
    mirror.files[f"x/{NAMES[3]}.gz"] = gzip.compress(small[NAMES[3]][:-1] + b"\x05")
    with pytest.raises(
        DataError, match=rf"{NAMES[3]}.gz has the MD5 \w* \(unpacked\), expected"
    ) as caught:
        mnist(mirrors=mirrors)
    assert "delete it" not in str(caught.value)  # there is nothing left to delete
    kept = sorted(path.name for path in (tmp_path / "cache" / "mnist").glob("*.gz"))
    assert kept == sorted(f"{name}.gz" for name in NAMES[:3])


def test_a_damaged_cache_is_named(small: dict[str, bytes], tmp_path: Path) -> None:
    path = write(tmp_path / "cache", small) / "mnist" / f"{NAMES[2]}.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=f"{path} is damaged.*delete it and get it again"):
        mnist(mirrors=())


def test_no_network_says_what_to_do(small: dict[str, bytes]) -> None:
    with pytest.raises(DataError, match=r"cannot be reached .* say root=DIR or set MAXPRUNE_DATA"):
        mnist(mirrors=("http://127.0.0.1:1/",))


def test_a_cache_that_cannot_be_written(
    small: dict[str, bytes], tmp_path: Path, mirror: Mirror
) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(OutputError, match="set MAXPRUNE_CACHE"):
        mnist(mirrors=serve(mirror, small))


def test_a_label_that_is_no_digit_is_refused(
    small: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small[NAMES[1]] = small[NAMES[1]][:-1] + b"\x0a"
    use(monkeypatch, small, [file.shape for file in module._FILES])
    with pytest.raises(DataError, match=r"labels\[19\] is 10, but must be in 0 to 9"):
        mnist(write(tmp_path / "root", small))


def test_fashion_mnist_or_a_subset_is_not_mnist(
    small: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write(tmp_path / "root", small)
    monkeypatch.undo()
    with pytest.raises(DataError, match="declares the shape 20x28x28, expected 60000x28x28"):
        mnist(root)
