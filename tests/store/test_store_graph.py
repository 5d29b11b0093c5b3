"""Networks as graphs: they open without their class, give the same, and call nothing else."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from store_helpers import cut, rewrite
from torch import Tensor, nn

import maxprune
from maxprune.errors import Remark, StoreError, StructureError
from maxprune.store import describe, load, save
from maxprune.store.graph import as_graph, from_graph, write_graph


class Attending(nn.Module):
    """Everything that a graph may have: attention, shapes, a constant, infinity, several types."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 8)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.register_buffer("scale", torch.tensor([2.0]), persistent=False)
        self.output = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        """One row a sample."""
        mask = torch.full((x.shape[1], x.shape[1]), float("-inf")).triu(1)
        found = self.layer(self.embed(x) * self.scale, mask)
        return self.output(found.reshape(x.shape[0], -1, 8).amax(1))


def images(count: int = 4, size: int = 32) -> Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0))


CASES = [
    (cut, lambda: torch.rand(4, 1, 28, 28)),
    (lambda: maxprune.networks.resnet18(), lambda: images(2, 64)),
    (lambda: maxprune.networks.vgg_face_small(), lambda: torch.rand(3, 1, 64, 64)),
    (Attending, lambda: torch.randint(0, 20, (4, 5))),
    (lambda: nn.Sequential(nn.Conv2d(3, 6, 3, groups=3), nn.GroupNorm(2, 6), nn.GELU(),
                           nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LayerNorm(6)), images),
]  # fmt: skip


@pytest.mark.parametrize(("make", "inputs"), CASES)
def test_it_gives_the_same_at_any_batch(make: Any, inputs: Any) -> None:
    torch.manual_seed(0)
    model, x = make().eval(), inputs()
    content = json.loads(write_graph(as_graph(model, x)))
    network = from_graph(content, model.state_dict())
    for batch in (x, x[:1], torch.cat([x, x, x])):
        with torch.no_grad():
            torch.testing.assert_close(network(batch), model(batch), rtol=1e-5, atol=1e-5)
    for name, tensor in network.state_dict().items():
        if name in model.state_dict():
            assert torch.equal(tensor, model.state_dict()[name])


def test_a_model_with_a_graph_opens_without_its_class(tmp_path: Path) -> None:
    """Also by one file, in another process where the module is not there."""
    (tmp_path / "gone_net.py").write_text(
        "import maxprune\nfrom torch import nn\n"
        "class Own(nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n        self.fc = nn.Linear(3, 2)\n"
        "    def forward(self, x):\n        return self.fc(x).relu()\n"
        "@maxprune.factory\ndef build():\n    return Own()\n"
    )
    script = (
        "import sys, torch, maxprune, gone_net\n"
        "torch.manual_seed(0)\nnet = gone_net.build().eval()\n"
        "maxprune.save(net, 'net.maxprune', example=torch.rand(2, 3))\n"
        "maxprune.save(net, 'folder', example=torch.rand(2, 3))\n"
        "print(net(torch.ones(1, 3)).tolist())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    expected = json.loads(done.stdout)
    for name in ("net.maxprune", "folder"):
        assert describe(tmp_path / name).format == 2
        with pytest.warns(Remark, match=r"was opened as a graph: .*'gone_net:build' cannot be im"):
            network = load(tmp_path / name)
        with torch.no_grad():
            assert network(torch.ones(1, 3)).tolist() == expected


def test_a_known_factory_goes_first(tmp_path: Path) -> None:
    folder = save(cut(), tmp_path / "m", example=torch.rand(2, 1, 28, 28))
    assert sorted(p.name for p in folder.iterdir()) == [
        "graph.json", "model.json", "model.safetensors",
    ]  # fmt: skip
    assert isinstance(load(folder), nn.Sequential)
    save(cut(), folder)
    assert describe(folder).format == 1
    assert not (folder / "graph.json").exists()


def test_a_network_that_cannot_be_exported_is_saved_without_a_graph(tmp_path: Path) -> None:
    class Branching(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) if x.sum() > 0 else x

    model = Branching(3, 3)
    with pytest.warns(Remark, match="saved without a graph: the network Branching cannot be exp"):
        save(model, tmp_path / "m", factory=lambda: Branching(3, 3), example=torch.rand(2, 3))
    assert describe(tmp_path / "m").format == 1


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.RNN(3, 2),
        lambda: nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5)).train(),
    ],
)
def test_what_gives_several_tensors_is_refused_and_dropout_is_off(make: Any) -> None:
    model = make()
    if isinstance(model, nn.RNN):
        with pytest.raises(StructureError, match=r"does not give one tensor|cannot be exported"):
            as_graph(model, torch.rand(2, 4, 3))
        return
    graph = as_graph(model, torch.rand(2, 3))
    assert model.training
    network = from_graph(graph, model.state_dict())
    assert torch.equal(network(torch.ones(1, 3)), network(torch.ones(1, 3)))


