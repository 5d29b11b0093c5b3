"""What the machine does to a run is one line."""

from __future__ import annotations

import gc
import os
import signal
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from maxprune.data.samples import Loaded
from maxprune.errors import DataError, OutOfMemory
from maxprune.faults import explained, of_loader
from maxprune.naming import as_options
from maxprune.train import Training, train


class Fragile(Dataset[tuple[Tensor, int]]):
    """Samples, and something that happens at one of them when the file is there."""

    def __init__(self, mark: Path, kill: bool) -> None:
        self.mark, self.kill = mark, kill

    def __len__(self) -> int:
        return 32

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        if index == 20 and self.mark.exists():
            if self.kill:
                os.kill(os.getpid(), signal.SIGKILL)
            return torch.from_file(str(self.mark.with_name("gone")), size=4), 0
        return torch.full((4,), index / 32), index % 2


@pytest.mark.parametrize(
    ("kill", "workers", "says"),
    [
        (
            True,
            1,
            r"^a process of the data loader died \(.* num_workers or batch; what is",
        ),
        (False, 0, "mine failed: RuntimeError: .*gone.*No such file"),
    ],
    ids=["a worker that is killed", "a file that vanishes"],
)
def test_a_loader_that_fails_in_the_middle(
    tmp_path: Path, kill: bool, workers: int, says: str
) -> None:
    mark = tmp_path / "mark"
    samples = Loaded(DataLoader(Fragile(mark, kill), 8, num_workers=workers), "mine", 2)
    network = nn.Linear(4, 2)
    assert len(samples) == 32
    mark.touch()
    with pytest.raises(DataError, match=says) as caught:
        train(network, samples, Training(iterations=20, batch=8))
    assert "\n" not in str(caught.value)


class Dying:
    """An iterator of a DataLoader whose process dies while it is ended, as torch tells it."""

    _persistent_workers = False

    def __init__(self) -> None:
        self.ended = 0

    def __iter__(self) -> Dying:
        return self

    def __next__(self) -> tuple[Tensor, Tensor]:
        return torch.ones(8, 4), torch.zeros(8, dtype=torch.long)

    def _shutdown_workers(self) -> None:
        if not self.ended:
            self.ended += 1
            raise RuntimeError("DataLoader worker (pid 12) is killed by signal: Killed. ")

    def __del__(self) -> None:
        self._shutdown_workers()


def test_a_worker_that_dies_when_nobody_wants_it_any_more_is_not_heard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heard: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", heard.append)
    dying = Dying()
    passes = Loaded(dying, "mine", 2).batches(0)
    assert len(next(iter(passes))[1]) == 8
    del passes
    assert dying.ended == 1
    del dying
    gc.collect()
    assert heard == []


def test_workers_that_stay_are_there_in_the_next_pass() -> None:
    loader = DataLoader(Fragile(Path("nowhere"), False), 8, num_workers=1, persistent_workers=True)
    samples = Loaded(loader, "mine", 2)
    first = next(iter(samples.batches(0)))
    second = list(samples.batches(0))
    assert len(second) == 4
    assert torch.equal(first[0], second[0][0])


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate\n2 GiB"), MemoryError(),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."),
        RuntimeError("CUDA error: out of memory"),
    ],
)  # fmt: skip
def test_no_memory_names_what_to_lower(error: BaseException) -> None:
    with as_options():
        says = explained(error, "in training")
    assert isinstance(says, OutOfMemory)
    assert str(says).startswith("out of memory in training: lower --batch, or do less")


def test_an_allocation_that_is_really_refused_is_recognised() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60)
    assert isinstance(explained(caught.value), OutOfMemory)


@pytest.mark.parametrize("error", [ConnectionResetError(104, "Connection reset"), EOFError()])
def test_a_connection_that_ends_is_a_process_that_died(error: Exception) -> None:
    """Which of the two is seen first is chance."""
    says = of_loader(error, "mine")
    assert isinstance(says, DataError)
    assert str(says).startswith("a process of the data loader died (")


def test_a_defect_is_not_explained_away() -> None:
    assert explained(RuntimeError("size mismatch")) is None
    assert explained(ValueError("out of memory")) is None


def test_a_loader_has_its_own_chance(tmp_path: Path) -> None:
    """A training that goes on draws an earlier run's batches again; dropout is none of theirs."""

    class Noisy(TensorDataset):
        def __getitem__(self, index: int) -> tuple[Tensor, ...]:
            x, y = super().__getitem__(index)
            return x + torch.rand(()), y

    data = Noisy(torch.zeros(20, 3), torch.arange(20) % 2)
    samples = Loaded(DataLoader(data, 5, shuffle=True), "mine", 2)
    whole = samples.stream(5, 0)
    torch.manual_seed(1)
    first = [next(whole)[0] for _ in range(7)]
    drawn = torch.rand(3)
    later = samples.stream(5, 0, 5)
    torch.manual_seed(1)
    assert all(torch.equal(next(later)[0], x) for x in first[5:])
    assert torch.equal(torch.rand(3), drawn)
    assert not torch.equal(first[0], first[4])
