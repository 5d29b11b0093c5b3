"""Half of every group of nine networks, by every score: exported, saved and opened again."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from zoo import ZOO, Kind

from maxprune import audit, channel_groups, count_wins, export_onnx, least_winning, load, save
from maxprune.errors import StructureError
from maxprune.measure import parameters
from maxprune.networks.weighted import neurons, weighted_layers
from maxprune.plan import MaxoutPlan
from maxprune.planner import lowest
from maxprune.scores import chance, magnitude
from maxprune.surgery import apply
from maxprune.surgery.chain import find_chain

EVERY = pytest.mark.parametrize("kind", ZOO, ids=lambda k: k.name)
SCORES: dict[str, Callable[..., dict[str, Tensor]]] = {
    "magnitude": magnitude,
    "magnitude 2": lambda net, groups: magnitude(net, groups, norm=2),
    "chance": lambda net, groups: chance(groups, seed=1),
}


def halved(kind: Kind, score: str) -> nn.Module:
    """The network with half the channels of every group that can be cut."""
    torch.manual_seed(0)
    net, x = kind.build().eval(), kind.inputs(4)
    groups = channel_groups(net, x)
    plan = lowest(groups, SCORES[score](net, groups), 0.5, over="each", method=score)
    free = {g.name: g.channels for g in groups if not g.reason}
    assert {name: len(stay) for name, stay in plan.keep.items()} == {
        name: -(-channels // 2) for name, channels in free.items()
    }
    smaller = apply(net, plan)
    assert audit(net, smaller, plan, x) <= 1e-5
    return smaller


@EVERY
@pytest.mark.parametrize("score", SCORES)
def test_masked_and_cut_agree(kind: Kind, score: str) -> None:
    assert parameters(halved(kind, score)) < 0.7 * parameters(kind.build())


@EVERY
def test_the_cut_network_is_exported_and_opens_in_a_process_with_the_factory_alone(
    kind: Kind, tmp_path: Path
) -> None:
    smaller, x = halved(kind, "magnitude"), kind.inputs(4)
    export_onnx(smaller, tmp_path / "small.onnx", x)  # refuses a difference above 1e-4
    save(smaller, tmp_path / "small")
    with torch.no_grad():
        expected = smaller(x)
        assert torch.equal(load(tmp_path / "small")(x), expected)
    code = (
        "import hashlib, sys, torch; torch.set_num_threads(1); import maxprune; "
        "from zoo import ZOO; net = maxprune.load(sys.argv[1]); "
        f"x = ZOO[{ZOO.index(kind)}].inputs(4)\n"
        "with torch.no_grad(): y = net(x)\n"
        "print(hashlib.sha256(y.numpy().tobytes()).hexdigest())"
    )
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            here = hashlib.sha256(smaller(x).numpy().tobytes()).hexdigest()
    finally:
        torch.set_num_threads(threads)
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "small")],
        capture_output=True, text=True, env=environ, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == here


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
