"""The default training of one's own network: its schedule, its judge, its patience."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import nn
from train_helpers import pictures, weights

from maxprune.errors import UsageError
from maxprune.train import Checkpoints, Fitting, Watch, train


def small() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(pictures().pixels[0].numel(), 4))


def test_the_rate_rises_then_falls_like_a_cosine_to_zero() -> None:
    fitting = Fitting(iterations=100, rate=0.1, warmup=0.1)
    rates = [fitting.rate_at(i) for i in range(100)]
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[10] == pytest.approx(0.1)
    assert rates[55] == pytest.approx(0.05)
    assert rates[99] == pytest.approx(0.05 * (1 + math.cos(math.pi * 89 / 90)))
    assert Fitting(iterations=1).rate_at(0) > 0


def test_epochs_become_iterations() -> None:
    fitting = Fitting.of_epochs(2.5, 1000, batch=100, rate=0.3)
    assert (fitting.iterations, fitting.judge_every, fitting.batch) == (25, 10, 100)
    assert fitting.rate == 0.3
    assert Fitting.of_epochs(0.1, 5, batch=100).iterations == 1
    for epochs in (0, float("nan"), "a"):
        says = f"^epochs must be a finite number above 0, not {epochs!r}$"
        with pytest.raises(UsageError, match=says):
            Fitting.of_epochs(epochs, 5)
    for wrong in ({"rate": -1}, {"batch": 0}, {"batch": "x"}):
        with pytest.raises(UsageError, match=f"^{min(wrong)} must be "):
            Fitting.of_epochs(1, 5, **wrong)


def test_the_best_network_is_kept_and_patience_ends_the_training() -> None:
    model = small()
    scores = iter([1.0, 3.0, 2.0, 3.0, 2.5, 9.0])
    seen = []

    def judge(network: nn.Module) -> float:
        assert not network.training
        seen.append(weights(network))
        return next(scores)

    fitting = Fitting(iterations=60, batch=8, judge_every=10, patience=3)
    progress = train(model, pictures(), fitting, watch=Watch(judge=judge))
    assert progress.judged == (1.0, 3.0, 2.0, 3.0, 2.5)
    assert progress.iteration == 50
    assert weights(model) == seen[1]


def test_without_a_judge_the_last_network_is_kept() -> None:
    model = small()
    progress = train(model, pictures(), Fitting(iterations=20, batch=8, judge_every=10))
    assert (progress.iteration, progress.judged) == (20, ())


def test_a_killed_training_keeps_its_best_network(tmp_path: Path) -> None:
    """Killed at every judgement, resumed each time: as if never killed."""
    fitting = Fitting(iterations=60, batch=8, judge_every=10, patience=9)
    marks = [2.0, 5.0, 1.0, 4.0, 3.0, 2.0]

    def run(kill: int | None, place: Checkpoints | None, start: int) -> nn.Module:
        model, done = small(), iter(range(start, 9))

        def judge(network: nn.Module) -> float:
            at = next(done)
            if at == kill:
                raise KeyboardInterrupt
            return marks[at]

        train(model, pictures(), fitting, 3, place, Watch(judge=judge))
        return model

    place = Checkpoints(tmp_path / "part", every=10)
    whole = weights(run(None, None, 0))
    for kill in (3, 4):
        with pytest.raises(KeyboardInterrupt):
            run(kill, place, 0 if kill == 3 else 3)
        assert place.path.exists()
    resumed = run(None, place, 4)
    assert weights(resumed) == whole


def test_a_large_gradient_is_clipped() -> None:
    model = small()
    with torch.no_grad():
        model[1].weight.mul_(1e4)
    before = nn.utils.parameters_to_vector(model.parameters()).detach()
    train(model, pictures(), Fitting(iterations=1, rate=0.5, warmup=0, weight_decay=0, clip=0.01))
    step = (nn.utils.parameters_to_vector(model.parameters()).detach() - before).norm()
    assert float(step) <= 0.5 * 0.01 * 2 * 1.1  # Nesterov's first step is (1 + momentum) gradients
