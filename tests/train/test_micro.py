"""A batch that does not fit in memory goes through in parts."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from train_helpers import SHORT, pictures, weights

from maxprune.errors import MaxpruneError, OutOfMemory
from maxprune.naming import as_options
from maxprune.train import Checkpoints, Fitting, Progress, Watch, train
from maxprune.train.micro import Parts

NO_CUDA = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
NO_CPU = RuntimeError("[enforce fail at alloc_cpu.cpp:119] DefaultCPUAllocator: can't allocate")


class Hungry(nn.Module):
    """Needs more memory than there is for more samples than these, in training."""

    def __init__(self, most: int, error: BaseException = NO_CUDA) -> None:
        super().__init__()
        self.most, self.error = most, error

    def forward(self, x: Tensor) -> Tensor:
        if self.training and len(x) > self.most:
            raise self.error
        return x


def network(most: int, *before: nn.Module, error: BaseException = NO_CUDA) -> nn.Module:
    """What comes before the hungry module is seen, and drawn, before memory is out."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return nn.Sequential(
            nn.Conv2d(1, 4, 3), *before, Hungry(most, error), nn.ReLU(), nn.Flatten(),
            nn.Linear(16, 3),
        )  # fmt: skip


@pytest.mark.parametrize("error", [NO_CUDA, NO_CPU, MemoryError()], ids=["cuda", "cpu", "python"])
@pytest.mark.parametrize(("most", "parts"), [(8, 1), (7, 2), (3, 4), (1, 8)])
def test_the_parts_add_up_to_the_batch(
    most: int, parts: int, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    expected, model = network(8), network(most, error=error)
    wanted = train(expected, pictures(), SHORT)
    with caplog.at_level(logging.WARNING, "maxprune"):
        found = train(model, pictures(), SHORT)
    assert found.parts == parts
    assert len(caplog.messages) == {1: 0, 2: 1, 4: 2, 8: 3}[parts]  # once for every doubling
    assert all(f"every batch of 8 goes on in {2**n} parts" in m
               for n, m in enumerate(caplog.messages, 1))  # fmt: skip
    for name, weight in expected.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], weight, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found.loss, wanted.loss, atol=1e-5, rtol=1e-5)


def test_unequal_parts_count_by_their_share() -> None:
    model, x, y = network(9), torch.rand(7, 1, 4, 4), torch.randint(0, 3, (7,))

    def loss(part: Tensor, classes: Tensor) -> Tensor:
        return nn.functional.cross_entropy(model(part), classes)

    whole = Parts(model).backward(x, y, loss)
    expected = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    model.zero_grad()
    in_parts = Parts(model, 4).backward(x, y, loss)  # of 2, 2, 2 and 1
    torch.testing.assert_close(in_parts, whole)
    found = [p.grad for p in model.parameters() if p.grad is not None]
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("before", "norms"), [(lambda: nn.BatchNorm2d(4), True), (lambda: nn.Dropout(0.5), False)],
    ids=["batch norm", "dropout"],
)  # fmt: skip
def test_a_step_that_broke_off_leaves_no_trace(
    before: Callable[[], nn.Module], norms: bool, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    model = network(4, before())
    with caplog.at_level(logging.WARNING, "maxprune"):
        train(model, pictures(), SHORT)
    assert ("batch norm sees the smaller parts" in caplog.text) == norms
    expected = network(4, before())
    monkeypatch.setattr(Parts.__init__, "__defaults__", (2,))  # as if it had been known
    train(expected, pictures(), SHORT)
    assert weights(model) == weights(expected)


def test_a_training_that_goes_on_knows_its_parts(
    tmp_path: object, caplog: pytest.LogCaptureFixture
) -> None:
    place = Checkpoints(tmp_path / "step.part", every=10, key="step")  # type: ignore[operator]
    expected = network(3, nn.Dropout(0.5))
    wanted = train(expected, pictures(), SHORT)

    def stop(done: int) -> None:
        if done == 30:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(network(3, nn.Dropout(0.5)), pictures(), SHORT, 0, place, Watch(tick=stop))
    caplog.clear()
    again = network(3, nn.Dropout(0.5))
    found = train(again, pictures(), SHORT, 0, place)
    assert not caplog.messages  # it does not try the whole batch again
    assert weights(again) == weights(expected)
    assert found == wanted == Progress(43, wanted.iterations, wanted.loss, (), 4)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: network(0), "even with 1 sample of a batch of 8 at a time: lower --batch, take"),
        (lambda: network(1, nn.BatchNorm2d(4)), "even with 2 samples of a batch of 8 at a time"),
    ],
)
def test_what_does_not_fit_in_parts_is_refused_in_one_line(
    make: Callable[[], nn.Module], says: str
) -> None:
    with as_options(), pytest.raises(OutOfMemory, match=says) as caught:
        train(make(), pictures(), SHORT)
    assert "\n" not in str(caught.value)


def test_memory_that_is_out_elsewhere_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise NO_CUDA

    monkeypatch.setattr(torch.optim.SGD, "step", full)
    with as_options(), pytest.raises(OutOfMemory, match="out of memory in training: lower --bat"):
        train(network(8), pictures(), SHORT)


def test_another_error_is_no_lack_of_memory() -> None:
    with pytest.raises(RuntimeError, match="mine"):
        train(network(7, error=RuntimeError("mine")), pictures(), SHORT)
    assert not issubclass(RuntimeError, MaxpruneError)


def test_gradients_are_clipped_as_a_whole() -> None:
    fitting = Fitting(iterations=20, batch=8, rate=0.5, clip=0.1)
    expected, model = network(8), network(2)
    train(expected, pictures(), fitting)
    train(model, pictures(), fitting)
    for name, weight in expected.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], weight, atol=1e-5, rtol=1e-4)
