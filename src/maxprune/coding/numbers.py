"""Numbers of float32 in as few bytes as hold them exactly (docs/format.md, "Numbers")."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from maxprune.coding.bits import Reader
from maxprune.errors import StoreError

if TYPE_CHECKING:
    from jaxtyping import Float32

    Numbers: TypeAlias = Float32[np.ndarray, "..."]

LARGEST = 127  # of the whole numbers in one byte


def scale_of(largest: float) -> np.float32:
    """What whole numbers from -127 to 127 are multiplied by to reach so far: one of 16 bits.

    Example:
        >>> float(scale_of(12.7))
        0.0999755859375
    """
    with np.errstate(over="ignore"):
        return np.float32(np.float16(largest / LARGEST))


def fits_halves(numbers: Numbers) -> bool:
    """Whether every number is one of 16 bits."""
    with np.errstate(over="ignore"):
        return np.array_equal(numbers, numbers.astype(np.float16))


def fits_bytes(numbers: Numbers) -> bool:
    """Whether every number is a whole one up to 127, times a factor of 16 bits."""
    largest = float(np.abs(numbers).max(initial=0))
    scale = scale_of(largest)
    if not np.isfinite(scale) or not scale or numbers.size < 3:
        return False  # or no shorter
    return np.array_equal(_whole(numbers, scale).astype(np.float32) * scale, numbers)


def _whole(numbers: Numbers, scale: np.float32) -> np.ndarray:
    return np.clip(np.rint(numbers / scale), -LARGEST, LARGEST).astype(np.int8)


def size_of(numbers: Numbers) -> str:
    """The fewest bytes for each of them: "1", "2" or "4"."""
    if fits_bytes(numbers):
        return "1"
    return "2" if fits_halves(numbers) else "4"


def write(numbers: Numbers, size: str) -> bytes:
    """Their bytes; with one byte for each, the factor comes first."""
    if size != "1":
        return numbers.astype(f"<f{size}").tobytes()
    scale = scale_of(float(np.abs(numbers).max()))
    return np.array(scale, "<f2").tobytes() + _whole(numbers, scale).tobytes()


def read(reader: Reader, size: str, count: int) -> Numbers:
    """The same numbers.

    Raises:
        StoreError: the bytes end, or the factor is not finite.
    """
    if size != "1":
        return reader.array(f"<f{size}", count).astype(np.float32)
    (scale,) = reader.array("<f2", 1).astype(np.float32)
    if not np.isfinite(scale):
        raise StoreError("its numbers have a factor that is not finite")
    found: Numbers = reader.array("i1", count).astype(np.float32) * scale
    return found
