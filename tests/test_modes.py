"""Modes set on somebody's model and taken back."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from maxprune.modes import best_device, device_of, evaluating


def mixed() -> nn.Sequential:
    model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Dropout(), nn.BatchNorm1d(2)))
    model.train()
    model[1][1].eval()
    return model


def modes(model: nn.Module) -> list[bool]:
    return [m.training for m in model.modules()]


def test_every_module_gets_its_own_mode_back() -> None:
    model = mixed()
    before = modes(model)
    assert before == [True, True, True, True, False]
    with evaluating(model):
        assert not any(modes(model))
    assert modes(model) == before


def test_also_after_an_error_and_nested() -> None:
    model = mixed()
    before = modes(model)
    with pytest.raises(ZeroDivisionError), evaluating(model), evaluating(model):
        raise ZeroDivisionError
    assert modes(model) == before


def test_a_network_in_evaluation_stays_so_whatever_happens_inside() -> None:
    model = mixed().eval()
    with evaluating(model):
        model.train()
    assert not any(modes(model))


class Stubborn(nn.Linear):
    def eval(self) -> Stubborn:
        self.train(False)
        raise ZeroDivisionError


def test_also_when_the_network_fails_to_evaluate() -> None:
    model = Stubborn(2, 2)
    with pytest.raises(ZeroDivisionError), evaluating(model):
        pass
    assert model.training


def test_devices() -> None:
    assert best_device("cpu") == torch.device("cpu")
    assert best_device().type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert device_of(nn.ReLU()) == torch.device("cpu")
    assert device_of(nn.Linear(1, 1, device="meta")) == torch.device("meta")
