"""What a network knows of where it comes from."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
from small_networks import Mixed, plain, trained
from torch import fx, nn

from maxprune.lineage import Lineage, factory, lineage, remember
from maxprune.networks import lenet5
from maxprune.plan import MaxoutPlan, ZeroPlan, keep_plan
from maxprune.surgery import apply


@factory
def stack(widths: list[int], bias: bool = True) -> nn.Sequential:
    pairs = itertools.pairwise(widths)
    return nn.Sequential(*(nn.Linear(a, b, bias=bias) for a, b in pairs))


def test_the_factory_and_its_arguments_by_name() -> None:
    origin = lineage(stack([3, 4, 2], bias=False))
    assert origin.factory == f"{__name__}:stack"
    assert origin.arguments == {"widths": [3, 4, 2], "bias": False}
    assert origin.plans == ()


def test_arguments_are_those_at_the_time() -> None:
    widths = [3, 4, 2]
    model = stack(widths)
    widths.append(9)
    assert lineage(model).arguments == {"widths": [3, 4, 2]}


def test_an_unknown_network_has_an_empty_lineage() -> None:
    assert lineage(plain()) == Lineage()
    assert lineage(plain()).kept() == {}


def test_plans_add_up_and_the_old_network_does_not_know() -> None:
    model = lenet5(fc=8, conv=(2, 2))
    plans = (
        MaxoutPlan(layer="fc1", k=2),
        keep_plan({"fc1": 8}, {"fc1": (0, 3, 4, 7)}, "test"),
        ZeroPlan(share=0.1, threshold=0.01, zeroed=3),
    )
    networks = [model]
    for plan in plans:
        networks.append(apply(networks[-1], plan))  # type: ignore[arg-type]
    for i, network in enumerate(networks):
        assert lineage(network).plans == plans[:i]
        assert lineage(network).arguments == {"fc": 8, "conv": [2, 2]}


def test_kept_are_original_indices_through_several_cuts() -> None:
    model: nn.Module = trained(lenet5(fc=12, conv=(2, 4)))
    original = model.get_parameter("fc1.weight").detach().clone()
    model = apply(model, MaxoutPlan(layer="fc1", k=4))
    model = apply(model, keep_plan({"fc1": 12}, {"fc1": (0, 2, 3, 4, 5, 7, 9, 10, 11)}, "a"))
    model = apply(model, keep_plan({"conv2": 4}, {"conv2": (1, 3)}, "b"))
    model = apply(model, keep_plan({"fc1": 9}, {"fc1": (1, 2, 3, 5, 6, 8)}, "c"))
    model = apply(model, keep_plan({"fc1": 6}, {"fc1": (1, 2, 5)}, "d"))
    kept = lineage(model).kept()
    assert kept == {"fc1": (3, 4, 11), "conv2": (1, 3)}
    columns = [*range(16, 32), *range(48, 64)]
    assert torch.equal(model.get_parameter("fc1.weight"), original[list(kept["fc1"])][:, columns])


@pytest.mark.parametrize("layer", ["conv", "block.0"])
def test_a_copy_knows_it_too_also_as_a_graph(layer: str) -> None:
    model = remember(trained(Mixed()), Lineage("some.where:mixed", {"a": 1}))
    plan = MaxoutPlan(layer=layer, k=2)
    wide = apply(model, plan)
    assert isinstance(wide, fx.GraphModule) == (layer == "conv")
    for network in (wide, copy.deepcopy(wide)):
        assert lineage(network) == Lineage("some.where:mixed", {"a": 1}, (plan,))
    assert lineage(model).plans == ()


def test_the_factory_keeps_its_name_and_documentation() -> None:
    assert lenet5.__name__ == "lenet5"
    assert "LeNet-5 for 28x28" in (lenet5.__doc__ or "")
