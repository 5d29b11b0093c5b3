"""A network learns from the answers of another one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import maxprune
from maxprune.data import Dataset, Images
from maxprune.errors import UsageError
from maxprune.train import Checkpoints, Teacher, Training, Watch, train


def network(classes: int = 3, seed: int = 0) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, classes))


def images() -> Images:
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randint(256, (40, 1, 4, 4), generator=generator, dtype=torch.uint8)
    return Images(pixels, torch.randint(3, (40,), generator=generator), 3)


TRAINING = Training(iterations=30, batch=10, rate=0.1, average=0)


def by_hand(outputs: Tensor, answers: Tensor, own: Tensor, share: float, t: float) -> Tensor:
    total = torch.zeros(())
    for mine, theirs in zip(outputs, answers, strict=True):
        p, q = (theirs / t).softmax(0), (mine / t).softmax(0)
        total = total + (p * (p / q).log()).sum()
    return share * t**2 * total / len(outputs) + (1 - share) * own


@pytest.mark.parametrize(("share", "t"), [(0.9, 4.0), (1.0, 1.0), (0.3, 2.5)])
def test_the_loss_is_that_of_the_paper(share: float, t: float) -> None:
    x, outputs, own = torch.rand(5, 1, 4, 4), torch.randn(5, 3), torch.tensor(0.7)
    teacher = Teacher(network(seed=9).train(), share, t)
    found = teacher.loss(outputs, x, own)
    with torch.no_grad():
        expected = by_hand(outputs, teacher.network(x), own, share, t)
    torch.testing.assert_close(found, expected)
    assert teacher.network.training


def test_at_every_position_of_a_map() -> None:
    maps = nn.Conv2d(1, 3, 1)
    x, outputs = torch.rand(2, 1, 4, 4), torch.randn(2, 3, 4, 4)
    found = Teacher(maps, 1.0, 2.0).loss(outputs, x, torch.zeros(()))
    flat = [t.detach().movedim(1, -1).reshape(-1, 3) for t in (outputs, maps(x))]
    torch.testing.assert_close(found, by_hand(*flat, torch.zeros(()), 1.0, 2.0))


def test_it_comes_to_answer_like_its_teacher() -> None:
    """Of a teacher alone the classes say nothing: these are drawn by lot."""
    teacher = network(seed=5)
    before = [t.clone() for t in teacher.state_dict().values()]
    x = images().batch(torch.arange(40))[0]

    def apart(model: nn.Module) -> float:
        with torch.no_grad():
            return float((model(x).softmax(1) - teacher(x).softmax(1)).abs().mean())

    alone, taught = network(), network()
    training = TRAINING.model_copy(update={"iterations": 300})
    train(alone, images(), training)
    train(taught, images(), training, teacher=Teacher(teacher, 1.0, 1.0))
    assert 3 * apart(taught) < apart(alone)
    assert apart(taught) < 0.03
    assert all(map(torch.equal, before, teacher.state_dict().values()))
    assert all(parameter.grad is None for parameter in teacher.parameters())


class Stopped(Exception):  # noqa: N818
    """The training is killed here."""


def test_it_goes_on_with_the_same_teacher_alone(tmp_path: Path) -> None:
    training = TRAINING.model_copy(update={"iterations": 300})
    place = Checkpoints(tmp_path / "x.part", every=100)
    whole = network()
    train(whole, images(), training, teacher=Teacher(network(seed=5)))

    def stop(done: int) -> None:
        if done == 200:
            raise Stopped

    def begin() -> None:
        with pytest.raises(Stopped):
            train(
                network(), images(), training, 0, place, Watch(tick=stop),
                teacher=Teacher(network(seed=5)),
            )  # fmt: skip

    begin()
    ticks: list[int] = []
    again = network()
    watch = Watch(tick=ticks.append)
    train(again, images(), training, 0, place, watch, teacher=Teacher(network(seed=5)))
    assert ticks[0] == 110  # the checkpoint is that of 100
    assert all(map(torch.equal, whole.parameters(), again.parameters()))
    begin()
    ticks.clear()
    train(network(), images(), training, 0, place, watch, teacher=Teacher(network(seed=6)))
    assert ticks[0] == 10


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"share": 0.0}, r"in \(0, 1\], not 0"), ({"share": 1.5}, "not 1.5"),
        ({"temperature": 0.0}, "above 0"), ({"temperature": float("inf")}, "finite"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(how: dict[str, float], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        Teacher(network(), **how)


def test_a_teacher_is_known_by_all_that_it_is() -> None:
    normed = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    before = Teacher(normed).about
    assert Teacher(normed).about == before
    normed[1].num_batches_tracked += 1
    assert Teacher(normed).about != before
    assert Teacher(normed.bfloat16()).about != before


def test_a_teacher_may_be_of_another_precision_but_answers_in_rows() -> None:
    outputs, x = torch.randn(2, 3), torch.rand(2, 1, 4, 4)
    found = [Teacher(net).loss(outputs, x, torch.zeros(())) for net in
             (network(), network().bfloat16())]  # fmt: skip
    torch.testing.assert_close(*found, atol=0.05, rtol=0.05)

    class Two(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x, x

    with pytest.raises(UsageError, match="the teacher gives a tuple, not a row"):
        Teacher(Two()).loss(outputs, x, torch.zeros(()))


class Looked(nn.Module):
    """Notes in which memory its weights lie; `flat` goes by `view`, which wants the usual one."""

    def __init__(self, flat: str) -> None:
        super().__init__()
        self.first, self.conv, self.fc = nn.Conv2d(1, 2, 1), nn.Conv2d(2, 6, 2), nn.Linear(54, 3)
        self.flat, self.last = flat, False

    def forward(self, x: Tensor) -> Tensor:
        found = self.conv(self.first(x))
        self.last = self.conv.weight.is_contiguous(memory_format=torch.channels_last)
        flat = found.flatten(1) if self.flat == "flatten" else found.view(len(x), -1)
        out: Tensor = self.fc(flat)
        return out


@pytest.mark.parametrize(("flat", "last"), [("flatten", True), ("view", False)])
def test_a_teacher_answers_in_the_faster_memory_where_it_can(flat: str, last: bool) -> None:
    teacher = Looked(flat)
    train(network(), images(), TRAINING, teacher=Teacher(teacher))
    assert teacher.last == last
    assert teacher.conv.weight.is_contiguous()


def test_a_teacher_of_other_classes_is_refused() -> None:
    with pytest.raises(UsageError, match=r"teacher gives outputs of shape \(4,\)"):
        train(network(), images(), TRAINING, teacher=Teacher(network(4)))


def test_a_search_retrains_with_the_network_at_the_start(trained: nn.Module, data: Dataset) -> None:
    how = {"method": "random", "share": 0.3, "epochs": 0.5, "iterations": 1}
    found = {share: maxprune.compress(trained, data, teacher=share, **how) for share in (0.0, 0.9)}
    weights = [one.model.get_submodule("fc2").weight for one in found.values()]
    assert weights[0].shape == weights[1].shape
    assert not torch.equal(*weights)
    with pytest.raises(UsageError, match="teacher does nothing beside a fit of your own"):
        maxprune.compress(trained, data, fit=lambda net, data: None, teacher=0.5, **how)
