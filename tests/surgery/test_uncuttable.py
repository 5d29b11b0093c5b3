"""What is left whole, and the reason that is given."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from zoo import ZOO

from maxprune.errors import StructureError, UsageError
from maxprune.surgery.groups import find_groups
from maxprune.surgery.trial import channel_groups


class Reused(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.three = nn.Linear(6, 6), nn.Linear(6, 8), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.three(F.relu(self.two(F.relu(self.one(F.relu(self.one(x)))))))


def tied() -> nn.Module:
    net = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 2))
    net[2].weight = net[0].weight
    return net


def parametrized() -> nn.Module:
    return nn.Sequential(
        nn.Linear(6, 8), nn.ReLU(), parametrizations.weight_norm(nn.Linear(8, 4)), nn.Linear(4, 2)
    )


class Multihead(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.into, self.attention = nn.Linear(6, 8), nn.MultiheadAttention(8, 2, batch_first=True)
        self.hidden, self.out = nn.Linear(8, 12), nn.Linear(12, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.into(x)[:, None]
        x = x + self.attention(x, x, x, need_weights=False)[0]
        return self.out(F.relu(self.hidden(x[:, 0])))


class Gated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.into, self.out = nn.Linear(6, 16), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        one, two = self.into(x).chunk(2, 1)
        return self.out(one * torch.sigmoid(two))


class Shuffled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 1, groups=2)
        self.out = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.one(x)
        n, _, h, w = x.shape
        x = x.view(n, 2, 4, h, w).transpose(1, 2).reshape(n, 8, h, w)
        return self.out(self.two(x).mean((2, 3)))


class Mixing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.out = nn.Linear(6, 8), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.one(x).cumsum(1))


class Averaged(nn.Module):
    """A mean over the channels, which no name of an operation shows."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.out = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.one(x)
        return self.out(x - x.mean(1, keepdim=True))


@pytest.mark.parametrize(
    ("build", "shape", "reasons"),
    [
        (Reused, (6,), {"one": "'one' is used several times, or shares its weights", "two": ""}),
        (tied, (6,), {"0": "shares its weights", "2": "shares its weights"}),
        (parametrized, (6,), {"0": "parametrized", "2": "parametrized"}),
        (
            Multihead,
            (6,),
            {
                "attention.out_proj": "(MultiheadAttention), which is left whole",
                "into": "whose heads are left whole",
                "hidden": "",
            },
        ),
        (Gated, (6,), {"into": "its channels are interleaved in 'out'"}),
        (Mixing, (6,), {"one": "the operation 'Cumsum', which may mix channels"}),
        (Averaged, (3, 4, 4), {"one": "a trial cut changed what other channels give"}),
        (Shuffled, (3, 4, 4), {"one": "trial cut"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_cannot_be_cut_says_why(build, shape, reasons) -> None:
    groups = {g.name: g for g in channel_groups(build(), torch.randn(2, *shape))}
    for name, reason in reasons.items():
        assert (reason in groups[name].reason) if reason else (groups[name].reason == ""), groups


def test_skipped_layers_and_all_that_hangs_together_with_them_stay() -> None:
    kind = next(kind for kind in ZOO if kind.name == "resnet18")
    groups = {g.name: g for g in channel_groups(kind.build(), kind.inputs(2), ["blocks.1.conv2"])}
    assert groups["stem.0"].reason == "it is to be skipped"
    assert groups["blocks.0.conv1"].reason == ""
    with pytest.raises(UsageError, match="no layer 'nothing' to skip"):
        channel_groups(kind.build(), kind.inputs(2), ["nothing"])


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.out = nn.Linear(6, 8), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.one(x)
        return self.out(x if x.sum() > 0 else -x)


class ByShape(Branching):
    """A path that depends on a shape, which symbolic tracing alone cannot follow."""

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1] != 6:
            raise ValueError("six numbers")
        return self.out(self.one(x))


def test_a_path_that_depends_on_the_input_is_refused_and_one_on_its_shape_is_not() -> None:
    with pytest.raises(StructureError, match="Branching cannot be traced"):
        channel_groups(Branching(), torch.randn(2, 6))
    groups = channel_groups(ByShape(), torch.randn(2, 6))
    assert [group.name for group in groups if not group.reason] == ["one"]


def test_a_wrong_input_shape_and_no_tensor_are_refused() -> None:
    net = ZOO[1].build()
    with pytest.raises(StructureError, match=r"does not take an input of shape \(3, 28, 28\)"):
        channel_groups(net, torch.randn(2, 3, 28, 28))
    with pytest.raises(StructureError, match="gives no tensor of its layers"):
        find_groups(nn.Identity(), torch.randn(2, 3))


def test_weights_that_are_not_there_yet() -> None:
    with pytest.raises(StructureError, match="is not there yet; run the network once"):
        channel_groups(nn.Sequential(nn.LazyLinear(4), nn.Linear(4, 2)), torch.randn(2, 3))


def test_heads_are_left_whole() -> None:
    vit = ZOO[-1]
    reasons = {g.name: g.reason for g in channel_groups(vit.build(), vit.inputs(2))}
    assert "heads are left whole" in reasons["blocks.0.attention.qkv"]
    assert reasons["patches"]  # its forward takes the width of a head from that of its input
    assert not reasons["blocks.0.fc1"]
