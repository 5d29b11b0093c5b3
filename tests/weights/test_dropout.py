"""Dropout that shrinks with the connections left, and is put back."""

import pytest
from torch import nn

from maxprune.errors import UsageError
from maxprune.weights import scaled_dropout


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Dropout2d(0.2), nn.Sequential(nn.Dropout(0.5), nn.AlphaDropout(0.1)), nn.Linear(2, 2)
    )


def ratios(model: nn.Sequential) -> list[float]:
    return [model[0].p, model[1][0].p, model[1][1].p]


@pytest.mark.parametrize(("left", "root"), [(1, 1), (0.25, 0.5), (0.0, 0)])
def test_the_ratio_shrinks_with_the_root_of_what_is_left(left: float, root: float) -> None:
    model = network()
    with scaled_dropout(model, left):
        assert ratios(model) == pytest.approx([0.2 * root, 0.5 * root, 0.1 * root])
    assert ratios(model) == [0.2, 0.5, 0.1]


def test_it_is_put_back_after_an_error() -> None:
    model = network()
    with pytest.raises(KeyError), scaled_dropout(model, 0.1):
        raise KeyError
    assert ratios(model) == [0.2, 0.5, 0.1]


@pytest.mark.parametrize("left", [-0.1, 1.1, float("nan")])
def test_a_share_that_cannot_be_is_refused(left: float) -> None:
    model = network()
    with pytest.raises(UsageError, match="share"), scaled_dropout(model, left):
        pass
    assert ratios(model) == [0.2, 0.5, 0.1]
