"""One picture file to bytes: whatever its kind, upright, grey or RGB, and of a bounded size."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
from jaxtyping import UInt8
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from maxprune.errors import first_line
from maxprune.files import is_file

FREE = 1 << 24
"""Pixels that any file may have,"""

A_BYTE = 64
"""and beside them for each of its bytes: the memory that a small file can take is bounded."""

Size = tuple[int, int, int]
"""(channels 1 or 3, height, width) of a picture, in pixels."""

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
"""What a file may be inside; told by its content. None of them starts another program."""

_GREY = ("1", "L", "LA", "La", "I")  # and the kinds of "I;16"
_ON_ITS_SIDE = (5, 6, 7, 8)  # EXIF orientations
_SEE_THROUGH = ("LA", "La", "PA", "RGBA", "RGBa")


class Unreadable(Exception):  # noqa: N818  (what the file is)
    """This file is no picture that can be read; the message is the reason, in one line."""


@contextlib.contextmanager
def pillow() -> Iterator[None]:
    """Have Pillow ready for `read_picture`, also in several threads.

    While it lasts a picture of more than `PIL.Image.MAX_IMAGE_PIXELS` is an error, and Pillow's
    remarks about what it could read nevertheless (an odd EXIF block) are not shown. The filters of
    warnings belong to the whole process, so this is for the thread that starts the others.
    """
    Image.init()
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
        yield


def quiet() -> None:
    """Have Pillow ready for work that goes on beside others', in threads and in the middle of it.

    `pillow` ends with its block, and so fits no stream that lives as long as a training. Here
    Pillow's remarks are not shown from now on; what is absurdly large is refused in any case.
    """
    Image.init()
    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


def shape_of(file: Path | IO[bytes], formats: tuple[str, ...] = FORMATS) -> Size:
    """(channels, height, width) that `read_picture` gives without a size, from the header alone.

    Raises:
        Unreadable: the header is none; what follows it is not looked at.
    """
    if isinstance(file, Path) and not is_file(file):
        raise Unreadable("not a file that exists")
    try:
        with Image.open(file, formats=formats) as opened:
            _check_pixels(opened, _length(file))
            width, height = opened.size
            if opened.getexif().get(ExifTags.Base.Orientation) in _ON_ITS_SIDE:
                width, height = height, width
            grey = opened.mode in _GREY or opened.mode.startswith("I;16")
    except MemoryError:
        raise
    except Exception as error:
        raise Unreadable(_reason(error)) from error
    return 1 if grey else 3, height, width


def read_picture(
    file: Path | IO[bytes], size: Size | None = None, formats: tuple[str, ...] = FORMATS
) -> UInt8[np.ndarray, "c h w"]:
    """Read one picture; of several in a file, the first.

    It is turned as its EXIF orientation says. What is transparent is laid over white. Of 16 bits a
    channel the upper 8 stay. With a `size` the largest part of that shape in the middle is taken,
    and resized to it with Pillow's antialiased bilinear filter.

    Args:
        file: a path, or an open file that can be read from its start.
        size: the size wanted, 1 channel for grey or 3 for RGB; when None, the picture's own, grey
            where its file is grey (with or without transparency).
        formats: names of Pillow's formats that `file` may have.

    Returns:
        uint8, shape (channels, height, width), 0 to 255.

    Raises:
        Unreadable: no such file, no picture, truncated, too many pixels, or of a kind whose
            numbers cannot be put in 8 bits without guessing.
    """
    if isinstance(file, Path) and not is_file(file):
        raise Unreadable("not a file that exists")
    try:
        with Image.open(file, formats=formats) as opened:
            _check_pixels(opened, _length(file))
            kind = opened.format
            image = _plain(_eight_bits(ImageOps.exif_transpose(opened), kind), size)
        if size is not None:
            image = ImageOps.fit(image, (size[2], size[1]), Image.Resampling.BILINEAR)
        values = np.array(image)
    except MemoryError:
        raise
    except Exception as error:  # a damaged file makes Pillow's readers raise nearly anything
        raise Unreadable(_reason(error)) from error
    return values[None] if values.ndim == 2 else values.transpose(2, 0, 1)


def _length(file: Path | IO[bytes]) -> int:
    """The bytes of a file; an open one is where it was."""
    if isinstance(file, Path):
        return file.stat().st_size
    place, end = file.tell(), file.seek(0, io.SEEK_END)
    file.seek(place)
    return end


def _check_pixels(image: Image.Image, length: int) -> None:
    """Pillow's bound, also where a thread does not see that its warning is an error, and ours."""
    limit, pixels = FREE + A_BYTE * length, image.width * image.height
    if Image.MAX_IMAGE_PIXELS is not None:
        limit = min(limit, Image.MAX_IMAGE_PIXELS)
    if pixels > limit:
        raise Image.DecompressionBombError(
            f"{pixels} pixels in {length} bytes exceed the limit of {limit}"
        )


def _eight_bits(image: Image.Image, kind: str | None) -> Image.Image:
    """Grey of 16 bits becomes 8 bits, as Pillow does it for RGB: the lower 8 are dropped.

    Wider numbers, and floats, have no known white: they are refused. PNG and PGM say "I" (32 bits)
    and mean 0 to 65535.
    """
    if image.mode.startswith("I;16") or (image.mode == "I" and kind in ("PNG", "PPM")):
        values = np.asarray(image).astype(np.int64) >> 8
        return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError(f"its pixels are 32-bit numbers (mode {image.mode}) of an unknown range")
    return image


def _plain(image: Image.Image, size: Size | None) -> Image.Image:
    """The picture in mode "L" or "RGB", without transparency."""
    grey = image.mode in _GREY if size is None else size[0] == 1
    mode = "L" if grey else "RGB"
    if image.mode in _SEE_THROUGH or "transparency" in image.info:
        colours = image.convert("RGBA")
        paper = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(paper, colours).convert(mode)
    return image.convert(mode)


def _reason(error: Exception) -> str:
    """Why a file cannot be read, in one line, without its path."""
    if isinstance(error, UnidentifiedImageError):
        return "not a picture of a known kind, or damaged at its start"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = first_line(error)
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        text = f"absurdly large: {text}"
    return text if text.isprintable() else ascii(text)[1:-1]
