"""What was cut between two saved models."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch import nn
from zoo import ZOO

import maxprune
from maxprune.difference import diff
from maxprune.errors import StoreError, UsageError
from maxprune.networks import lenet5
from maxprune.plan import MaxoutPlan, keep_plan
from maxprune.report.difference import difference_tables
from maxprune.surgery import apply
from maxprune.units import least_winning
from maxprune.weights import zero_plan


def saved(model: nn.Module, folder: Path) -> Path:
    return maxprune.save(model, folder)


def shown(found: maxprune.difference.Difference, every: bool = False) -> str:
    console = Console(file=io.StringIO(), width=100)
    for part in difference_tables(found, every):
        console.print(part)
    return console.file.getvalue()


def test_two_cuts_of_one_layer_are_numbered_as_first_built(tmp_path: Path) -> None:
    net = lenet5(fc=8, conv=(2, 4))
    once = apply(net, keep_plan({"conv2": 4}, {"conv2": (0, 2, 3)}, "by hand"))
    twice = apply(once, keep_plan({"conv2": 3}, {"conv2": (0, 2)}, "by hand"))
    last = apply(twice, zero_plan(twice, 0.5))
    folders = [saved(m, tmp_path / str(i)) for i, m in enumerate((net, once, last))]
    found = diff(folders[0], folders[2])
    layer = {layer.layer: layer for layer in found.layers}["conv2"]
    assert (layer.before, layer.after, layer.cut, layer.by) == (4, 2, (1, 2), ("by hand",))
    assert found.steps[0] == "1 neuron of conv2 removed (by hand)"
    assert found.steps[2].endswith("weights to zero")
    assert found.parameters == (
        sum(p.numel() for p in net.parameters()), sum(p.numel() for p in last.parameters())
    )  # fmt: skip
    assert found.nonzero[1] < 0.6 * found.parameters[1]
    later = {layer.layer: layer for layer in diff(folders[1], folders[2]).layers}
    assert later["conv2"].cut == (2,)
    assert later["fc1"].cut == ()
    text = shown(found)
    assert "conv2" in text
    assert "fc1" not in text.replace("neurons of conv2", "")
    assert "fc1" in shown(found, every=True)


def test_channels_that_hang_together_are_cut_in_every_layer(tmp_path: Path) -> None:
    kind = next(kind for kind in ZOO if kind.name == "resnet18")
    net = kind.build()
    groups = maxprune.channel_groups(net, kind.inputs(2))
    plan = maxprune.cut_plan(groups, {"stem.0": range(1, 64)}, "test")
    found = diff(saved(net, tmp_path / "a"), saved(maxprune.apply(net, plan), tmp_path / "b"))
    cut = {layer.layer: layer.cut for layer in found.layers if layer.cut}
    assert cut == {"stem.0": (0,), "blocks.0.conv2": (0,), "blocks.1.conv2": (0,)}


def test_a_maxout_is_a_step(tmp_path: Path) -> None:
    net = lenet5(fc=8, conv=(2, 4))
    wide = apply(net, MaxoutPlan(layer="fc1", k=2))
    small = apply(wide, least_winning("fc1", torch.tensor([[1, 2], [3, 1], [5, 5], [0, 9]])))
    found = diff(saved(net, tmp_path / "a"), saved(small, tmp_path / "b"))
    assert found.steps == (
        "a maxout over 2 neurons behind fc1", "4 neurons of fc1 removed (maxout wins)"
    )  # fmt: skip
    assert {layer.layer: layer.cut for layer in found.layers}["fc1"] == (0, 3, 5, 6)


def test_networks_that_do_not_come_from_each_other_are_refused(tmp_path: Path) -> None:
    net = lenet5(fc=8, conv=(2, 4))
    one = apply(net, keep_plan({"conv2": 4}, {"conv2": (0, 2, 3)}))
    two = apply(net, keep_plan({"conv2": 4}, {"conv2": (0, 1)}))
    other = lenet5(fc=6, conv=(2, 4))
    folders = [saved(m, tmp_path / str(i)) for i, m in enumerate((one, two, other))]
    with pytest.raises(UsageError, match=r"was not cut from .*: their plans part earlier"):
        diff(folders[0], folders[1])
    with pytest.raises(UsageError, match=r"do not come from the same network: .*fc=8.*fc=6"):
        diff(folders[0], folders[2])
    with pytest.raises(StoreError, match="is not a saved model"):
        diff(folders[0], tmp_path / "none")


def test_where_nothing_was_cut_it_says_so(tmp_path: Path) -> None:
    folder = saved(lenet5(fc=8, conv=(2, 4)), tmp_path / "net")
    said = shown(diff(folder, folder))
    assert "no neuron was cut" in said
    assert "before" not in said
    assert "no neuron was cut" not in shown(diff(folder, folder), every=True)
