"""Cosines as outputs, and a margin that the right class has to win by."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from train_helpers import pictures, weights

from maxprune.errors import UsageError
from maxprune.networks import Cosine, TaughtCosine
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


def test_the_second_outputs_are_cosines_with_what_the_teacher_says() -> None:
    layer, x = TaughtCosine(6, 5, taught=3, scale=7), torch.rand(9, 6)
    torch.nn.init.normal_(layer.directions)
    found = layer(x)
    plain = Cosine(6, 5, scale=7)
    plain.load_state_dict({"weight": layer.weight})
    assert torch.equal(found[:, :5], plain(x))
    pointed = F.linear(x.sqrt(), layer.map, layer.offset)
    expected = F.cosine_similarity(pointed[:, None], layer.directions[None], dim=2)
    assert torch.allclose(found[:, 5:], expected, atol=1e-2)  # the root begins above zero
    assert repr(layer) == "TaughtCosine(features=6, classes=5, scale=7, taught=3)"
    with pytest.raises(UsageError, match="at least one dimension"):
        TaughtCosine(6, 5, taught=0)


def test_a_descriptor_of_zeros_can_be_taught() -> None:
    layer = TaughtCosine(6, 5, taught=3)
    x = torch.zeros(2, 6, requires_grad=True)
    MarginFitting(taught=1.0).loss(layer(x), torch.tensor([0, 4]), 0).backward()
    assert x.grad is not None
    assert bool(x.grad.isfinite().all())


def test_what_is_taught_of_the_right_class_counts_alone() -> None:
    training = MarginFitting(iterations=100)
    taught = training.model_copy(update={"taught": 3.0})
    outputs, near, y = torch.randn(4, 3), torch.rand(4, 3), torch.tensor([0, 1, 2, 0])
    found = taught.loss(torch.cat([outputs, near], 1), y, 40) - training.loss(outputs, y, 40)
    expected = 3 * (1 - (near[0, 0] + near[1, 1] + near[2, 2] + near[3, 0]) / 4)
    assert float(found) == pytest.approx(float(expected), abs=1e-5)


def likeness(weight: float, seed: int) -> float:
    """By how much classes 0 and 1, alike to the teacher, lie nearer to each other than to 2."""
    torch.manual_seed(seed)
    pixels = pictures().pixels[0].numel()
    output = TaughtCosine(16, 3, taught=2, scale=10)
    output.directions.copy_(torch.tensor([[1.0, 0], [1, 0], [0, 1]]))
    body = nn.Sequential(nn.Flatten(), nn.Linear(pixels, 16), nn.ReLU())
    training = MarginFitting(iterations=200, batch=8, rate=0.05, clip=5.0, taught=weight)
    train(nn.Sequential(body, output), pictures(), training)
    x, y = pictures().batch(torch.arange(len(pictures())))
    with torch.no_grad():
        middles = torch.stack([F.normalize(body(x)[y == k]).mean(0) for k in range(3)])
    cosines = F.normalize(middles) @ F.normalize(middles).T
    return float(2 * cosines[0, 1] - cosines[0, 2] - cosines[1, 2])


def test_descriptors_come_to_lie_as_the_teacher_says() -> None:
    """Three seeds, since a single one depends on how a processor rounds."""
    taught = [likeness(200.0, seed) - likeness(1e-9, seed) for seed in range(3)]
    assert sum(taught) / 3 > 0.2
