"""Oriented gradients, by hand and by what must not change them."""

from __future__ import annotations

import math

import pytest
import torch

from maxprune.data.gradients import BINS, gradients, oriented


def ramp(angle: float, side: int = 20) -> torch.Tensor:
    """A picture that grows brighter by one a pixel in a direction."""
    places = torch.arange(side, dtype=torch.float32)
    return (math.sin(angle) * places[:, None] + math.cos(angle) * places)[None]


@pytest.mark.parametrize("turn", [0.0, 1.0, 4.5, 7.25, 11.75])
def test_a_direction_goes_to_the_two_next_to_it(turn: float) -> None:
    found = gradients(ramp(2 * math.pi * turn / BINS))[0]
    assert found.shape == (BINS, 18, 18)
    expected = torch.zeros(BINS)
    expected[int(turn)] += 1 - turn % 1
    expected[(int(turn) + 1) % BINS] += turn % 1
    assert torch.allclose(found, 2 * expected[:, None, None].expand(found.shape), atol=1e-4)


def test_a_flat_picture_has_none() -> None:
    found = gradients(torch.full((2, 20, 20), 7.0))
    assert not found.any()
    assert not oriented(found, 4).any()


def test_squares_have_unit_length_and_overlap() -> None:
    x = 255 * torch.rand(3, 22, 18, generator=torch.Generator().manual_seed(0))
    rows = oriented(gradients(x), 4)
    assert rows.shape == (3, 4 * BINS * 4 * 3)  # cells: 5 x 4
    squares = rows.view(3, 4 * BINS, 12)
    assert torch.allclose(squares.norm(dim=1), torch.ones(3, 12), atol=1e-5)


def test_light_changes_nothing() -> None:
    x = 255 * torch.rand(2, 20, 20, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(
        oriented(gradients(x), 8), oriented(gradients(40 + 0.5 * x), 8), atol=1e-4
    )


def test_no_direction_rules_a_square() -> None:
    """Cut at a fifth of the length, then at unit length again."""
    rows = oriented(gradients(ramp(0.0)), 8)
    assert torch.allclose(rows[rows > 0], torch.tensor(0.5))  # one direction in four cells
