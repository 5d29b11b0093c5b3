"""A saved model in one file: the same as the folder, and every damage is found."""

from __future__ import annotations

import contextlib
import hashlib
import io
import random
import tracemalloc
import zipfile
from pathlib import Path

import pytest
import torch
from store_helpers import cut, same, small

import maxprune
from maxprune.errors import OutputError, StoreError
from maxprune.lineage import lineage
from maxprune.store import convert, describe, load, save
from maxprune.store.parts import as_file
from maxprune.store.source import open_network


def zipped(parts: list[tuple[str, bytes]], compressed: bool = False) -> bytes:
    """An archive of anything, with a checksum that fits."""
    content = io.BytesIO()
    kind = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with zipfile.ZipFile(content, "w", kind) as archive:
        for name, part in parts:
            archive.writestr(name, part)
        archive.comment = b"0" * 64
    whole = content.getvalue()[:-64]
    return whole + hashlib.sha256(whole).hexdigest().encode()


def parts(folder: Path) -> list[tuple[str, bytes]]:
    return [(path.name, path.read_bytes()) for path in sorted(folder.iterdir())]


def test_the_file_has_what_the_folder_has(tmp_path: Path) -> None:
    model = cut()
    assert save(model, tmp_path / "net.maxprune", {"accuracy": 97.5}) == tmp_path / "net.maxprune"
    again = load(tmp_path / "net.maxprune")
    assert same(model, again)
    assert lineage(again) == lineage(model)
    assert describe(tmp_path / "net.maxprune").about == {"accuracy": 97.5}
    folder = save(model, tmp_path / "m", {"accuracy": 97.5})
    with zipfile.ZipFile(tmp_path / "net.maxprune") as archive:
        assert archive.testzip() is None
        assert {n: archive.read(n) for n in archive.namelist()} == dict(parts(folder))
    before = (tmp_path / "net.maxprune").read_bytes()
    save(model, tmp_path / "net.maxprune", {"accuracy": 97.5})
    assert (tmp_path / "net.maxprune").read_bytes() == before


def test_files_of_torch_are_not_called_damaged(tmp_path: Path) -> None:
    model = cut()
    convert(model, tmp_path / "net.pt2", torch.rand(2, 1, 28, 28))
    torch.save(model.state_dict(), tmp_path / "net.pt")
    for name, says in (
        ("net.pt2", r"is torch\.export's file, which is unpickled when it is opened, so maxprune"),
        ("net.pt", r"is torch\.save's file, a pickle, so .* and its state dict with --weights"),
    ):
        for opened in (load, describe, open_network):
            with pytest.raises(StoreError, match=says):
                opened(str(tmp_path / name))
    whole = (tmp_path / "net.pt2").read_bytes()
    (tmp_path / "cut.pt2").write_bytes(whole[:999])
    with pytest.raises(StoreError, match="is damaged: its checksum does not fit"):
        load(tmp_path / "cut.pt2")


@pytest.mark.parametrize("name", ["net.mxp", "net.maxprune"])
@pytest.mark.parametrize(
    ("content", "says"), [(b"", "it is empty"), (b"XP" * 50, "its first bytes are not those")]
)
def test_a_file_without_its_beginning_is_called_damaged(
    name: str, content: bytes, says: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    for opened in (maxprune.load, open_network):
        with pytest.raises(StoreError, match=rf"{name} is damaged: {says}"):
            opened(str(tmp_path / name))


def test_only_a_saved_model_is_replaced(tmp_path: Path) -> None:
    for name, content in (("a.maxprune", b"mine"), ("b.maxprune", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(OutputError, match="exists and is not a saved model"):
            save(small(), tmp_path / name)
        assert (tmp_path / name).read_bytes() == content
    (tmp_path / "c.maxprune").mkdir()
    with pytest.raises(OutputError, match="exists and is not a saved model"):
        save(small(), tmp_path / "c.maxprune")


def test_10000_mutations_are_refused_and_take_no_memory(tmp_path: Path) -> None:
    path = save(maxprune.networks.lenet5(fc=32), tmp_path / "net.maxprune")
    content, draw = path.read_bytes(), random.Random(0)
    damaged = tmp_path / "damaged.maxprune"
    tracemalloc.start()
    for number in range(10_000):
        changed = bytearray(content)
        if number % 3 == 0:
            changed = changed[: draw.randrange(len(changed))]
        else:
            changed[draw.randrange(len(changed))] ^= draw.randrange(1, 256)
        damaged.write_bytes(changed)
        with pytest.raises(StoreError) as caught:
            load(damaged)
        assert "\n" not in str(caught.value)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 10 * len(content)


def test_archives_that_lie_are_refused(tmp_path: Path) -> None:
    own = parts(save(cut(), tmp_path / "m"))
    path = tmp_path / "net.maxprune"
    for content, says in (
        (zipped([*own, ("../evil", b"x")]), "has '../evil' in it"),
        (zipped([*own, ("/etc/passwd", b"x")]), "has '/etc/passwd' in it"),
        (zipped([*own, ("sub/model.json", b"x")]), "has 'sub/model.json' in it"),
        (zipped(own, compressed=True), "is not stored as it is"),
        (zipped(own[:1]), r"model\.safetensors does not exist"),
        (zipped([]), "its first bytes are not those"),
        (b"PK\x03\x04", "checksum does not fit"),
        (b"\x93NUMPY", "its first bytes are not those"),
        (b"", "is damaged: it is empty"),
    ):
        path.write_bytes(content)
        with pytest.raises(StoreError, match=says):
            load(path)
    with pytest.warns(UserWarning, match="Duplicate name"):
        path.write_bytes(zipped([*own, own[0]]))
    with pytest.raises(StoreError, match="in it"):
        load(path)
    path.write_bytes(zipped(own))
    assert same(cut(), load(path))


def test_sizes_that_lie_are_refused(tmp_path: Path) -> None:
    """Every number of the archive's own directory, turned into a large one and sealed again."""
    content = as_file(dict(parts(save(cut(), tmp_path / "m"))))
    whole = content[:-64]
    start, path = whole.rfind(b"PK\x01\x02"), tmp_path / "net.maxprune"
    for place in range(start, len(whole) - 4):
        changed = whole[:place] + b"\xff\xff\xff\x7f" + whole[place + 4 :]
        path.write_bytes(changed + hashlib.sha256(changed).hexdigest().encode())
        with contextlib.suppress(StoreError):
            assert same(cut(), load(path))


def test_the_commands_take_the_file(tmp_path: Path) -> None:
    save(small(), tmp_path / "net.maxprune")
    found = maxprune.inspect(maxprune.load(tmp_path / "net.maxprune"), (1, 28, 28))
    assert found.parameters == sum(p.numel() for p in small().parameters())
    from maxprune.store.source import open_network

    assert torch.equal(open_network(str(tmp_path / "net.maxprune")).fc1.bias, small().fc1.bias)
