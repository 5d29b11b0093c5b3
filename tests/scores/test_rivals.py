"""The rival scores, each against what its paper says, computed another way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import pytest
import torch
import torch.nn.functional as F
import torch_pruning
from torch import Tensor, nn

from maxprune.compression.settings import METHODS
from maxprune.data.samples import Loaded
from maxprune.errors import StructureError, UsageError
from maxprune.networks import vgg_small
from maxprune.plan import ChannelGroup
from maxprune.scores import (
    apoz,
    bn_scale,
    fpgm,
    library,
    obd,
    random_scores,
    skeletonization,
    taylor,
)
from maxprune.scores.named import SCORES, Scoring, every
from maxprune.scores.readers import Scores
from maxprune.surgery.trial import channel_groups

Batches: TypeAlias = list[tuple[Tensor, Tensor]]
Groups: TypeAlias = tuple[ChannelGroup, ...]
Score: TypeAlias = Callable[[nn.Module, Groups, Batches], Scores]


@pytest.fixture
def net() -> nn.Module:
    torch.manual_seed(0)
    net = vgg_small(size=8)
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 2.0)
                module.bias.normal_()
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 2.0)
    return net.eval()


@pytest.fixture
def batches() -> Batches:
    generator = torch.Generator().manual_seed(0)
    return [
        (
            torch.randn(size, 3, 8, 8, generator=generator),
            torch.randint(0, 10, (size,), generator=generator),
        )
        for size in (20, 12)
    ]


@pytest.fixture
def groups(net: nn.Module, batches: Batches) -> Groups:
    return channel_groups(net, batches[0][0][:2])


def read(net: nn.Module, layer: str, x: Tensor) -> Tensor:
    """What a layer reads."""
    seen = []
    handle = net.get_submodule(layer).register_forward_pre_hook(lambda _, a: seen.append(a[0]))
    with torch.no_grad():
        net(x)
    handle.remove()
    return torch.cat(seen)


def test_apoz_is_the_share_of_zeros(net: nn.Module, batches: Batches, groups: Groups) -> None:
    x = torch.cat([x for x, _ in batches])
    found = apoz(net, groups, batches)
    assert found["conv1_1"].tolist() == pytest.approx(
        (read(net, "conv1_2", x) != 0).double().mean((0, 2, 3)).tolist()
    )
    flat = (read(net, "fc1", x) != 0).double().view(32, 32, 4)
    assert found["conv2_2"].tolist() == pytest.approx(flat.mean((0, 2)).tolist())
    assert float(found["conv2_2"].min()) < 0.1 < 0.9 < float(found["conv2_2"].max())


def loss_with(
    net: nn.Module, layer: str, channels: slice, factor: float, batches: Batches
) -> float:
    """The mean loss if some of what a layer reads is multiplied by a factor; double precision."""
    network = net.double()

    def scaled(_: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        x = args[0].clone()
        x[:, channels] *= factor
        return (x,)

    handle = network.get_submodule(layer).register_forward_pre_hook(scaled)
    with torch.no_grad():
        losses = [F.cross_entropy(network(x.double()), y, reduction="none") for x, y in batches]
    handle.remove()
    net.float()
    return float(torch.cat(losses).mean())


@pytest.mark.parametrize(
    ("group", "layer", "each"),
    [("conv1_1", "conv1_2", 1), ("conv2_2", "fc1", 4), ("fc1", "output", 1)],
)
def test_skeletonization_is_minus_the_slope_of_the_loss(
    net: nn.Module, batches: Batches, groups: Groups, group: str, layer: str, each: int
) -> None:
    found = skeletonization(net, groups, batches)[group]
    for channel in (0, 5, len(found) - 1):
        entries = slice(channel * each, channel * each + each)
        more, less = (loss_with(net, layer, entries, 1 + d, batches) for d in (1e-6, -1e-6))
        assert float(found[channel]) == pytest.approx((less - more) / 2e-6, rel=1e-3, abs=1e-6)


def test_skeletonization_leaves_no_gradient_and_no_hook(
    net: nn.Module, batches: Batches, groups: Groups
) -> None:
    net.train()
    skeletonization(net, groups, batches)
    assert all(parameter.grad is None for parameter in net.parameters())
    assert all(module.training and not module._forward_pre_hooks for module in net.modules())


def test_obd_is_half_of_the_squared_gradients_times_the_squared_weights(
    net: nn.Module, batches: Batches, groups: Groups
) -> None:
    found = obd(net, groups, batches)
    own = [net.get_parameter(n) for n in ("conv1_2.weight", "norm1_2.weight", "norm1_2.bias")]
    expected, samples = torch.zeros(16, dtype=torch.float64), 0
    for x, y in batches:
        for one, answer in zip(x.split(1), y.split(1), strict=True):
            slopes = torch.autograd.grad(F.cross_entropy(net(one), answer), own)
            for weight, slope in zip(own, slopes, strict=True):
                expected += (weight * slope).detach().double().square().view(16, -1).sum(1)
            samples += 1
    torch.testing.assert_close(found["conv1_2"], expected / samples / 2, rtol=1e-4, atol=0)
    assert all(parameter.grad is None for parameter in net.parameters())


def test_obd_is_near_what_the_loss_really_does_at_a_minimum() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 3))
    x = torch.randn(2000, 3)
    with torch.no_grad():
        y = torch.distributions.Categorical(logits=net(x)).sample()  # its probabilities are right
        net[0].weight[2] *= 1e-3
        net[0].bias[2] = 0.0
    scores = obd(net, channel_groups(net, x[:2]), [(x, y)])["0"]
    assert int(scores.argmin()) == 2


def test_fpgm_measures_between_filters_and_not_between_their_magnitudes() -> None:
    net = nn.Sequential(nn.Linear(2, 4, bias=False), nn.ReLU(), nn.Linear(4, 1))
    net[0].weight.data = torch.tensor([[3.0, 4.0], [-3.0, -4.0], [0.0, 0.0], [0.0, 0.0]])
    x = torch.randn(2, 2)
    found = fpgm(net, channel_groups(net, x))["0"]
    assert found.tolist() == pytest.approx([t / 15 for t in (20, 20, 10, 10)])


def test_taylor_is_that_of_torch_pruning_in_our_groups(
    net: nn.Module, batches: Batches, groups: Groups
) -> None:
    found = taylor(net, groups, batches)
    x, y = (torch.cat(part) for part in zip(*batches, strict=True))
    F.cross_entropy(net(x), y).backward()
    graph = torch_pruning.DependencyGraph().build_dependency(net, (x[:2],))
    group = graph.get_pruning_group(
        net.fc1, torch_pruning.prune_linear_out_channels, list(range(512))
    )
    expected = torch_pruning.importance.GroupTaylorImportance()(group)
    torch.testing.assert_close(found["fc1"].float(), expected, rtol=1e-4, atol=1e-6)


def test_bn_scale_says_nothing_where_there_is_no_batch_norm(
    net: nn.Module, batches: Batches, groups: Groups
) -> None:
    found = bn_scale(net, groups, batches)
    assert found.keys() == {"conv1_1", "conv1_2", "conv2_1", "conv2_2"}
    weight = net.norm2_1.weight.detach().abs()
    torch.testing.assert_close(found["conv2_1"].float(), weight / weight.mean())


def test_any_importance_of_torch_pruning_can_be_asked(
    net: nn.Module, batches: Batches, groups: Groups
) -> None:
    found = library(net, groups, batches, torch_pruning.importance.LAMPImportance())
    assert {name: len(scores) for name, scores in found.items()} == {
        g.name: g.channels for g in groups if not g.reason
    }
    assert all(parameter.grad is None for parameter in net.parameters())
    with pytest.raises(StructureError, match="int fails at 'conv1_1'"):
        library(net, groups, batches, 3)


DATA_SCORES = [apoz, bn_scale, obd, skeletonization, taylor]


@pytest.mark.parametrize("score", DATA_SCORES)
def test_no_samples_are_refused(score: Score, net: nn.Module, groups: Groups) -> None:
    with pytest.raises(UsageError, match="no samples to score on"):
        score(net, groups, [])


@pytest.mark.parametrize("score", DATA_SCORES)
def test_nan_is_refused(score: Score, net: nn.Module, batches: Batches, groups: Groups) -> None:
    with torch.no_grad():
        net.norm1_1.weight[3] = torch.nan
    with pytest.raises(StructureError, match=r"NaN|not finite"):
        score(net, groups, batches)


def test_every_score_has_a_name_and_every_name_a_score() -> None:
    assert ("maxout", *SCORES) == METHODS


@pytest.mark.parametrize("name", SCORES)
def test_the_same_seed_gives_the_same_scores(
    name: str, net: nn.Module, batches: Batches, groups: Groups
) -> None:
    samples = Loaded(batches, "some", 10)
    first = SCORES[name].of(net, groups, samples, Scoring(seed=3))
    second = SCORES[name].of(net, groups, samples, Scoring(seed=3))
    assert first.keys() == second.keys() <= {g.name for g in groups if not g.reason}
    assert all(torch.equal(first[group], second[group]) for group in first)
    assert all(s.dtype == torch.float64 and bool(s.isfinite().all()) for s in first.values())


@pytest.mark.parametrize("name", SCORES)
def test_frozen_weights_can_be_scored(
    name: str, net: nn.Module, batches: Batches, groups: Groups
) -> None:
    samples = Loaded(batches, "some", 10)
    free = SCORES[name].of(net, groups, samples, Scoring())
    net.requires_grad_(False)
    frozen = SCORES[name].of(net, groups, samples, Scoring())
    assert all(torch.equal(free[group], frozen[group]) for group in free)
    assert not any(parameter.requires_grad for parameter in net.parameters())


def test_large_pictures_come_in_small_batches() -> None:
    class Seen:
        size = 0

        def batches(self, size: int, device: str = "cpu") -> Iterator[tuple[Tensor, Tensor]]:
            self.size = size
            yield torch.zeros(1, 3, 224, 224), torch.zeros(1, dtype=torch.long)

    seen = Seen()
    next(iter(every(seen)))
    assert seen.size == 19


def test_random_scores_leave_out_what_cannot_be_cut(groups: Groups) -> None:
    assert random_scores(groups).keys() == {g.name for g in groups if not g.reason}
