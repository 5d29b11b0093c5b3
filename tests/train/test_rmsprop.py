"""RMSprop in the training loop: its steps, and a killed training that goes on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import maxprune
from maxprune.errors import UsageError
from maxprune.train import Checkpoints, Watch, train
from maxprune.train.rmsprop import RMSprop

IMAGES = maxprune.data.load("digits").train
HOW = RMSprop(iterations=400, batch=32, rate=1e-3)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 16), nn.ReLU(), nn.Linear(16, 10))


def test_its_steps_are_those_of_torch_at_one_rate() -> None:
    ours, theirs = network(), network()
    how = HOW.model_copy(update={"iterations": 5})
    train(ours, IMAGES, how, seed=3)
    optimizer = torch.optim.RMSprop(theirs.parameters(), 1e-3, 0.9, 1e-7)
    stream = IMAGES.stream(32, maxprune.data.order.derive(3, "order"))
    for _ in range(5):
        x, y = next(stream)
        optimizer.zero_grad()
        F.cross_entropy(theirs(x), y).backward()
        optimizer.step()
    for mine, its in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, its)
    assert HOW.rate_at(0) == HOW.rate_at(399) == 1e-3


def test_a_killed_training_goes_on_to_the_same_end(tmp_path: Path) -> None:
    whole, killed = network(), network()
    train(whole, IMAGES, HOW, seed=1)
    place = Checkpoints(tmp_path / "part", every=100)

    def kill(done: int) -> None:
        if done == 300:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(killed, IMAGES, HOW, 1, place, Watch(tick=kill))
    resumed = network()
    heard: list[int] = []
    train(resumed, IMAGES, HOW, 1, place, Watch(tick=heard.append))
    assert heard[0] > 200  # not from the beginning
    for mine, its in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(mine, its)


@pytest.mark.parametrize("wrong", [{"rho": 1.0}, {"epsilon": 0}, {"rate": 0}])
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        RMSprop(**wrong)
