"""PLS-VIP of a network's filters: which filter gets which number, and what is said of bad ones."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maxprune.errors import OutputError, Remark, StructureError, UsageError
from maxprune.networks import resnet56, vgg_small
from maxprune.plan import ChannelGroup
from maxprune.planner import lowest
from maxprune.scores import fit_pls, represent, vip
from maxprune.scores.features import Features
from maxprune.surgery.trial import channel_groups


class Concatenated(nn.Module):
    """Two branches side by side, read by one convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(2, 3, 1), nn.Conv2d(2, 2, 1)
        self.out = nn.Conv2d(5, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.maps(x)).mean((2, 3))

    def maps(self, x: Tensor) -> Tensor:
        return torch.cat([self.left(x), self.right(x)], 1).relu()


class Flattened(nn.Module):
    """A convolution that is read by a linear layer behind a flattening."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.out = nn.Conv2d(2, 5, 1), nn.Linear(5 * 4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.maps(x).flatten(1))

    def maps(self, x: Tensor) -> Tensor:
        return self.left(x).relu()


BOTH = pytest.mark.parametrize("kind", [Concatenated, Flattened])


def expected_of(net: nn.Module, x: Tensor, y: Tensor, pool: Callable[[Tensor], Tensor]) -> Tensor:
    """VIP of all filters, by the maps themselves."""
    with torch.no_grad():
        numbers = pool(net.maps(x)).flatten(1)
    columns = fit_pls(lambda: [(numbers, nn.functional.one_hot(y, 2))], 2).vip
    return columns.view(5, -1).mean(1)


def joined(scores: dict[str, Tensor]) -> Tensor:
    return torch.cat(list(scores.values()))


def inputs(count: int = 60, colours: int = 2, size: int = 2) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(count) % 2
    return torch.randn(count, colours, size, size, generator=generator) + y[:, None, None, None], y


def groups_of(net: nn.Module, x: Tensor) -> tuple[ChannelGroup, ...]:
    return channel_groups(net, x[:2])


@BOTH
def test_every_filter_gets_the_number_of_its_own_map(kind: type[nn.Module]) -> None:
    torch.manual_seed(0)
    net = kind()
    x, y = inputs()
    groups = groups_of(net, x)
    found = vip(net, groups, [(x[:40], y[:40]), (x[40:], y[40:])])
    torch.testing.assert_close(joined(found), expected_of(net, x, y, lambda m: m.amax((2, 3))))
    means = vip(net, groups, [(x, y)], representation="average")
    torch.testing.assert_close(joined(means), expected_of(net, x, y, lambda m: m.mean((2, 3))))
    assert not torch.allclose(joined(means), joined(found), atol=1e-3)


@BOTH
def test_several_numbers_of_a_filter_are_its_own(kind: type[nn.Module]) -> None:
    torch.manual_seed(0)
    net = kind()
    x, y = inputs()
    found = vip(net, groups_of(net, x), [(x, y)], representation=lambda maps: maps.flatten(2))
    torch.testing.assert_close(joined(found), expected_of(net, x, y, lambda m: m.flatten(2)))


@BOTH
def test_maps_have_their_height_and_width_also_behind_a_flattening(kind: type[nn.Module]) -> None:
    torch.manual_seed(0)
    net = kind()
    x, y = inputs()
    shapes = []

    def pool(maps: Tensor) -> Tensor:
        shapes.append(tuple(maps.shape[2:]))
        return maps[:, :, 0, 1]

    found = vip(net, groups_of(net, x), [(x, y)], representation=pool)
    assert set(shapes) == {(2, 2)}
    torch.testing.assert_close(joined(found), expected_of(net, x, y, lambda m: m[:, :, 0, 1]))


def test_what_never_fires_goes_first() -> None:
    torch.manual_seed(0)
    net = Concatenated()
    x, y = inputs()
    with torch.no_grad():
        net.left.bias[1] = -100.0
    groups = groups_of(net, x)
    scores = vip(net, groups, [(x, y)])
    assert float(scores["left"][1]) == 0.0
    assert lowest(groups, scores, 0.2).removed("left") == (1,)


def test_equal_scores_go_by_their_index() -> None:
    net = Concatenated()
    x, y = inputs()
    with torch.no_grad():
        net.left.weight[:], net.left.bias[:] = 1.0, 0.0
    groups = groups_of(net, x)
    scores = {"left": vip(net, groups, [(x, y)])["left"]}
    assert len(set(scores["left"].tolist())) == 1
    only = [group for group in groups if group.name == "left"]
    assert lowest(only, scores, 0.34).removed("left") == (0,)


def test_all_readers_of_a_residual_sum_are_heard() -> None:
    torch.manual_seed(0)
    net = resnet56()
    x, y = torch.randn(12, 3, 16, 16), torch.arange(12) % 3
    groups = groups_of(net, x)
    found = represent(net, groups, [(x, y)])
    readers = [group.name for group, _, _ in found.columns]
    assert readers.count(groups[0].name) > 9
    assert {g.name for g in groups if not g.reason} == set(readers)
    lengths = {name: len(scores) for name, scores in found.importance().items()}
    assert lengths == {g.name: g.channels for g in groups if not g.reason}


def test_the_network_is_left_as_it_was() -> None:
    net = vgg_small(size=8)
    net.conv1_1.eval()
    modes = [m.training for m in net.modules()]
    state = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    x, y = inputs(6, 3, 8)
    vip(net, groups_of(net, x), [(x, y)])
    assert [m.training for m in net.modules()] == modes
    assert all(torch.equal(state[name], tensor) for name, tensor in net.state_dict().items())
    assert not any(m._forward_pre_hooks for m in net.modules())
    with pytest.raises(ValueError, match="broken"):
        vip(net, groups_of(net, x), broken(x, y))
    assert [m.training for m in net.modules()] == modes
    assert not any(m._forward_pre_hooks for m in net.modules())


def broken(x: Tensor, y: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    yield x, y
    raise ValueError("broken")


def batches(x: Tensor, y: Tensor, size: int = 50) -> list[tuple[Tensor, Tensor]]:
    return list(zip(x.split(size), y.split(size), strict=True))


def test_on_disk_it_is_nearly_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    torch.manual_seed(0)
    net = vgg_small(size=8)
    x, y = inputs(300, 3, 8)
    groups, some = groups_of(net, x), batches(x, y)
    held, kept = represent(net, groups, some), represent(net, groups, some, memory=608 * 4 * 120)
    assert held.features._file is None
    assert kept.features._file is not None
    assert not list(tmp_path.iterdir())  # it has no name
    assert len(list(kept.features.blocks())) > 2
    for name, exact in held.importance().items():
        torch.testing.assert_close(kept.importance()[name], exact, atol=5e-3, rtol=0)


def test_features_come_back_in_their_order_from_memory_and_disk() -> None:
    rows = torch.arange(70.0).view(35, 2)
    rows[:, 1] = 5.0
    held, kept = Features(2), Features(2, memory=100)
    for part in rows.split(10):
        held.append(part)
        kept.append(part)
    assert torch.equal(torch.cat(list(held.blocks())), rows)
    assert torch.equal(held.take(torch.tensor([33, 2])), rows[[33, 2]])
    blocks = torch.cat(list(kept.blocks()))
    assert blocks[:, 0].tolist() == pytest.approx(rows[:, 0].tolist(), abs=0.05)
    assert blocks[:, 1].tolist() == [5.0] * 35
    assert torch.equal(kept.take(torch.tensor([33, 2])), blocks[[33, 2]])


@pytest.mark.parametrize("kind", ["almost constant", "dead first", "tiny", "far", "ordinary"])
def test_no_column_is_lost_on_disk(kind: str) -> None:
    """What the first rows are like says nothing of the others."""
    first, later = {
        "almost constant": (torch.full((40,), 0.1), torch.linspace(0, 4, 40)),
        "dead first": (torch.zeros(40), torch.linspace(0, 4, 40)),
        "tiny": (torch.zeros(40), torch.linspace(0, 1e-9, 40)),
        "far": (torch.full((40,), 5.0), torch.linspace(0, 9e5, 40)),
        "ordinary": (torch.randn(40), torch.randn(40)),
    }[kind]
    features = Features(3, memory=150)
    column = torch.cat([first, later])
    for part in column[:, None].expand(-1, 3).split(7):
        features.append(part)
    back = torch.cat(list(features.blocks()))
    assert features._file is not None
    spread = float(later.max() - later.min())
    assert float((back[:, 1] - column).abs().max()) <= spread / 1000
    assert torch.equal(features.take(torch.arange(80)), back)


def test_the_budget_of_memory_is_kept() -> None:
    held = 0
    for budget in (4_000, 40_000):
        features = Features(10, memory=budget)
        for _ in range(50):
            features.append(torch.randn(100, 10))
            held = sum(part.nbytes for part in features._held)
            assert held <= budget
    assert held < 40_000


def test_fewer_components_are_said() -> None:
    x, y = inputs()
    with pytest.warns(Remark, match="found 2 of 5 components"):
        vip(Concatenated(), groups_of(Concatenated(), x), [(x, y % 2)], 5, one_number)


def one_number(maps: Tensor) -> Tensor:
    """The same number for every channel."""
    return maps[:, :1].mean((2, 3)).expand(-1, maps.shape[1])


def test_pairs_are_represented_by_their_distance() -> None:
    torch.manual_seed(0)
    net = Concatenated()
    x, y = inputs()
    found = represent(net, groups_of(net, x), [(x, y)])
    pairs = torch.randint(0, 60, (1500, 2), generator=torch.Generator().manual_seed(1))
    same = y[pairs[:, 0]] == y[pairs[:, 1]]
    scores = found.of_pairs(pairs, same)
    with torch.no_grad():
        numbers = net.maps(x).amax((2, 3))
    apart = (numbers[pairs[:, 0]] - numbers[pairs[:, 1]]).abs()
    expected = fit_pls(lambda: [(apart, same[:, None])], 2).vip
    torch.testing.assert_close(joined(scores), expected)
    with pytest.raises(UsageError, match="outside 0 to 59"):
        found.of_pairs(torch.tensor([[0, 60]]), torch.tensor([True]))
    with pytest.raises(UsageError, match="so whole numbers"):
        found.of_pairs(pairs.float(), same)
    with pytest.raises(UsageError, match=r"pairs are \(pairs, 2\)"):
        found.of_pairs(pairs, same[:3])


def test_real_values_can_be_explained() -> None:
    torch.manual_seed(0)
    net = Concatenated()
    x, _ = inputs()
    with torch.no_grad():
        value = net.maps(x).amax((2, 3))[:, 4]
    found = vip(net, groups_of(net, x), [(x, value)])
    assert int(joined(found).argmax()) == 4


class Idle(Concatenated):
    """Its second branch is not used on every call."""

    lazy = False

    def forward(self, x: Tensor) -> Tensor:
        if self.lazy:
            return self.left(x).mean((2, 3))[:, :2]
        return super().forward(x)


def refused(kind: type[Exception], message: str, net: nn.Module | None = None, **how: Any) -> None:
    x, y = inputs()
    net = net or Concatenated()
    groups = how.pop("groups", None) or groups_of(net, x)
    with pytest.raises(kind, match=message):
        vip(net, groups, **{"batches": [(x, y)], **how})


def test_what_cannot_be_scored() -> None:
    x, y = inputs()
    refused(UsageError, "no samples", batches=[])
    refused(UsageError, "max or average, or a function, not 'min'", representation="min")
    refused(UsageError, "has to keep the first two sides", representation=lambda maps: maps.sum())
    refused(UsageError, "16 bytes of memory do not hold the features of one sample, 5", memory=16)
    refused(UsageError, "a name or a function, not 5", representation=5)
    refused(UsageError, "the representation gives a list", representation=lambda maps: [])
    fails = r"fails on maps \(60, 3, 2, 2\) of what 'out' reads: RuntimeError"
    refused(UsageError, fails, representation=lambda maps: F.max_pool2d(maps, 99))
    refused(UsageError, "a batch has 60 inputs and 59 targets", batches=[(x, y[1:])])
    mixed = [(x, y.float()), (x, y.float()[:, None].expand(60, 2))]
    refused(UsageError, "the targets of two batches are not of one kind", batches=mixed)
    refused(UsageError, r"one whole number a sample, not \(60, 1\)", batches=[(x, y[:, None])])
    refused(UsageError, "classes are numbered from 0; there is a -1", batches=[(x, y - 1)])
    nan = x.where(x != x[3, 0, 0, 0], torch.nan)
    refused(StructureError, "an input has NaN or infinity", batches=[(nan, y)])
    broken = Concatenated()
    broken.right.bias.data[0] = torch.inf
    refused(StructureError, "layer 'right' gives NaN or infinity", broken)
    idle = Idle()
    groups = groups_of(idle, x)
    idle.lazy = True
    refused(StructureError, "'out' is not called; skip 'left'", idle, groups=groups)


def test_a_full_disk_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full here")
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: full.open("r+b", buffering=0))
    features = Features(4, memory=200)
    features.append(torch.ones(10, 4))
    with pytest.raises(OutputError, match="no place on disk for features"):
        features.append(torch.ones(10, 4))


def test_no_place_for_the_file_is_said() -> None:
    features = Features(4, memory=200, folder="/nowhere/at/all")
    features.append(torch.ones(10, 4))
    with pytest.raises(OutputError, match="no place on disk for features"):
        features.append(torch.ones(10, 4))


def test_processes_may_keep_their_samples_where_they_like_and_miss_a_class() -> None:
    """One in memory, one on disk without the last class, sums written in place."""
    torch.manual_seed(0)
    net = Concatenated().double()
    x = torch.randn(90, 2, 2, 2, dtype=torch.float64)
    y = torch.arange(90) % 3
    x += y[:, None, None, None]
    order = torch.cat([torch.where(y == 2)[0], torch.where(y != 2)[0]])
    x, y = x[order], y[order]
    groups = groups_of(net, x)
    whole = represent(net, groups, [(x, y)]).importance()
    halves = [
        represent(net, groups, batches(x[:50], y[:50], 10)),
        represent(net, groups, batches(x[50:], y[50:], 10), memory=5 * 4 * 20),
    ]
    assert halves[1].features._file is not None
    barrier, slots, found = threading.Barrier(2), [torch.zeros(0)] * 2, {}

    def process(rank: int) -> None:
        def reduce(sums: Tensor) -> Tensor:
            slots[rank] = sums.clone()
            barrier.wait(20)
            sums.copy_(slots[0] + slots[1])
            barrier.wait(20)
            return sums

        found[rank] = halves[rank].importance(reduce=reduce, classes=3)

    threads = [threading.Thread(target=process, args=(rank,)) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    torch.testing.assert_close(joined(found[0]), joined(whole), rtol=0, atol=0.01)
    assert torch.equal(joined(found[0]), joined(found[1]))


def test_pairs_are_read_from_disk_too() -> None:
    torch.manual_seed(0)
    net = Concatenated()
    x, y = inputs()
    groups = groups_of(net, x)
    pairs = torch.randint(0, 60, (200, 2), generator=torch.Generator().manual_seed(1))
    same = y[pairs[:, 0]] == y[pairs[:, 1]]
    held = represent(net, groups, batches(x, y, 20)).of_pairs(pairs, same)
    kept = represent(net, groups, batches(x, y, 20), memory=5 * 4 * 30).of_pairs(pairs, same)
    torch.testing.assert_close(joined(kept), joined(held), rtol=0, atol=0.01)


def test_only_pictures_become_squares_again() -> None:
    net = nn.Sequential(nn.Conv1d(1, 2, 1), nn.Flatten(), nn.Linear(2 * 9, 2))
    x, y = torch.randn(6, 1, 9), torch.arange(6) % 2
    shapes = set()

    def pool(maps: Tensor) -> Tensor:
        shapes.add(tuple(maps.shape[2:]))
        return maps.amax((2, 3))

    vip(net, groups_of(net, x), [(x, y)], representation=pool)
    assert shapes == {(1, 9)}
