import io
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maxprune.pictures import Unreadable, pillow, read_picture


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def written(image: Image.Image, kind: str, **options: object) -> io.BytesIO:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file


def test_rgb_and_grey_come_as_they_are() -> None:
    colours, grey = noise(4, 5, 3), noise(4, 5)
    assert np.array_equal(
        read_picture(written(Image.fromarray(colours), "PNG")), colours.transpose(2, 0, 1)
    )
    found = read_picture(written(Image.fromarray(grey), "PNG"))
    assert found.dtype == np.uint8
    assert np.array_equal(found, grey[None])


def test_grey_is_asked_for_or_rgb_and_the_size_stays_where_it_fits() -> None:
    colours, grey = noise(4, 5, 3), noise(4, 5)
    luma = colours @ np.array([0.299, 0.587, 0.114])
    found = read_picture(written(Image.fromarray(colours), "PNG"), (1, 4, 5))
    assert found.shape == (1, 4, 5)
    assert np.abs(found[0] - luma).max() < 1
    found = read_picture(written(Image.fromarray(grey), "PNG"), (3, 4, 5))
    assert np.array_equal(found, np.stack([grey] * 3))


def test_black_and_white_is_grey_of_0_and_255() -> None:
    bits = noise(3, 9) > 127
    found = read_picture(written(Image.fromarray(bits), "PNG"))
    assert np.array_equal(found, bits[None] * np.uint8(255))


def test_a_palette_becomes_its_colours() -> None:
    image = Image.fromarray(np.array([[0, 1], [2, 1]], dtype=np.uint8))
    image.putpalette([255, 0, 0, 0, 200, 0, 0, 0, 100])
    found = read_picture(written(image, "PNG")).transpose(1, 2, 0)
    red, green, blue = [255, 0, 0], [0, 200, 0], [0, 0, 100]
    assert found.tolist() == [[red, green], [blue, green]]
    see_through = written(image, "PNG", transparency=1)
    found = read_picture(see_through).transpose(1, 2, 0)
    assert found.tolist() == [[red, [255] * 3], [blue, [255] * 3]]
    several = written(image, "PNG", transparency=bytes([255, 0, 0]))
    assert read_picture(several).transpose(1, 2, 0).tolist() == [[red, [255] * 3], [[255] * 3] * 2]


def test_what_is_transparent_lies_over_white() -> None:
    values = np.array([[[10, 20, 30, 255], [10, 20, 30, 0], [0, 0, 0, 51]]], dtype=np.uint8)
    found = read_picture(written(Image.fromarray(values), "PNG")).transpose(1, 2, 0)
    assert found.tolist() == [[[10, 20, 30], [255] * 3, [204] * 3]]
    grey = Image.fromarray(np.array([[[7, 255], [7, 0]]], dtype=np.uint8), "LA")
    assert read_picture(written(grey, "PNG")).tolist() == [[[7, 255]]]
    key = Image.fromarray(np.array([[7, 8]], dtype=np.uint8))
    assert read_picture(written(key, "PNG", transparency=8)).tolist() == [[[7, 255]]]


