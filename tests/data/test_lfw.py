"""LFW from its archive and from a folder; an LFW of five pictures of three people, mostly."""

import importlib
import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from cifar10_helpers import Files, jpeg, link, packed
from PIL import Image

from maxprune.data import lfw_files
from maxprune.data.faces import Faces
from maxprune.data.layout import shown
from maxprune.data.lfw import lfw, lfw_folder
from maxprune.errors import DataError, UsageError

module = importlib.import_module("maxprune.data.lfw")
ARCHIVE = "lfw-deepfunneled.tgz"
NAMES = (("Al", 1), ("Al", 2), ("Al-Ba", 1), ("Zoë", 3), ("Zoë", 12))  # "Al-Ba_" < "Al_" as text


def path(name: str, number: int) -> str:
    return f"{name}/{name}_{number:04}.jpg"


def portrait(seed: int) -> np.ndarray:
    small = np.random.default_rng(seed).integers(0, 256, (10, 10, 3), dtype=np.uint8)
    return small.repeat(25, 0).repeat(25, 1)


def sharp(values: np.ndarray) -> bytes:
    """A JPEG that is nearly what went in."""
    file = io.BytesIO()
    Image.fromarray(values).save(file, "JPEG", quality=100)
    return file.getvalue()


@pytest.fixture(autouse=True)
def of_five(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No data folder of this machine, an empty cache, and an archive of five pictures."""
    monkeypatch.delenv("MAXPRUNE_DATA", raising=False)
    monkeypatch.setenv("MAXPRUNE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "PICTURES", 5)
    monkeypatch.setattr(lfw_files, "PICTURES", 5)
    monkeypatch.setattr(lfw_files, "PEOPLE", 3)


@pytest.fixture
def portraits() -> Files:
    """The five, back to front."""
    found = [(path(*one), jpeg(portrait(seed))) for seed, one in enumerate(NAMES)]
    return dict(found[::-1])


def put_archive(root: Path, files: Files, top: str = "lfw-deepfunneled/") -> Path:
    where = root / "lfw" / ARCHIVE
    where.parent.mkdir(parents=True, exist_ok=True)
    where.write_bytes(packed({top + name: content for name, content in files.items()}, "gz"))
    return where


def put_folder(root: Path, files: Files, name: str = "lfw-deepfunneled") -> Path:
    where = root / "lfw" / name
    for file, content in files.items():
        assert isinstance(content, bytes)
        (where / file).parent.mkdir(parents=True, exist_ok=True)
        (where / file).write_bytes(content)
    return where


@pytest.fixture
def packed_root(tmp_path: Path, portraits: Files) -> Path:
    put_archive(tmp_path / "packed", portraits)
    return tmp_path / "packed"


@pytest.fixture
def unpacked_root(tmp_path: Path, portraits: Files) -> Path:
    put_folder(tmp_path / "unpacked", portraits)
    return tmp_path / "unpacked"


def refused(root: Path) -> str:
    with pytest.raises(DataError) as caught:
        lfw(root)
    assert str(caught.value).isprintable()  # so of one line
    return str(caught.value)


def equal(one: Faces, other: Faces) -> bool:
    return one.people == other.people and all(
        torch.equal(getattr(one, name), getattr(other, name))
        for name in ("pixels", "person", "numbers")
    )


# The real data


def test_the_real_lfw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    named = os.environ.get("MAXPRUNE_DATA")
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    root = Path(named) if named else beside
    if not (root / "lfw" / ARCHIVE).is_file():
        pytest.skip(f"real LFW is not checked: no lfw/{ARCHIVE} in {root}; set MAXPRUNE_DATA")
    monkeypatch.setenv("MAXPRUNE_CACHE", str(tmp_path / "cache"))
    faces = lfw(root)
    assert faces.pixels.shape == (13_233, 1, 64, 64)
    assert (len(faces.people), faces.people[0], faces.people[-1]) == (
        5_749, "AJ_Cook", "Zydrunas_Ilgauskas",
    )  # fmt: skip
    counts = torch.bincount(faces.person)
    assert (int(counts.max()), int((counts > 1).sum())) == (530, 1_680)  # as LFW's page has it
    assert faces.people[int(counts.argmax())] == "George_W_Bush"
    of_bush = faces.numbers[faces.person == counts.argmax()]
    assert of_bush.tolist() == list(range(1, 531))
    where = faces.place("George_W_Bush", 530)
    assert (int(faces.person[where]), int(faces.numbers[where])) == (int(counts.argmax()), 530)
    assert faces.pixels.flatten(1).float().std(1).min() > 5  # none is empty
    monkeypatch.setattr(module, "read_picture", None)  # now nothing can be decoded
    assert equal(lfw(root), faces)


# What is read


def test_the_faces_by_name_and_number(packed_root: Path, unpacked_root: Path) -> None:
    for root in (packed_root, unpacked_root):
        faces = lfw(root)
        assert faces.people == ("Al", "Al-Ba", "Zoë")
        assert faces.person.tolist() == [0, 0, 1, 2, 2]
        assert faces.numbers.tolist() == [1, 2, 1, 3, 12]
        assert [faces.place(*one) for one in NAMES] == [0, 1, 2, 3, 4]
        for face, seed in zip(faces.pixels, range(5), strict=True):
            with Image.open(io.BytesIO(jpeg(portrait(seed)))) as image:
                middle = image.convert("L").crop((61, 61, 189, 189))
            expected = np.asarray(middle.resize((64, 64), Image.Resampling.BOX), dtype=np.int64)
            assert face.shape == (1, 64, 64)
            assert np.abs(face[0].numpy() - expected).mean() < 4  # between two pictures, 60
    assert equal(lfw(packed_root), lfw(unpacked_root))


@pytest.mark.parametrize(("size", "crop"), [(50, 120), (99, 199), (250, 250), (128, 101)])
def test_the_crop_is_the_exact_middle(tmp_path: Path, size: int, crop: int) -> None:
    """A black square in the middle of a white picture stays there, as large as the crop says."""
    values = np.full((250, 250), 255, np.uint8)
    values[75:175, 75:175] = 0
    put_folder(tmp_path, {"A/A_0001.jpg": sharp(values)})
    face = lfw(tmp_path, size=size, crop=crop).pixels[0, 0].int()
    for mirrored in (face.flip(0), face.flip(1), face.T):
        assert (face - mirrored).abs().max() <= 12  # half a pixel off is over 60
    black = float((face < 128).float().mean()) ** 0.5
    assert black == pytest.approx(100 / crop, abs=1.01 / size)


def test_what_is_finer_than_the_pixels_becomes_even(tmp_path: Path) -> None:
    stripes = np.zeros((250, 250), np.uint8)
    stripes[:, ::2] = 255
    put_folder(tmp_path, {"A/A_0001.jpg": sharp(stripes)})
    assert ((lfw(tmp_path).pixels.int() - 127).abs() < 30).all()


def test_colours_in_their_order_and_grey_files_as_rgb(tmp_path: Path) -> None:
    red = np.zeros((250, 250, 3), np.uint8)
    red[..., 0] = 200
    put_folder(tmp_path, {"A/A_0001.jpg": jpeg(red), "B/B_0001.jpg": jpeg(red[..., 0])})
    faces = lfw(tmp_path, size=8, channels=3)
    means = faces.pixels.float().mean((2, 3))
    assert torch.allclose(means, torch.tensor([[200.0, 0, 0], [200, 200, 200]]), atol=3)
    grey = lfw(tmp_path, size=8).pixels.float().mean((1, 2, 3))
    assert torch.allclose(grey, torch.tensor([0.299 * 200, 200]), atol=3)


@pytest.mark.parametrize("top", ["", "lfw/", "lfw-deepfunneled/"])
def test_the_archive_may_have_either_folder_on_top(
    tmp_path: Path, portraits: Files, top: str
) -> None:
    put_archive(tmp_path, portraits, top)
    assert lfw(tmp_path).numbers.tolist() == [1, 2, 1, 3, 12]


@pytest.mark.parametrize(
    ("argument", "value"),
    [("size", 0), ("size", 251), ("crop", 0), ("crop", 251), ("channels", 2), ("channels", 4)],
)
def test_sizes_out_of_range_are_refused(packed_root: Path, argument: str, value: int) -> None:
    with pytest.raises(UsageError, match=f"{argument}.*{value}|{value} {argument}"):
        lfw(packed_root, **{argument: value})


# Where it is looked for


def test_a_missing_dataset_says_what_to_put_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for root, where in ((tmp_path, tmp_path / "lfw"), (None, tmp_path / "cache" / "lfw")):
        with pytest.raises(DataError) as caught:
            lfw(root)
        assert str(caught.value) == (
            f"{where.as_posix()} is not a folder that exists; get Labeled Faces in the Wild, put "
            "lfw-deepfunneled.tgz, or its unpacked folder, and pairs.txt into a folder DIR/lfw, "
            "and say root=DIR or set MAXPRUNE_DATA=DIR"
        )
    (tmp_path / "lfw").mkdir()
    assert "has neither lfw-deepfunneled.tgz nor a folder lfw-deepfunneled; get" in refused(
        tmp_path
    )
    monkeypatch.setenv("MAXPRUNE_DATA", str(tmp_path / "typo"))
    with pytest.raises(DataError, match=r"MAXPRUNE_DATA is .*typo, which is not a folder"):
        lfw()


def test_root_serves_before_the_environment_and_that_before_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = jpeg(portrait(0))
    put_folder(tmp_path / "cache", {"Cache/Cache_0001.jpg": one})
    assert lfw().people == ("Cache",)
    (tmp_path / "env").mkdir()
    monkeypatch.setenv("MAXPRUNE_DATA", str(tmp_path / "env"))
    assert lfw().people == ("Cache",)
    put_folder(tmp_path / "env", {"Env/Env_0001.jpg": one})
    assert lfw().people == ("Env",)
    assert lfw_folder() == tmp_path / "env" / "lfw"
    put_folder(tmp_path / "root", {"Root/Root_0001.jpg": one}, "lfw")
    assert lfw(tmp_path / "root").people == ("Root",)


def test_the_archive_serves_before_the_folders(tmp_path: Path, portraits: Files) -> None:
    put_folder(tmp_path, {"Last/Last_0001.jpg": jpeg(portrait(0))}, "lfw")
    assert lfw(tmp_path).people == ("Last",)
    put_folder(tmp_path, {"Second/Second_0001.jpg": jpeg(portrait(0))})
    assert lfw(tmp_path).people == ("Second",)
    put_archive(tmp_path, portraits)
    assert len(lfw(tmp_path)) == 5


# What is refused

FOREIGN = [
    "A/B_0001.jpg",
    "A/A_0000.jpg",
    "A/A_001.jpg",
    "A/A_00001.jpg",
    "A/A_0001.jpeg",
    "A/A_0001.JPG",
    "A/A_\u0660\u0660\u0660\u0661.jpg",
    "A/A_0001.jpg\n",
    "A/more/A_0001.jpg",
    "A B/A B_0001.jpg",
    "A\tB/A\tB_0001.jpg",
    f"{201 * 'A'}/{201 * 'A'}_0001.jpg",
    "A_0001.jpg",
    "readme.txt",
]


@pytest.mark.parametrize(
    "name", [*FOREIGN, "../../A/A_0001.jpg", "../.._0001.jpg", "../A/A_0001.jpg", "/A/A_0001.jpg"]
)
@pytest.mark.parametrize("top", ["", "lfw-deepfunneled/"])
def test_an_archive_with_another_name_is_refused(
    tmp_path: Path, portraits: Files, name: str, top: str
) -> None:
    files = {top + one: content for one, content in portraits.items()}
    where = put_archive(tmp_path, {**files, top + name: jpeg(portrait(9))}, top="")
    said = refused(tmp_path)
    assert said.startswith(f"{where.as_posix()} has {top + name!r}, expected only NAME/NAME_0001")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["lfw"]  # no cache, nothing unpacked


@pytest.mark.parametrize("name", FOREIGN)
def test_a_folder_with_another_file_is_refused(unpacked_root: Path, name: str) -> None:
    where = put_folder(unpacked_root, {name: jpeg(portrait(9))})
    seen = shown(where / "/".join(name.split("/")[:2]))  # it is not looked for below a person
    assert refused(unpacked_root) == (
        f"there is {seen}, expected only NAME/NAME_0001.jpg to NAME_9999.jpg"
    )


def test_a_folder_is_listed_by_name_and_number(unpacked_root: Path) -> None:
    listed = lfw_files.in_folder(unpacked_root / "lfw" / "lfw-deepfunneled")
    assert tuple(one.picture[:2] for one in listed) == NAMES


def test_hidden_files_are_passed_over_in_a_folder(unpacked_root: Path) -> None:
    put_folder(unpacked_root, {".DS_Store": b"", "Al/.thumbs": b"", ".x/x.jpg": b""})
    assert len(lfw(unpacked_root)) == 5


def test_a_folder_below_a_person_or_nothing_at_all(unpacked_root: Path, tmp_path: Path) -> None:
    (unpacked_root / "lfw" / "lfw-deepfunneled" / "Al" / "Al_0007.jpg").mkdir()
    assert "Al_0007.jpg cannot be read: not a file that exists" in refused(unpacked_root)
    (tmp_path / "lfw" / "lfw" / "Empty").mkdir(parents=True)
    assert refused(tmp_path).endswith("lfw/lfw has no pictures NAME/NAME_0001.jpg")


WHOLE = jpeg(portrait(0))
WRONG = [
    (WHOLE[:-2000], "cannot be read: image file is truncated"),
    (b"", "cannot be read: not a picture of a known kind, or damaged at its start"),
    (b"\xff\xd8\xff" + bytes(500), "cannot be read: "),
    (jpeg(portrait(0), "PNG"), "cannot be read: not a picture of a known kind"),
    (jpeg(portrait(0)[:249]), "cannot be read: it is 250x249 pixels, expected 250x250"),
    (jpeg(portrait(0)[:, :64]), "cannot be read: it is 64x250 pixels, expected 250x250"),
    (WHOLE + bytes(1 << 20), f"{len(WHOLE) + (1 << 20)} bytes, expected at most 1048576"),
]


@pytest.mark.parametrize(("content", "message"), WRONG)
def test_a_picture_that_is_none_is_named(
    packed_root: Path, unpacked_root: Path, portraits: Files, content: bytes, message: str
) -> None:
    wrong = {path("Al", 2): content}
    where = put_archive(packed_root, {**portraits, **wrong})
    file = put_folder(unpacked_root, wrong) / path("Al", 2)
    for root, names in (
        (packed_root, (str(where), "Al/Al_0002.jpg")),
        (unpacked_root, (str(file),)),
    ):
        said = refused(root)
        assert message in said
        assert all(name in said for name in names)
    assert not (packed_root.parent / "cache").exists()  # nothing wrong is kept


def test_an_archive_that_has_a_picture_twice(tmp_path: Path, portraits: Files) -> None:
    del portraits[path("Al", 1)]
    files = {f"lfw/{one}": content for one, content in portraits.items()}
    put_archive(tmp_path, {path("Al", 2): WHOLE, **files}, top="")
    said = refused(tmp_path)
    assert f"{ARCHIVE}: lfw/Al/Al_0002.jpg is there twice; delete it" in said


def test_an_archive_with_a_picture_too_few_or_too_many(tmp_path: Path, portraits: Files) -> None:
    put_archive(tmp_path, {**portraits, path("Al", 3): WHOLE})
    assert "has more than 5 pictures; delete it" in refused(tmp_path)
    put_archive(tmp_path, {one: portraits[one] for one in list(portraits)[1:]})
    assert "has 4 pictures of 3 people, expected 5 of 3; delete it" in refused(tmp_path)
    del portraits[path("Al-Ba", 1)]
    put_archive(tmp_path, {**portraits, path("Al", 3): WHOLE})
    assert "has 5 pictures of 2 people, expected 5 of 3" in refused(tmp_path)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_an_archive_with_a_link_or_a_pipe(tmp_path: Path, portraits: Files, kind: bytes) -> None:
    name = f"lfw/{path('Al', 1)}"
    files = {f"lfw/{one}": content for one, content in portraits.items()}
    put_archive(tmp_path, {**files, name: link(name, kind)}, top="")
    assert f"has {name!r}, which is not a regular file" in refused(tmp_path)


@pytest.mark.parametrize("damage", ["cut", "bit", "no gzip", "empty"])
def test_a_damaged_archive_is_named(packed_root: Path, damage: str) -> None:
    where = packed_root / "lfw" / ARCHIVE
    whole = bytearray(where.read_bytes())
    whole[len(whole) // 2] ^= 0x55
    wrong = {"cut": whole[: len(whole) // 3], "bit": whole, "no gzip": b"<html>", "empty": b""}
    where.write_bytes(wrong[damage])
    assert str(where) in refused(packed_root)
    assert not (packed_root.parent / "cache").exists()


def test_an_archive_that_unpacks_without_end(
    packed_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lfw_files, "_UNPACKED", 1 << 12)
    assert "unpacks to more than 4096 bytes" in refused(packed_root)


# What is kept


def count(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Has every picture that is decoded put its file into this list."""
    read, true = [], module.read_picture

    def noted(file: object, **options: object) -> object:
        read.append(file)
        return true(file, **options)

    monkeypatch.setattr(module, "read_picture", noted)
    return read


@pytest.mark.parametrize("kind", ["packed", "unpacked"])
def test_a_picture_is_decoded_once_for_each_cut(
    packed_root: Path, unpacked_root: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    root = packed_root if kind == "packed" else unpacked_root
    read = count(monkeypatch)
    first = lfw(root)
    assert len(read) == 5
    assert equal(lfw(root), first)
    assert len(read) == 5
    first.pixels.zero_()  # it can be written to, and nobody else sees it
    assert lfw(root).pixels.any()
    for done, other in enumerate(({"size": 32}, {"crop": 112}, {"channels": 3}), start=2):
        mine = lfw(root, **other)
        assert len(read) == 5 * done
        assert equal(lfw(root, **other), mine)
    assert torch.equal(lfw(root).pixels, lfw(root).pixels)
    assert len(read) == 20
    monkeypatch.setattr("PIL.__version__", "0.1")
    lfw(root)
    assert len(read) == 25


def test_another_archive_or_a_changed_file_is_decoded_anew(
    packed_root: Path, unpacked_root: Path, portraits: Files
) -> None:
    before = [lfw(root).pixels for root in (packed_root, unpacked_root)]
    changed = {**portraits, path("Al", 2): jpeg(portrait(9))}
    put_archive(packed_root, changed)
    put_folder(unpacked_root, {path("Al", 2): jpeg(portrait(9))})
    for old, root in zip(before, (packed_root, unpacked_root), strict=True):
        pixels = lfw(root).pixels
        assert [torch.equal(a, b) for a, b in zip(old, pixels, strict=True)] == [
            True, False, True, True, True,
        ]  # fmt: skip


def test_the_time_size_and_name_of_a_file_count(
    unpacked_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = count(monkeypatch)
    file = unpacked_root / "lfw" / "lfw-deepfunneled" / path("Al", 2)
    lfw(unpacked_root)
    state = file.stat()
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns + 1_000_000_000))
    lfw(unpacked_root)
    assert len(read) == 10
    state = file.stat()
    file.write_bytes(file.read_bytes() + b"\0")
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
    lfw(unpacked_root)
    assert len(read) == 15
    file.rename(file.with_name("Al_0004.jpg"))
    assert lfw(unpacked_root).numbers.tolist() == [1, 4, 1, 3, 12]
    assert len(read) == 20


def test_the_faces_of_another_cut_do_not_serve_under_its_name(
    packed_root: Path, tmp_path: Path
) -> None:
    other, kept = lfw(packed_root, crop=112), tmp_path / "cache" / "lfw"
    (kept / f"{ARCHIVE}-112-1x64x64.decoded").rename(kept / f"{ARCHIVE}-128-1x64x64.decoded")
    assert not torch.equal(lfw(packed_root, crop=128).pixels, other.pixels)


def test_nothing_but_the_decoded_faces_is_written(packed_root: Path, tmp_path: Path) -> None:
    lfw(packed_root)
    files = sorted(str(one.relative_to(tmp_path)) for one in tmp_path.rglob("*") if one.is_file())
    kept = "cache/lfw/lfw-deepfunneled.tgz-128-1x64x64.decoded"
    assert files == [kept, f"packed/lfw/{ARCHIVE}"]
    _, content = (tmp_path / kept).read_bytes().split(b"\n", 1)
    assert len(content) == 5 * (256 + 64 * 64)
    assert content[3 * 256 :].startswith("Zoë\t3\0".encode())


def test_it_works_without_a_cache(packed_root: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert len(lfw(packed_root)) == 5


# The record


def faces(**changes: object) -> Faces:
    parts: dict[str, object] = {
        "pixels": torch.zeros(3, 1, 4, 4, dtype=torch.uint8),
        "people": ("A", "B"),
        "person": torch.tensor([0, 0, 1]),
        "numbers": torch.tensor([1, 2, 1]),
    }
    return Faces(**{**parts, **changes})


def test_a_picture_that_is_not_there_has_no_place() -> None:
    assert (len(faces()), faces().place("B", 1)) == (3, 2)
    for name, number in (("B", 2), ("C", 1)):
        with pytest.raises(DataError, match=f"no picture {number} of '{name}' among the 3 faces"):
            faces().place(name, number)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pixels": torch.zeros(3, 1, 4, 4)}, "torch.float32 of shape"),
        ({"pixels": torch.zeros(3, 1, 4, 5, dtype=torch.uint8)}, r"\(3, 1, 4, 5\), but must be"),
        ({"pixels": torch.zeros(3, 4, 4, dtype=torch.uint8)}, r"\(3, 4, 4\), but must be"),
        ({"person": torch.tensor([0, 1])}, r"person is torch.int64 of shape \(2,\)"),
        ({"numbers": torch.tensor([1.0, 2, 1])}, "numbers is torch.float32"),
        ({"people": ("B", "A")}, "not sorted"),
        ({"people": ("A", "A")}, "there twice"),
        ({"people": ("A", "B", "C")}, "3 people, but person does not have each of 0 to 2"),
        ({"person": torch.tensor([0, 1, 2])}, "2 people, but"),
        ({"person": torch.tensor([-1, 0, 1])}, "2 people, but"),
        ({"person": torch.tensor([1, 1, 0])}, "not in the order"),
        ({"numbers": torch.tensor([2, 1, 1])}, "not in the order"),
        ({"numbers": torch.tensor([1, 1, 1])}, "not in the order"),
        ({"numbers": torch.tensor([0, 1, 1])}, "not in the order"),
    ],
)
def test_faces_that_contradict_themselves(changes: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        faces(**changes)
