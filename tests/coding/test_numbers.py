"""Numbers in as few bytes as hold them exactly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maxprune.coding import numbers
from maxprune.coding.bits import Reader
from maxprune.errors import StoreError


@settings(deadline=None, derandomize=True)
@given(
    st.lists(st.integers(-127, 127), min_size=3, max_size=30),
    st.floats(2**-20, 500, width=16),
)
def test_whole_numbers_times_a_factor_take_a_byte_each(whole: list[int], factor: float) -> None:
    found = np.array([*whole, 127], np.float32) * np.float32(factor)
    assert numbers.fits_bytes(found)
    content = numbers.write(found, numbers.size_of(found))
    assert len(content) == 2 + len(found)
    assert numbers.read(Reader(content), "1", len(found)).tobytes() == (found + 0).tobytes()


@pytest.mark.parametrize(
    ("found", "size"),
    [
        ([0.5, 0.25, 3.0], "2"), ([0.1, 0.2, 0.5], "4"), ([1e6, 1.0, 2.0], "4"), ([], "2"),
        ([0.0, 0.0, 0.0], "2"), ([np.nan, 1.0, 2.0], "4"), ([np.inf, 1.0, 2.0], "2"),
        ([127.0, 1.0], "2"), ([127.0, 1.0, -3.0], "1"), ([127.0, 1.0, 0.5], "2"),
        ([1e-9, 1e-9, 1e-9], "4"),
    ],
)  # fmt: skip
def test_no_number_changes(found: list[float], size: str) -> None:
    tensor = np.array(found, np.float32)
    assert numbers.size_of(tensor) == size
    again = numbers.read(Reader(numbers.write(tensor, size)), size, len(found))
    assert np.array_equal(again, tensor, equal_nan=True)


@pytest.mark.parametrize("factor", [np.inf, -np.inf, np.nan])
def test_a_factor_that_is_not_finite_is_refused(factor: float) -> None:
    content = np.array([factor], "<f2").tobytes() + b"\1\2\3"
    with pytest.raises(StoreError, match="a factor that is not finite"):
        numbers.read(Reader(content), "1", 3)
