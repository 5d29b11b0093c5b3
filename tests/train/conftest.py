"""Log and keep checkpoints every ten iterations, so that short trainings have many."""

import sys

import pytest


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    # By its module: the attribute maxprune.train is the function.
    monkeypatch.setattr(sys.modules["maxprune.train.loop"], "TICK_EVERY", 10)