@pytest.fixture(scope="module")
def graph() -> dict[str, Any]:
    return json.loads(write_graph(as_graph(cut().eval(), torch.rand(2, 1, 28, 28))))


@pytest.mark.parametrize(
    "call",
    [
        "os.system", "eval", "aten.from_file.default", "aten.set_.source_Tensor", "aten.add",
        "aten.relu_.default", "prims.add.default", "aten.__class__.default", "aten.relu.__call__",
        "builtins.exec", None, 3, "aten._unsafe_index.Tensor", "", "aten..default",
    ],
)  # fmt: skip
def test_nothing_but_core_operators_is_called(graph: dict[str, Any], call: object) -> None:
    content = copy.deepcopy(graph)
    content["nodes"][0]["call"] = call
    with pytest.raises(StoreError, match="is damaged: the graph calls"):
        from_graph(content, cut().state_dict())


@pytest.mark.parametrize(
    "change",
    [
        lambda g: g.update(format=2), lambda g: g.pop("nodes"), lambda g: g.pop("output"),
        lambda g: g.update(nodes=3), lambda g: g.update(constants=[]),
        lambda g: g["nodes"][0].update(args=[{"node": "later"}]),
        lambda g: g["nodes"][0].update(args=[{"node": "a", "tensor": "b"}]),
        lambda g: g["nodes"][0].update(args=[{"kind": "torch.float32"}]),
        lambda g: g["nodes"][0].update(args=[{"float": "x"}]),
        lambda g: g["nodes"][0].update(args=3),
        lambda g: g["nodes"][0].update(kwargs=[1]),
        lambda g: g["nodes"][0].update(args=[{"tensor": "not.there"}]),
        lambda g: g.update(constants={"c": {"type": "object", "numbers": 1}}),
        lambda g: g.update(constants={"c": {"type": "float32", "numbers": "x"}}),
        lambda g: g.update(output={"node": "nowhere"}),
    ],
)  # fmt: skip
def test_a_graph_that_lies_is_refused(graph: dict[str, Any], change: Any) -> None:
    content = copy.deepcopy(graph)
    change(content)
    with pytest.raises(StoreError, match="the graph is damaged"):
        from_graph(content, cut().state_dict())


@pytest.mark.parametrize("factory", ["maxprune.networks.lenet:lenet5", "gone:build"])
def test_a_damaged_graph_is_refused_whether_it_is_needed_or_not(
    factory: str, tmp_path: Path
) -> None:
    folder = save(cut(), tmp_path / "m", example=torch.rand(2, 1, 28, 28))
    rewrite(folder, lambda content: content.update(factory=factory))
    with nullcontext() if "lenet" in factory else pytest.warns(Remark, match="opened as a graph"):
        load(folder)
    (folder / "graph.json").write_text("{}")
    with pytest.raises(StoreError, match=r"graph\.json is damaged: its checksum"):
        load(folder)
    (folder / "graph.json").unlink()
    with pytest.raises(StoreError, match=r"graph\.json does not exist"):
        load(folder)


def test_the_means_of_a_batch_norm_are_no_parameters() -> None:
    """Else they would count as trained, and a pass with gradients would fail."""
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2))
    net.eval()
    x = torch.randn(2, 1, 4, 4)
    found = from_graph(as_graph(net, x), net.state_dict())
    assert {n for n, _ in found.named_parameters()} == {n for n, _ in net.named_parameters()}
    assert {n for n, _ in found.named_buffers()} == {"1.running_mean", "1.running_var"}
    torch.testing.assert_close(found(x), net(x))