def test_cmyk_becomes_rgb() -> None:
    image = Image.new("CMYK", (2, 2), (255, 0, 0, 0))
    assert read_picture(written(image, "TIFF"))[:, 0, 0].tolist() == [0, 255, 255]
    found = read_picture(written(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG"))
    assert np.abs(found[:, 8, 8].astype(int) - [255, 0, 0]).max() <= 3


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PGM", "TIFF, big-endian"])
def test_of_16_bits_the_upper_8_stay(kind: str) -> None:
    values = np.array([[0x0000, 0x12FF, 0x8000, 0xFFFF]], dtype=np.uint16)
    if kind == "PGM":
        file = io.BytesIO(b"P5 4 1 65535\n" + values.astype(">u2").tobytes())
    elif kind == "TIFF, big-endian":
        file = written(Image.frombytes("I;16B", (4, 1), values.astype(">u2").tobytes()), "TIFF")
    else:
        file = written(Image.fromarray(values), kind)
    assert read_picture(file).tolist() == [[[0x00, 0x12, 0x80, 0xFF]]]


def test_of_16_bits_of_rgb_the_upper_8_stay() -> None:
    values = np.array([0x12FF, 0x8000, 0xFFFF], dtype=">u2")
    found = read_picture(io.BytesIO(b"P6 1 1 65535\n" + values.tobytes()))
    assert np.abs(found[:, 0, 0].astype(int) - [0x12, 0x80, 0xFF]).max() <= 1  # Pillow rounds


@pytest.mark.parametrize("dtype", ["int32", "float32"])
def test_numbers_of_an_unknown_range_are_refused(dtype: str) -> None:
    file = written(Image.fromarray(np.ones((2, 2), dtype=dtype)), "TIFF")
    with pytest.raises(Unreadable, match=r"32-bit numbers \(mode [IF]\) of an unknown range"):
        read_picture(file)


@pytest.mark.parametrize(
    ("orientation", "turned"),
    [
        (1, lambda x: x),
        (2, np.fliplr),
        (3, lambda x: np.rot90(x, 2)),
        (6, lambda x: np.rot90(x, -1)),
        (8, np.rot90),
    ],
)
def test_the_orientation_of_the_camera_is_followed(orientation: int, turned) -> None:
    values = noise(4, 6, 3)
    exif = Image.Exif()
    exif[0x0112] = orientation
    for kind in ("PNG", "TIFF"):
        file = written(Image.fromarray(values), kind, exif=exif)
        assert np.array_equal(read_picture(file).transpose(1, 2, 0), turned(values))


def test_of_several_pictures_the_first_counts() -> None:
    frames = [Image.new("RGB", (3, 2), colour) for colour in ("red", "blue")]
    file = written(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert read_picture(file)[:, 1, 2].tolist() == [255, 0, 0]


@pytest.mark.parametrize("wide", [True, False])
def test_the_shorter_side_is_resized_and_the_middle_cut_out(wide: bool) -> None:
    image = Image.fromarray(noise(20, 60, 3) if wide else noise(60, 20, 3))
    found = read_picture(written(image, "PNG"), (3, 10, 10))
    covering = image.resize((30, 10) if wide else (10, 30), Image.Resampling.BILINEAR)
    middle = covering.crop((10, 0, 20, 10) if wide else (0, 10, 10, 20))
    assert np.array_equal(found.transpose(1, 2, 0), np.asarray(middle))


def test_a_small_picture_is_enlarged_to_cover() -> None:
    found = read_picture(written(Image.new("L", (3, 5), 77), "PNG"), (1, 8, 12))
    assert (found == np.full((1, 8, 12), 77)).all()


def test_resizing_is_bilinear_with_antialiasing() -> None:
    rows = noise(64, 64)
    found = read_picture(written(Image.fromarray(rows), "PNG"), (1, 8, 8))[0]
    near = np.arange(64) + 0.5
    far = np.abs((near[None] - (np.arange(8)[:, None] * 8 + 4)) / 8)
    weights = np.clip(1 - far, 0, None)
    weights /= weights.sum(axis=1, keepdims=True)  # the triangle of 2 output pixels' width
    assert np.abs(found - weights @ rows @ weights.T).max() <= 1.01


def test_the_content_counts_and_not_the_name(tmp_path: Path) -> None:
    path = tmp_path / "really.jpg"
    Image.new("L", (2, 2), 9).save(path, "PNG")
    assert (read_picture(path) == 9).all()
    with pytest.raises(Unreadable, match="not a picture of a known kind"):
        read_picture(path, formats=("JPEG",))
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")
    with pytest.raises(Unreadable, match="not a picture of a known kind"):
        read_picture(path)  # PostScript is a program


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "TIFF", "BMP", "WEBP", "PPM"])
def test_a_truncated_picture_is_refused_in_one_line(kind: str) -> None:
    whole = written(Image.fromarray(noise(40, 40, 3)), kind).getvalue()
    assert read_picture(io.BytesIO(whole)).shape == (3, 40, 40)
    for share in (0.0, 0.01, 0.5, 0.9):
        with pytest.raises(Unreadable) as caught, pillow():
            read_picture(io.BytesIO(whole[: int(share * len(whole))]))
        assert str(caught.value).isprintable()


def test_no_file_and_no_regular_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.png").symlink_to(tmp_path / "nowhere.png")
    os.mkfifo(tmp_path / "pipe.png")  # opening it would wait for ever
    for name in ("none.png", "broken.png", "pipe.png", ""):
        with pytest.raises(Unreadable, match=r"^not a file that exists$"):
            read_picture(tmp_path / name)


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0,
    reason="a file without permission is not tried: this user may read everything",
)
def test_a_file_without_permission_is_refused(tmp_path: Path) -> None:
    Image.new("L", (2, 2)).save(tmp_path / "a.png")
    (tmp_path / "a.png").chmod(0)
    with pytest.raises(Unreadable, match="Permission denied"):
        read_picture(tmp_path / "a.png")


@pytest.mark.parametrize("side", [11, 30])
def test_an_absurdly_large_picture_is_refused(monkeypatch: pytest.MonkeyPatch, side: int) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # 121 is a warning to Pillow, 900 an error
    large, fitting = (written(Image.new("L", (size, size)), "PNG") for size in (side, 10))
    with pillow():
        assert read_picture(fitting).shape == (1, 10, 10)
        with pytest.raises(Unreadable, match="absurdly large"):
            read_picture(large)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as a thread that knows nothing of the filters
        with pytest.raises(Unreadable, match="absurdly large"):
            read_picture(large)


def test_a_lack_of_memory_is_no_property_of_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("PIL.ImageOps.exif_transpose", full)
    with pytest.raises(MemoryError):
        read_picture(written(Image.new("L", (2, 2)), "PNG"))
