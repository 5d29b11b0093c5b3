"""Training a part of a network."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from maxprune.data.images import Images
from maxprune.errors import UsageError
from maxprune.train import Checkpoints, Fitting, Watch, train
from maxprune.train.tuning import tuning

FITTING = Fitting(iterations=6, batch=8, rate=0.1)


def images() -> Images:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (32, 1, 6, 6), dtype=torch.uint8, generator=generator)
    return Images(pixels, torch.arange(32) % 3, 3)


def network() -> nn.Module:
    torch.manual_seed(0)
    block = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5))
    head = nn.Sequential(nn.Linear(64, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    model = nn.Sequential()
    for name, part in (("block", block), ("flatten", nn.Flatten()), ("head", head)):
        model.add_module(name, part)
    return model


def test_only_the_tuned_modules_change() -> None:
    model, before = network(), network().state_dict()
    train(model, images(), FITTING, tuned=["head"])
    changed = {n for n, t in model.state_dict().items() if not torch.equal(t, before[n])}
    assert changed == {n for n in before if n.startswith("head")}
    assert all(p.requires_grad for p in model.parameters())


def test_a_module_within_another_is_tuned_alone() -> None:
    model, before = network(), network().state_dict()
    train(model, images(), FITTING, tuned=["head.0"])
    changed = {n for n, t in model.state_dict().items() if not torch.equal(t, before[n])}
    assert changed == {"head.0.weight", "head.0.bias"}


def test_modes_inside() -> None:
    model = network().train()
    with tuning(model, ["head.1"]):
        learning = {n for n, m in model.named_modules() if m.training}
        assert learning == {"", "head", "head.1"}


def test_judging_leaves_the_rest_in_evaluation_mode() -> None:
    fitting = FITTING.model_copy(update={"judge_every": 2})
    model, before = network(), network().state_dict()
    train(model, images(), fitting, watch=Watch(judge=lambda m: 0.0), tuned=["head"])
    assert torch.equal(model.state_dict()["block.1.running_mean"], before["block.1.running_mean"])


def test_goes_on_from_a_checkpoint(tmp_path) -> None:  # type: ignore[no-untyped-def]
    whole, killed = network(), network()
    fitting = Fitting(iterations=300, batch=8, rate=0.1)
    train(whole, images(), fitting, tuned=["head"])
    place = Checkpoints(tmp_path / "part", every=100)

    def stop(done: int) -> None:
        if done == 200:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(killed, images(), fitting, 0, place, Watch(tick=stop), tuned=["head"])
    again = network()
    train(again, images(), fitting, 0, place, tuned=["head"])
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name


def test_a_parameter_that_was_frozen_before_stays_frozen() -> None:
    model = network()
    model.get_parameter("head.0.bias").requires_grad_(False)
    before = model.get_parameter("head.0.bias").detach().clone()
    train(model, images(), FITTING, tuned=["head"])
    assert torch.equal(model.get_parameter("head.0.bias"), before)
    assert not model.get_parameter("head.0.bias").requires_grad


@pytest.mark.parametrize(
    ("tuned", "says"), [(["heda"], "no module 'heda'"), (["flatten"], "to train in flatten")]
)
def test_refuses_what_it_cannot_tune(tuned: list[str], says: str) -> None:
    model = network()
    with pytest.raises(UsageError, match=says):
        train(model, images(), FITTING, tuned=tuned)
    assert all(p.requires_grad for p in model.parameters())
