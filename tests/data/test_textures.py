"""Pictures by their patterns and gradients, in three sizes."""

from __future__ import annotations

import pytest
import torch

from maxprune.data.textures import textures
from maxprune.errors import UsageError


def test_a_picture_is_described_in_three_sizes() -> None:
    x = torch.randint(0, 256, (5, 1, 64, 64), dtype=torch.uint8)
    whole = textures(x)
    squares = [((side - 4) // cell - 1) ** 2 for side, cell in ((64, 9), (48, 9), (32, 7))]
    blocks = [((side - 2) // 8 - 1) ** 2 for side in (64, 48, 32)]
    assert whole.shape == (5, 59 * sum(squares) + 48 * sum(blocks))
    assert torch.allclose(whole.square().sum(1), torch.tensor(float(sum(squares) + sum(blocks))))
    assert torch.equal(textures(x[3:4]), whole[3:4])


def test_the_least_picture() -> None:
    assert textures(torch.zeros(1, 1, 35, 35, dtype=torch.uint8)).isfinite().all()


@pytest.mark.parametrize("shape", [(1, 3, 64, 64), (1, 1, 34, 34)])
def test_pictures_that_cannot_be_described(shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="must be grey and of 35 pixels or more"):
        textures(torch.zeros(shape, dtype=torch.uint8))
