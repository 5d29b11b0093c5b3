"""Cosines as outputs, and a margin that the right class has to win by."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from train_helpers import pictures, weights

from maxprune.errors import UsageError
from maxprune.networks import Cosine
from maxprune.train import Checkpoints, Fitting, MarginFitting, Watch, train


def small() -> nn.Module:
    torch.manual_seed(0)
    pixels = pictures().pixels[0].numel()
    return nn.Sequential(nn.Flatten(), nn.Linear(pixels, 8), nn.ReLU(), Cosine(8, 4, scale=10))


def test_outputs_are_scaled_cosines() -> None:
    layer, x = Cosine(6, 5, scale=7), torch.randn(9, 6)
    expected = 7 * F.cosine_similarity(x[:, None], layer.weight[None], dim=2)
    assert torch.allclose(layer(x), expected, atol=1e-5)
    assert torch.allclose(layer(3 * x), layer(x), atol=1e-5)
    assert repr(layer) == "Cosine(features=6, classes=5, scale=7)"


@pytest.mark.parametrize(("features", "classes", "scale"), [(0, 2, 1), (2, 0, 1), (2, 2, 0)])
def test_sizes_that_are_none_are_refused(features: int, classes: int, scale: float) -> None:
    with pytest.raises(UsageError, match="features, classes and a scale above 0"):
        Cosine(features, classes, scale)


def test_the_margin_rises_and_is_taken_from_the_right_class_alone() -> None:
    training = MarginFitting(iterations=100, margin=4.0, margin_rise=0.5)
    outputs, y = torch.randn(6, 3), torch.tensor([0, 1, 2, 0, 1, 2])
    for iteration, margin in ((0, 0.0), (25, 2.0), (50, 4.0), (99, 4.0)):
        less = outputs.clone()
        less[torch.arange(6), y] -= margin
        found = training.loss(outputs, y, iteration)
        assert float(found) == pytest.approx(float(F.cross_entropy(less, y)), abs=1e-6)
    at_once = training.model_copy(update={"margin_rise": 0.0})
    assert float(at_once.loss(outputs, y, 0)) == pytest.approx(float(training.loss(outputs, y, 99)))
    smooth = training.model_copy(update={"smoothing": 0.3})
    expected = F.cross_entropy(outputs, y, label_smoothing=0.3)
    assert float(smooth.loss(outputs, y, 0)) == pytest.approx(float(expected))


def test_no_margin_is_the_training_without_one() -> None:
    plain, other = small(), small()
    train(plain, pictures(), Fitting(iterations=20, batch=8))
    train(other, pictures(), MarginFitting(iterations=20, batch=8, margin=0.0))
    assert weights(plain) == weights(other)


def gap(model: nn.Module) -> float:
    """By how much the right class wins at least, averaged over the pictures, in cosines."""
    x, y = pictures().batch(torch.arange(len(pictures())))
    with torch.no_grad():
        out = model(x) / 10
    right = out.gather(1, y[:, None])[:, 0]
    rivals = out.scatter(1, y[:, None], -2.0).amax(1)
    return float((right - rivals).mean())


def test_a_margin_moves_classes_apart() -> None:
    gaps = []
    for margin in (0.0, 5.0):
        model = small()
        training = MarginFitting(iterations=150, batch=8, rate=0.1, margin=margin)
        train(model, pictures(), training)
        gaps.append(gap(model))
    assert gaps[1] > gaps[0] + 0.02


def test_a_killed_training_goes_on_with_its_margin(tmp_path: Path) -> None:
    def kill(done: int) -> None:
        if done == 60:
            raise KeyboardInterrupt

    training = MarginFitting(iterations=100, batch=8)
    whole, again = small(), small()
    train(whole, pictures(), training)
    checkpoints = Checkpoints(tmp_path / "c", every=20)
    with pytest.raises(KeyboardInterrupt):
        train(again, pictures(), training, checkpoints=checkpoints, watch=Watch(tick=kill))
    again = small()
    progress = train(again, pictures(), training, checkpoints=checkpoints)
    assert progress.iterations[0] == 10
    assert weights(again) == weights(whole)
