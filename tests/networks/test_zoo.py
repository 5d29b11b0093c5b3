"""Half of every group of nine networks, by every score: exported, saved and opened again."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import torch
from torch import nn
from zoo import ZOO, Kind

from maxprune import audit, channel_groups, count_wins, export_onnx, least_winning, load, save
from maxprune.errors import StructureError
from maxprune.measure import parameters
from maxprune.networks.weighted import neurons, weighted_layers
from maxprune.plan import ChannelGroup, MaxoutPlan
from maxprune.planner import lowest
from maxprune.scores import (
    apoz,
    bn_scale,
    fpgm,
    magnitude,
    obd,
    random_scores,
    skeletonization,
    taylor,
    vip,
)
from maxprune.scores.readers import Scores, readers
from maxprune.surgery import apply
from maxprune.surgery.chain import find_chain

EVERY = pytest.mark.parametrize("kind", ZOO, ids=lambda k: k.name)
BY_WEIGHTS: dict[str, Callable[..., Scores]] = {
    "magnitude": magnitude,
    "magnitude 2": lambda net, groups: magnitude(net, groups, norm=2),
    "fpgm": fpgm,
    "bn scale": bn_scale,
    "random": lambda net, groups: random_scores(groups, seed=1),
}
BY_DATA: dict[str, Callable[..., Scores]] = {
    "vip": vip,
    "vip of quarters": lambda net, groups, batches: vip(
        net, groups, batches, representation=nn.AdaptiveMaxPool2d(2)
    ),
    "taylor": taylor,
    "apoz": apoz,
    "obd": obd,
    "skeletonization": skeletonization,
}


PARTLY = ("bn scale", "apoz")  # have nothing to say of some groups


def score(name: str, kind: Kind, net: nn.Module, groups: Sequence[ChannelGroup]) -> Scores:
    """A score of a network; the classes are what it says itself, or random ones."""
    if name in BY_WEIGHTS:
        return BY_WEIGHTS[name](net, groups)
    x = kind.inputs(8)
    with torch.no_grad():
        y = net(x).argmax(1)
    if name.startswith("vip"):
        y = torch.arange(8) % 3
    return BY_DATA[name](net, groups, [(x, y)])


def halved(kind: Kind, name: str) -> nn.Module:
    """The network with half the channels of every group that can be cut and has a score."""
    torch.manual_seed(0)
    net, x = kind.build().eval(), kind.inputs(4)
    groups = channel_groups(net, x)
    scores = score(name, kind, net, groups)
    free = {g.name: g.channels for g in groups if not g.reason}
    assert scores.keys() == free.keys() or name in PARTLY
    chosen = [group for group in groups if group.name in scores]
    plan = lowest(chosen, scores, 0.5, over="each", method=name)
    assert {layer: len(stay) for layer, stay in plan.keep.items()} == {
        layer: -(-free[layer] // 2) for layer in scores
    }
    smaller = apply(net, plan)
    assert audit(net, smaller, plan, x) <= 1e-5
    return smaller


def speaks(kind: Kind, name: str) -> bool:
    """Whether the score has anything to say of the network."""
    needs = {"bn scale": nn.BatchNorm2d, "apoz": nn.ReLU | nn.ReLU6}.get(name)
    if kind.name in ("resnet18", "resnet56"):
        return True  # their ReLUs are functions
    return needs is None or any(isinstance(module, needs) for module in kind.build().modules())


@EVERY
@pytest.mark.parametrize("name", [*BY_WEIGHTS, *BY_DATA])
def test_masked_and_cut_agree(kind: Kind, name: str) -> None:
    if not speaks(kind, name):
        net = kind.build().eval()
        groups = channel_groups(net, kind.inputs(4))
        assert score(name, kind, net, groups) == {}
        return
    assert parameters(halved(kind, name)) < (0.9 if name in PARTLY else 0.7) * parameters(
        kind.build()
    )


@EVERY
def test_a_channel_that_nobody_reads_has_no_slope_and_others_have(kind: Kind) -> None:
    """One channel of every group, all at once: which number belongs to which channel."""
    torch.manual_seed(0)
    net, x = kind.build().eval(), kind.inputs(8)
    groups = [group for group in channel_groups(net, x) if not group.reason]
    chosen = {group.name: (2 * group.channels) // 3 for group in groups}
    plain = [g for g in groups if all(is_plain(net.get_submodule(m.name)) for m in readers(g))]
    assert plain
    with torch.no_grad():
        for group in plain:
            for member in readers(group):
                inputs = net.get_submodule(member.name).weight.transpose(0, 1)
                inputs[member.entries(torch.tensor([chosen[group.name]]))] = 0.0
        out = net(x)
    y = (out.argmax(1) + 1) % out.shape[1]  # all wrong, so that there is a slope
    slopes = skeletonization(net, groups, [(x, y)])
    for group in plain:
        scores = slopes[group.name]
        assert float(scores[chosen[group.name]]) == 0.0
        assert float(scores.abs().max()) > 0.0


def is_plain(module: nn.Module) -> bool:
    """A linear layer, or a convolution that is neither grouped nor transposed."""
    convolution = isinstance(module, nn.Conv2d) and module.groups == 1
    return convolution or isinstance(module, nn.Linear)


OPENER = """
import hashlib, sys, torch
torch.set_num_threads(1)
import maxprune
from zoo import ZOO
for line in sys.stdin:
    kind, path = line.rstrip().split(" ", 1)
    with torch.no_grad():
        y = maxprune.load(path)(ZOO[int(kind)].inputs(4))
    print(hashlib.sha256(y.numpy().tobytes()).hexdigest(), flush=True)
"""


@pytest.fixture(scope="module")
def stranger() -> Iterator[subprocess.Popen[str]]:
    """A process that has the factories alone; told a network and a folder, it says the outputs."""
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    with subprocess.Popen(
        [sys.executable, "-c", OPENER], text=True, env=environ,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as there:  # fmt: skip
        yield there


@EVERY
def test_the_cut_network_is_exported_and_opens_in_a_process_with_the_factory_alone(
    kind: Kind, tmp_path: Path, stranger: subprocess.Popen[str]
) -> None:
    smaller, x = halved(kind, "magnitude"), kind.inputs(4)
    export_onnx(smaller, tmp_path / "small.onnx", x)  # refuses a difference above 1e-4
    save(smaller, tmp_path / "small")
    with torch.no_grad():
        expected = smaller(x)
        assert torch.equal(load(tmp_path / "small")(x), expected)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            here = hashlib.sha256(smaller(x).numpy().tobytes()).hexdigest()
    finally:
        torch.set_num_threads(threads)
    stranger.stdin.write(f"{ZOO.index(kind)} {tmp_path / 'small'}\n")
    stranger.stdin.flush()
    assert stranger.stdout.readline().strip() == here


@EVERY
def test_maxout_wins_halve_every_layer_that_feeds_one_other(kind: Kind) -> None:
    torch.manual_seed(0)
    net, x = kind.build().eval(), kind.inputs(4)
    layers = []
    for layer, module in weighted_layers(net).items():
        try:
            find_chain(net, layer)
        except StructureError:
            continue
        if neurons(module) % 2 == 0:
            layers.append(layer)
    assert layers
    for layer in layers:
        wide = apply(net, MaxoutPlan(layer=layer, k=2))
        plan = least_winning(layer, count_wins(wide, layer, [x]).wins)
        net = apply(wide, plan)
        assert audit(wide, net, plan, x) <= 1e-5
        assert neurons(weighted_layers(net)[layer]) * 2 == neurons(weighted_layers(wide)[layer])
