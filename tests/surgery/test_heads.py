"""Attention heads cut as wholes, where the user asks for them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from zoo import ZOO

import maxprune
from maxprune.errors import UsageError
from maxprune.lineage import factory, lineage
from maxprune.planner import cut_plan, half_plan
from maxprune.scores import magnitude
from maxprune.surgery import apply, audit, channel_groups


class Fused(nn.Module):
    """Queries, keys and values by one layer; the order of parts and heads may be either."""

    def __init__(self, interleaved: bool = False) -> None:
        super().__init__()
        self.num_heads, self.size, self.interleaved = 4, 3, interleaved
        self.qkv, self.out = nn.Linear(12, 36), nn.Linear(12, 12)

    def forward(self, x: Tensor) -> Tensor:
        b, n, _ = x.shape
        y = self.qkv(x)
        if self.interleaved:
            q, k, v = y.view(b, n, self.num_heads, 3, self.size).permute(3, 0, 2, 1, 4)
        else:
            q, k, v = y.view(b, n, 3, self.num_heads, self.size).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v)
        return self.out(y.transpose(1, 2).reshape(b, n, -1))


class Separate(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.heads = 4
        self.q, self.k, self.v = (nn.Linear(12, 12) for _ in range(3))
        self.out = nn.Linear(12, 12)

    def forward(self, x: Tensor) -> Tensor:
        def split(y: Tensor) -> Tensor:
            return y.unflatten(-1, (self.heads, -1)).transpose(1, 2)

        q, k, v = split(self.q(x)), split(self.k(x)), split(self.v(x))
        y = (q @ k.transpose(-2, -1) * 3**-0.5).softmax(-1) @ v
        return self.out(y.transpose(1, 2).flatten(2))


class Net(nn.Module):
    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        self.into, self.attention, self.last = nn.Linear(5, 12), attention, nn.Linear(12, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.into(x)
        return self.last((x + self.attention(x)).mean(1))


@factory
def fused(interleaved: bool = False) -> nn.Module:
    return Net(Fused(interleaved))


@factory
def separate() -> nn.Module:
    return Net(Separate())


@pytest.mark.parametrize(
    ("build", "count"),
    [(fused, "num_heads"), (lambda: fused(True), "num_heads"), (separate, "heads")],
    ids=["fused", "interleaved", "separate"],
)
def test_heads_are_cut_as_wholes(build, count: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net, x = build().eval(), torch.randn(4, 6, 5)
    whole = {g.name: g for g in channel_groups(net, x)}
    assert any("heads are left whole" in g.reason for g in whole.values())
    groups = {g.name: g for g in channel_groups(net, x, heads=["attention"])}
    group = groups["attention"]
    assert (group.channels, group.reason) == (4, "")
    assert not set(group.layers) & groups.keys()
    plan = cut_plan([group], {"attention": (1, 3)}, "test")
    smaller = apply(net, plan)
    assert getattr(smaller.attention, count) == 2
    assert getattr(net.attention, count) == 4
    assert smaller.attention.out.in_features == 6
    assert audit(net, smaller, plan, x) <= 1e-5
    again = apply(smaller, half_plan([
        {g.name: g for g in channel_groups(smaller, x, heads=["attention"])}["attention"]
    ]))  # fmt: skip
    assert getattr(again.attention, count) == 1
    kept = lineage(again).kept()
    for layer in group.layers:
        old = net.get_submodule(layer).weight
        assert torch.equal(again.get_submodule(layer).weight, old[list(kept[layer])])
    opened = maxprune.load(maxprune.save(again, tmp_path / "m"), factory=lambda **settings: build())
    with torch.no_grad():
        assert torch.equal(opened(x), again(x))


def test_the_score_of_a_head_is_that_of_all_its_weights() -> None:
    net, x = fused(), torch.randn(2, 6, 5)
    with torch.no_grad():
        net.attention.qkv.weight.fill_(1)
        net.attention.qkv.weight[12 + 3 : 12 + 6] = 4  # the keys of head 1
    groups = channel_groups(net, x, heads=["attention"])
    scores = magnitude(net, groups)["attention"]
    assert scores.tolist() == pytest.approx([9 / 11.25, 18 / 11.25, 9 / 11.25, 9 / 11.25])


def test_a_forward_that_takes_a_width_from_its_input_is_left_whole() -> None:
    vit = ZOO[-1]
    groups = channel_groups(vit.build(), vit.inputs(2), heads=["blocks.0.attention"])
    group = next(g for g in groups if g.name == "blocks.0.attention")
    assert "a trial cut" in group.reason
    assert next(g for g in groups if g.name == "blocks.1.attention.qkv").reason


class Torchs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.MultiheadAttention(12, 4, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x, x, x, need_weights=False)[0]


@pytest.mark.parametrize(
    ("build", "name", "says"),
    [
        (fused, "nothing", "no module 'nothing' whose heads"),
        (lambda: Net(Torchs()), "attention.inner", "the width of nn.MultiheadAttention is fixed"),
        (fused, "into", "queries, keys, values and the output are not found"),
    ],
)
def test_what_has_no_heads_is_refused(build, name: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        channel_groups(build(), torch.randn(2, 6, 5), heads=[name])
