"""Which channels hang together, and the cut in any graph."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from zoo import ZOO, Kind

from maxprune.errors import AuditError, StructureError
from maxprune.lineage import lineage
from maxprune.measure import parameters
from maxprune.plan import ChannelGroup, KeepPlan, read_plan
from maxprune.planner import cut_plan, half_plan
from maxprune.surgery import apply, audit
from maxprune.surgery.trial import channel_groups

EVERY = pytest.mark.parametrize("kind", ZOO, ids=lambda k: k.name)


def free(groups: tuple[ChannelGroup, ...]) -> list[ChannelGroup]:
    return [group for group in groups if not group.reason]


def lively(model: nn.Module, seed: int = 0) -> nn.Module:
    """Statistics and biases as after some training."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        for name, value in [*module.named_parameters(recurse=False)]:
            if value.dim() == 1:
                start = 1.0 if name == "weight" else 0.0
                value.data = start + 0.2 * torch.randn(value.shape, generator=generator)
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.running_mean = 0.2 * torch.randn(module.num_features, generator=generator)
            module.running_var = 0.5 + torch.rand(module.num_features, generator=generator)
    return model.eval()


def chance(groups: list[ChannelGroup], seed: int = 0) -> KeepPlan:
    """Half of every part of every group, by lot."""
    generator = torch.Generator().manual_seed(seed)
    keep = {}
    for group in groups:
        each = group.channels // group.parts
        stay = [
            part * each + torch.randperm(each, generator=generator)[: max(1, each // 2)]
            for part in range(group.parts)
        ]
        keep[group.name] = tuple(int(i) for i in torch.cat(stay).sort().values)
    return cut_plan(groups, keep, "by lot")


@EVERY
def test_half_of_every_group_goes_and_the_outputs_are_those_of_the_masked(kind: Kind) -> None:
    torch.manual_seed(0)
    net = lively(kind.build())
    before = {name: value.clone() for name, value in net.state_dict().items()}
    groups = free(channel_groups(net, kind.inputs(2)))
    plan = chance(groups)
    smaller = apply(net, plan)
    x = kind.inputs(6, seed=3)
    assert float(smaller(x).detach().std()) > 1e-3
    assert audit(net, smaller, plan, x) <= 1e-5
    assert parameters(smaller) < 0.7 * parameters(net)
    for group in groups:
        for layer in group.layers:
            assert lineage(smaller).kept()[layer] == plan.keep[group.name]
    assert all(torch.equal(value, net.state_dict()[name]) for name, value in before.items())
    again = apply(net, read_plan(plan.model_dump(mode="json")))
    assert torch.equal(again(x), smaller(x))


@EVERY
def test_a_second_cut_composes_with_the_first(kind: Kind) -> None:
    torch.manual_seed(0)
    net = lively(kind.build())
    x = kind.inputs(2)
    first = apply(net, chance(free(channel_groups(net, x))))
    groups = free(channel_groups(first, x))
    plan = chance(groups, seed=1)
    second = apply(first, plan)
    assert audit(first, second, plan, x) <= 1e-5
    for group in groups:
        kept = lineage(second).kept()[group.name]
        before = lineage(first).kept()[group.name]
        assert kept == tuple(before[i] for i in plan.keep[group.name])


def test_the_output_and_what_hangs_on_it_is_never_cut() -> None:
    for kind in ZOO:
        groups = {g.name: g for g in channel_groups(kind.build(), kind.inputs(2))}
        last = next(reversed(groups.values()))
        assert last.reason == "it is an output of the network", kind.name


def test_a_residual_sum_ties_its_branches() -> None:
    resnet = next(kind for kind in ZOO if kind.name == "resnet18")
    groups = {g.name: g for g in channel_groups(resnet.build(), resnet.inputs(2))}
    assert groups["stem.0"].layers == ("stem.0", "blocks.0.conv2", "blocks.1.conv2")
    assert groups["blocks.0.conv1"].layers == ("blocks.0.conv1",)
    assert "blocks.1.conv2" not in groups


class Norms(nn.Module):
    """Everything that passes channels on, and a grouped convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(3, 12, 3, padding=1)
        self.group = nn.GroupNorm(3, 12)
        self.slope = nn.PReLU(12)
        self.two = nn.Conv2d(12, 24, 3, padding=1, groups=2)
        self.instance = nn.InstanceNorm2d(24, affine=True)
        self.up = nn.ConvTranspose2d(24, 8, 2, 2, groups=2)
        self.scale = nn.Parameter(torch.rand(1, 8, 1, 1) + 0.5)
        self.single = nn.PReLU()
        self.three = nn.Conv2d(8, 6, 1)
        self.layer = nn.LayerNorm(6)
        self.four = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.slope(self.group(self.one(x)))
        x = self.single(self.up(self.instance(self.two(x))) * self.scale)
        return self.four(self.layer(self.three(x).mean((2, 3))))


def test_norms_grouped_and_transposed_convolutions_and_bare_parameters() -> None:
    torch.manual_seed(0)
    net, x = lively(Norms()), torch.randn(4, 3, 6, 6)
    groups = {g.name: g for g in channel_groups(net, x)}
    assert [(g.name, g.parts) for g in free(tuple(groups.values()))] == [
        ("one", 6), ("two", 2), ("up", 2), ("three", 1)
    ]  # fmt: skip
    assert {m.name for m in groups["up"].members} == {"up", "scale", "three"}
    both = half_plan([groups[name] for name in ("two", "up", "three")])
    assert audit(net, apply(net, both), both, x) <= 1e-5
    # The group norm wants 3 equal parts, the convolution behind it 2: keep 6 of 12 fitting both.
    plan = cut_plan([groups["one"]], {"one": (0, 2, 5, 6, 8, 10)})
    assert audit(net, apply(net, plan), plan, x) <= 1e-5
    with pytest.raises(StructureError, match="must keep the same number"):
        apply(net, cut_plan([groups["one"]], {"one": (0, 1, 2, 3, 4, 8)}))


class Embedded(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(20, 16)
        self.mix = nn.Linear(16, 16)
        self.out = nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        words = self.words(x)
        return self.out((words + torch.tanh(self.mix(words))).mean(1))


def test_an_embedding_is_cut_along() -> None:
    net, x = Embedded().eval(), torch.randint(0, 20, (4, 7))
    groups = free(channel_groups(net, x))
    assert [sorted(g.layers) for g in groups] == [["mix", "words"]]
    plan = chance(groups)
    smaller = apply(net, plan)
    assert smaller.words.embedding_dim == 8
    assert audit(net, smaller, plan, x) <= 1e-5


class Early(nn.Module):
    """What torch-pruning gets wrong, far in front of the output: a deep body hides it."""

    def __init__(self, kind: str, depth: int = 12) -> None:
        super().__init__()
        self.kind, self.stem = kind, nn.Conv2d(3, 8, 3, padding=1)
        first = 11 if kind == "input" else 8
        layers: list[nn.Module] = []
        for i in range(depth):
            layers += [nn.Conv2d(8 if i else first, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()]
        self.body, self.out = nn.Sequential(*layers), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.stem(x))
        if self.kind == "input":
            y = torch.cat([x, y], 1)
        elif self.kind == "shuffle":
            y = y.view(len(y), 2, 4, *y.shape[2:]).transpose(1, 2).reshape(y.shape)
        elif self.kind == "norm":
            y = (y - y.mean(1, keepdim=True)) / (y.var(1, keepdim=True) + 1e-5).sqrt()
        else:
            y = F.local_response_norm(y, 5)
        return self.out(self.body(y).mean((2, 3)))


@pytest.mark.parametrize("kind", ["input", "shuffle", "norm", "response"])
def test_a_wrong_guess_far_from_the_output_is_seen(kind: str) -> None:
    torch.manual_seed(0)
    net, x = Early(kind), torch.randn(2, 3, 8, 8)
    groups = {g.name: g for g in channel_groups(net, x)}
    assert groups["stem"].reason
    assert not groups["body.0"].reason


class Joined(nn.Module):
    """Two branches behind one group norm, which wants as many of each part over both."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 8, 1), nn.Conv2d(3, 8, 1)
        self.norm, self.mix = nn.GroupNorm(4, 16), nn.Conv2d(16, 12, 1)
        self.last, self.out = nn.GroupNorm(4, 12), nn.Conv2d(12, 6, 1, groups=6)
        self.end = nn.Conv2d(6, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(torch.cat([self.one(x), self.two(x)], 1))
        return self.end(self.out(self.last(self.mix(x))))


def test_parts_that_several_groups_share_or_that_leave_none_to_spare() -> None:
    groups = {g.name: g.reason for g in channel_groups(Joined(), torch.randn(2, 3, 4, 4))}
    assert groups["one"] == groups["two"] == "it shares the 4 parts of 'norm' with others"
    assert groups["mix"] == "its 12 channels fall into 12 parts, which have none to spare"


class Several(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.three = nn.Linear(6, 8), nn.Linear(8, 2), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = F.relu(self.one(x))
        self.seen = x
        return {"two": self.two(x), "three": self.three(x)}


def test_several_outputs_and_a_feature_that_is_kept() -> None:
    net, x = Several(), torch.randn(2, 6)
    net(x.requires_grad_(False)).clear()
    del net.seen
    groups = free(channel_groups(net, x))
    assert [g.name for g in groups] == ["one"]
    assert not hasattr(net, "seen")
    plan = half_plan(groups)
    assert audit(net, apply(net, plan), plan, x) <= 1e-5
    del net.seen
    net(x)
    with pytest.raises(StructureError, match="the network Several cannot be copied"):
        channel_groups(net, x)


@pytest.mark.parametrize("shift", [1, 2])
def test_the_audit_sees_a_member_in_the_wrong_place(shift: int) -> None:
    kind = next(kind for kind in ZOO if kind.name == "densenet")
    net, x = lively(kind.build()), kind.inputs(2)
    groups = free(channel_groups(net, x))
    group = next(g for g in groups if any(m.start for m in g.members if m.side == "in"))
    plan = half_plan([group])
    moved = [
        m.model_copy(update={"start": m.start - shift}) if m.side == "in" and m.start else m
        for m in group.members
    ]
    wrong = plan.model_copy(update={"members": {group.name: tuple(moved)}})
    with pytest.raises(AuditError):
        audit(net, apply(net, wrong), plan, x)


def test_a_plan_that_does_not_fit_is_refused() -> None:
    kind = ZOO[1]
    net = kind.build()
    groups = {g.name: g for g in channel_groups(net, kind.inputs(2))}
    plan = half_plan([groups["conv1"]])
    smaller = apply(net, plan)
    with pytest.raises(StructureError, match="for 20 neurons of layer 'conv1', which has 10"):
        apply(smaller, plan)
    member = plan.members["conv1"][1].model_copy(update={"start": 1})
    moved = plan.model_copy(update={"members": {"conv1": (plan.members["conv1"][0], member)}})
    with pytest.raises(StructureError, match="needs 21 entries of 'conv2', which has 20"):
        apply(net, moved)


def test_the_network_is_left_as_it_was() -> None:
    net = ZOO[3].build().train()
    for parameter in net.parameters():
        parameter.requires_grad_(False)
    before = copy.deepcopy(net.state_dict())
    groups = channel_groups(net, ZOO[3].inputs(2))
    assert len(free(groups)) > 5
    assert net.training
    assert not any(p.requires_grad or p.grad is not None for p in net.parameters())
    assert not any(m._forward_hooks for m in net.modules())
    assert all(torch.equal(value, net.state_dict()[name]) for name, value in before.items())
