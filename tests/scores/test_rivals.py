"""The rival scores, each against what its paper says, computed another way."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import TypeAlias

import pytest
import torch
import torch.nn.functional as F
import torch_pruning
from scipy.stats import spearmanr
from torch import Tensor, nn

from maxprune.compression.settings import METHODS
from maxprune.data.images import Images
from maxprune.data.loaded import Loaded
from maxprune.data.part import Part
from maxprune.errors import StructureError, UsageError
from maxprune.networks import vgg_small
from maxprune.plan import ChannelGroup
from maxprune.planner import lowest
from maxprune.scores import (
    apoz,
    bn_scale,
    fpgm,
    library,
    magnitude,
    obd,
    random_scores,
    skeletonization,
    taylor,
    vip,
)
from maxprune.scores.named import SCORES, Scoring, every, some
from maxprune.scores.readers import Scores
from maxprune.surgery import apply
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
    behind_relu = net[: [*dict(net.named_children())].index("pool2")](x)  # before pool and flatten
    assert found["conv2_2"].tolist() == pytest.approx(
        (behind_relu != 0).double().mean((0, 2, 3)).tolist()
    )
    assert float(found["conv2_2"].min()) < 0.1 < 0.8 < float(found["conv2_2"].max())


@pytest.mark.parametrize(
    "pool",
    [
        nn.AdaptiveAvgPool2d(1), nn.MaxPool2d(6), nn.AvgPool2d(6),
        nn.Sequential(nn.Dropout(), nn.MaxPool2d(2), nn.Dropout2d(), nn.AdaptiveMaxPool2d(1)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("inplace", [False, True])
def test_apoz_looks_behind_the_relu_and_in_front_of_the_pooling(
    pool: nn.Module, inplace: bool
) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 5, 3), nn.ReLU(inplace), pool, nn.Flatten(), nn.Linear(5, 2))
    x = torch.randn(9, 1, 8, 8)
    found = apoz(net.eval(), channel_groups(net, x), [(x, torch.zeros(9, dtype=torch.long))])["0"]
    assert found.tolist() == pytest.approx((net[0](x) > 0).double().mean((0, 2, 3)).tolist())
    first = nn.Sequential(net[0], nn.MaxPool2d(2), nn.ReLU(inplace), nn.Flatten(), nn.Linear(45, 2))
    found = apoz(first.eval(), channel_groups(first, x), [(x, torch.zeros(9, dtype=torch.long))])
    behind = (nn.MaxPool2d(2)(net[0](x)) > 0).double().mean((0, 2, 3))
    assert found["0"].tolist() == pytest.approx(behind.tolist())


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


def test_obd_goes_along_with_what_the_loss_really_does_at_a_minimum() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 24), nn.Tanh(), nn.Linear(24, 5))
    x = torch.randn(3000, 6)
    with torch.no_grad():
        net[0].weight *= torch.linspace(0.05, 1.5, 24)[torch.randperm(24)][:, None]
        y = torch.distributions.Categorical(logits=net(x)).sample()  # its probabilities are right
    scores = obd(net, channel_groups(net, x[:2]), [(x, y)])["0"]
    growth = torch.zeros(24)
    with torch.no_grad():
        whole = F.cross_entropy(net(x), y)
        for neuron in range(24):
            less = copy.deepcopy(net)
            less[0].weight[neuron], less[0].bias[neuron] = 0.0, 0.0
            growth[neuron] = F.cross_entropy(less(x), y) - whole
    assert spearmanr(scores, growth).statistic > 0.8
    assert spearmanr(magnitude(net, channel_groups(net, x[:2]))["0"], growth).statistic < 0.8


def test_fpgm_measures_between_filters_and_not_between_their_magnitudes() -> None:
    net = nn.Sequential(nn.Linear(2, 4, bias=False), nn.ReLU(), nn.Linear(4, 1))
    net[0].weight.data = torch.tensor([[3.0, 4.0], [-3.0, -4.0], [0.0, 0.0], [0.0, 0.0]])
    x = torch.randn(2, 2)
    found = fpgm(net, channel_groups(net, x))["0"]
    assert found.tolist() == pytest.approx([t / 15 for t in (20, 20, 10, 10)])


def test_fpgm_compares_filters_of_one_part_of_a_grouped_convolution() -> None:
    net = nn.Sequential(nn.Conv2d(4, 8, 1, groups=2, bias=False), nn.Conv2d(8, 2, 1))
    with torch.no_grad():
        net[0].weight[:4] = 1.0  # four equal filters of the first part
    x = torch.randn(2, 4, 3, 3)
    found = fpgm(net, channel_groups(net, x))["0"]
    assert found[:4].tolist() == [0.0] * 4
    assert float(found[4:].min()) > 0


def test_taylor_is_the_mean_square_of_the_slopes_of_all_batches(
    net: nn.Module, batches: Batches, groups: Groups
) -> None:
    found = taylor(net, groups, batches)
    slopes = [skeletonization(net, groups, [batch])["conv2_2"] for batch in batches]
    expected = torch.stack(slopes).square().mean(0)
    torch.testing.assert_close(found["conv2_2"], expected)


def test_what_torch_pruning_says_is_the_same_over_our_groups(
    net: nn.Module, batches: Batches, groups: Groups
) -> None:
    importance = torch_pruning.importance.GroupTaylorImportance()
    found = library(net, groups, batches, importance)
    x, y = (torch.cat(part) for part in zip(*batches, strict=True))
    F.cross_entropy(net(x), y).backward()
    graph = torch_pruning.DependencyGraph().build_dependency(net, (x[:2],))
    cut = torch_pruning.prune_linear_out_channels
    group = graph.get_pruning_group(net.fc1, cut, list(range(512)))
    torch.testing.assert_close(found["fc1"].float(), importance(group), rtol=1e-4, atol=1e-6)


def test_bn_scale_says_nothing_where_there_is_no_batch_norm(net: nn.Module, groups: Groups) -> None:
    found = bn_scale(net, groups)
    assert found.keys() == {"conv1_1", "conv1_2", "conv2_1", "conv2_2"}
    torch.testing.assert_close(found["conv2_1"].float(), net.norm2_1.weight.detach().abs())


def test_bn_scale_is_compared_over_layers_as_it_is(net: nn.Module, groups: Groups) -> None:
    """Liu et al. 2017: one threshold for the whole network."""
    with torch.no_grad():
        net.norm1_2.weight.mul_(0.001)
    scored = bn_scale(net, groups)
    free = [group for group in groups if group.name in scored]
    assert lowest(free, scored, 0.15).keep.keys() == {"conv1_2"}


def test_bn_scale_of_a_norm_behind_a_flattening_is_a_mean_of_its_factors() -> None:
    net = nn.Sequential(
        nn.Conv2d(1, 3, 2), nn.ReLU(), nn.Flatten(), nn.BatchNorm1d(12), nn.Linear(12, 2)
    )
    with torch.no_grad():
        net[3].weight[:] = torch.arange(12.0)
    found = bn_scale(net, channel_groups(net.eval(), torch.randn(2, 1, 3, 3)))["0"]
    assert found.tolist() == pytest.approx([1.5, 5.5, 9.5])


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


DATA_SCORES = [apoz, obd, skeletonization, taylor]


@pytest.mark.parametrize("score", DATA_SCORES)
def test_no_samples_are_refused(score: Score, net: nn.Module, groups: Groups) -> None:
    with pytest.raises(UsageError, match="no samples to score on"):
        score(net, groups, [])


@pytest.mark.parametrize("score", [*DATA_SCORES, vip])
def test_inputs_without_classes_are_refused(
    score: Score, net: nn.Module, batches: Batches, groups: Groups
) -> None:
    x = batches[0][0]
    for wrong, shown in ((x, "inputs alone"), ((x,), "a tuple"), ((x, [0] * len(x)), "a tuple")):
        says = rf"batches \(inputs, classes\) of two tensors, not {shown}: for example data"
        with pytest.raises(UsageError, match=says):
            score(net, groups, [wrong])  # type: ignore[list-item]
    with pytest.raises(UsageError, match=r"batches \(inputs, classes\), not an int"):
        score(net, groups, 3)  # type: ignore[arg-type]


@pytest.mark.parametrize("score", DATA_SCORES)
def test_nan_is_refused(score: Score, net: nn.Module, batches: Batches, groups: Groups) -> None:
    with torch.no_grad():
        net.norm1_1.weight[3] = torch.nan
    with pytest.raises(StructureError, match="layer 'norm1_1' gives NaN or infinity"):
        score(net, groups, batches)
    with torch.no_grad():
        net.norm1_1.weight[3] = 1.0
    batches[0][0][0, 0, 0, 0] = torch.nan
    with pytest.raises(StructureError, match="an input has NaN or infinity"):
        score(net, groups, batches)


def test_every_score_has_a_name_and_every_name_a_score() -> None:
    assert ("maxout", *SCORES) == METHODS


@pytest.mark.parametrize("name", SCORES)
def test_the_same_seed_gives_the_same_scores_and_another_draws_others(
    name: str, net: nn.Module, groups: Groups
) -> None:
    pixels = torch.randint(0, 256, (3000, 3, 8, 8), dtype=torch.uint8)
    samples = Images(pixels, torch.arange(3000) % 10, 10)
    first, second, other = (
        SCORES[name].of(net, groups, samples, Scoring(seed=seed)) for seed in (3, 3, 4)
    )
    assert first.keys() == second.keys() <= {g.name for g in groups if not g.reason}
    assert all(torch.equal(first[group], second[group]) for group in first)
    assert all(s.dtype == torch.float64 and bool(s.isfinite().all()) for s in first.values())
    drawn = name in ("taylor", "obd", "damage", "random")
    assert any(not torch.equal(first[group], other[group]) for group in first) == drawn


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", ["pls", "apoz", "taylor", "obd", "skeletonization", "fpgm"])
def test_half_precision_is_scored_like_single(
    name: str, kind: torch.dtype, net: nn.Module, batches: Batches, groups: Groups
) -> None:
    samples = Loaded(batches, "some", 10)
    whole = SCORES[name].of(net, groups, samples, Scoring())["conv2_1"]
    half = SCORES[name].of(copy.deepcopy(net).to(kind), groups, samples, Scoring())["conv2_1"]
    assert spearmanr(whole, half).statistic > 0.9
    assert len(set(half.tolist())) > 10


def test_groups_of_before_a_cut_are_refused(
    net: nn.Module, batches: Batches, groups: Groups
) -> None:
    smaller = apply(net, lowest(groups, magnitude(net, groups), 0.3))
    for score in (vip, *DATA_SCORES):
        with pytest.raises(StructureError, match="the groups are not those of this network"):
            score(smaller, groups, batches)
    for plain in (magnitude, fpgm, bn_scale):
        with pytest.raises(StructureError, match="find them again with channel_groups"):
            plain(smaller, groups)


def test_without_a_group_to_cut_there_is_nothing_to_say(net: nn.Module, batches: Batches) -> None:
    for score in (vip, *DATA_SCORES):
        assert score(net, [], batches) == {}
    for plain in (magnitude, fpgm, bn_scale):
        assert plain(net, []) == {}


def test_apoz_leaves_out_what_never_is_zero(batches: Batches) -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 4, 1), nn.GELU(), nn.Conv2d(4, 5, 1), nn.ReLU(), nn.Conv2d(5, 2, 1)
    )
    groups = channel_groups(net, batches[0][0][:2])
    assert apoz(net, groups, batches).keys() == {"2"}
    net[3] = nn.GELU()
    assert apoz(net, groups, batches) == {}


def test_samples_of_a_loader_are_taken_until_there_are_enough(batches: Batches) -> None:
    samples = Loaded(batches, "some", 10)  # 20 and 12
    assert [len(y) for _, y in some(samples, 25, seed=0)[0]] == [20, 5]
    assert [len(y) for _, y in some(samples, 1000, seed=0)[0]] == [20, 12]


@pytest.mark.parametrize("score", [obd, skeletonization, taylor])
def test_classes_that_are_none_are_refused(
    score: Score, net: nn.Module, batches: Batches, groups: Groups
) -> None:
    x, y = batches[0]
    with pytest.raises(UsageError, match="a class is outside 0 to 9"):
        score(net, groups, [(x, y + 5)])
    with pytest.raises(UsageError, match=r"classes of shape \(\d+, 1\)"):
        score(net, groups, [(x, y[:, None])])


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

        def batches(self, size: int, **_: Part) -> Iterator[tuple[Tensor, Tensor]]:
            self.size = size
            yield torch.zeros(1, 3, 224, 224), torch.zeros(1, dtype=torch.long)

    seen = Seen()
    next(every(seen)[0])
    assert seen.size == 20


def test_random_scores_leave_out_what_cannot_be_cut(groups: Groups) -> None:
    assert random_scores(groups).keys() == {g.name for g in groups if not g.reason}
