"""What `maxprune.factory` promises to `load`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import maxprune
from maxprune.errors import StoreError, UsageError
from maxprune.lineage import factory, is_factory, lineage
from maxprune.plan import keep_plan


@factory
def chosen(width: int, sizes: Any = (1, 2), **more: Any) -> nn.Module:
    """Changes what it is given."""
    if isinstance(sizes, list):
        sizes.insert(0, 9)
    return nn.Linear(width, 1)


def test_arguments_are_remembered_by_name_as_they_were_given() -> None:
    sizes = [3, 4]
    model = chosen(2, sizes, bias=True, depth={"a": [1]})
    assert sizes == [9, 3, 4]
    expected = {"width": 2, "sizes": [3, 4], "bias": True, "depth": {"a": [1]}}
    assert lineage(model).arguments == expected
    assert lineage(model).factory == f"{__name__}:chosen"


def test_only_the_decorated_function_is_the_factory() -> None:
    assert is_factory(chosen, f"{__name__}:chosen")
    assert not is_factory(chosen, f"{__name__}:other")
    assert not is_factory(chosen.__wrapped__, f"{__name__}:chosen")
    assert not is_factory(eval, "builtins:eval")


@pytest.mark.parametrize("wrong", [lambda *sizes: None, lambda width, /: None])
def test_arguments_without_a_name_are_refused(wrong: Any) -> None:
    with pytest.raises(UsageError, match="must be an argument with a name"):
        factory(wrong)


class Sized(nn.Sequential):
    def __init__(self, width: int) -> None:
        super().__init__(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 2))


@pytest.mark.parametrize("build", [lambda: Sized(8), functools.partial(Sized, 8)])
def test_a_factory_without_a_name_is_given_to_save_and_to_load(
    build: Callable[[], nn.Module], tmp_path: Path
) -> None:
    smaller = maxprune.apply(build(), keep_plan({"0": 8}, {"0": (1, 5)}))
    with pytest.raises(
        UsageError, match=r"not known; .*, or give it: save\(\.\.\., factory=build\)"
    ):
        maxprune.save(smaller, tmp_path / "model")
    with pytest.raises(UsageError, match="a factory is a function that builds the network, not 3"):
        maxprune.save(smaller, tmp_path / "model", factory=3)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"would not open again: .* failed: .*missing 1 required"):
        maxprune.save(smaller, tmp_path / "model", factory=Sized)
    assert not (tmp_path / "model").exists()
    maxprune.save(smaller, tmp_path / "model", factory=build)
    again = maxprune.load(tmp_path / "model", factory=build)
    x = torch.randn(3, 4)
    assert torch.equal(again(x), smaller(x))
    with pytest.raises(StoreError, match=r"give it yourself: load\(folder, factory=\.\.\.\)"):
        maxprune.load(tmp_path / "model")


def test_what_builds_no_network_is_refused() -> None:
    with pytest.raises(UsageError, match="gives no torch module but an int"):
        factory(lambda: 3)()
