"""How often a network is right."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from maxprune.data.images import Images
from maxprune.errors import UsageError
from maxprune.measure import accuracy, correct, percent, predict

BRIGHTNESS = torch.tensor([0, 255, 128, 3, 250, 200, 10], dtype=torch.uint8)
LABELS = torch.tensor([0, 1, 1, 1, 1, 0, 0])


class Bright(nn.Module):
    """Says 1 for a bright picture; in training it says the contrary."""

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean((1, 2, 3))
        bright = torch.stack([1 - mean, mean], 1)
        return -bright if self.training else bright


def pictures() -> Images:
    return Images(BRIGHTNESS.reshape(7, 1, 1, 1).expand(7, 1, 2, 2).contiguous(), LABELS, 2)


def test_the_class_with_the_largest_output() -> None:
    model = Bright()
    assert predict(model, pictures()).tolist() == [0, 1, 1, 0, 1, 1, 0]
    assert correct(model, pictures()).tolist() == [True, True, True, False, True, False, True]
    assert accuracy(model, pictures()) == 100 * 5 / 7
    assert model.training


@pytest.mark.parametrize("batch", [1, 3, 7, 100])
def test_the_batch_size_does_not_matter(batch: int) -> None:
    assert predict(Bright(), pictures(), batch).tolist() == [0, 1, 1, 0, 1, 1, 0]


def test_percent() -> None:
    assert percent(torch.tensor([True, False, False, True])) == 50.0
    with pytest.raises(UsageError, match="no outcomes"):
        percent(torch.tensor([], dtype=torch.bool))
