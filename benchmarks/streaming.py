"""Pictures that stay on disk: threads beside processes, and both beside pictures in memory.

For LFW's pictures (250x250, brought to 64x64) and CIFAR-10's (32x32), as JPEGs in a folder and in
tar shards: pictures a second of one shuffled pass in batches of 128, alone and with a training step
between the batches, and the share of that time in which the step waits. Threads are ours, one and
one a core; processes are `torch.utils.data.DataLoader`'s, which decode the same pieces of batches
from the same index. All take turns in one run, and a figure is the median over rounds.

    python3 benchmarks/streaming.py [--rounds 3] [--pictures 4000] [--out FILE]
"""

from __future__ import annotations

import itertools
import os
import statistics
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from shared import options, show
from torch import Tensor, nn
from torch.utils.data import DataLoader

from maxprune.data.images import floats
from maxprune.data.order import batches
from maxprune.data.streamed import Streamed
from maxprune.data.streaming import stream_folder
from maxprune.runs.environment import environment
from maxprune.train.waiting import Waiting

BATCH = 128
SETS = {
    "lfw": ("lfw/lfw-deepfunneled.tgz", (3, 64, 64)),
    "cifar10": ("cifar10/cifar10-jpg.tar.xz", (3, 32, 32)),
}


def unpack(archive: Path, count: int, root: Path) -> None:
    """So many pictures of ten classes, by turns: ROOT/folder and ROOT/shards."""
    (root / "shards").mkdir()
    with tarfile.open(archive) as packed, tarfile.open(root / "shards/train-0.tar", "w") as shard:
        pictures = (m for m in packed if m.isfile() and m.name.endswith(".jpg"))
        for number, member in enumerate(itertools.islice(pictures, count)):
            path = root / "folder" / "train" / str(number % 10) / f"{number:06}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(packed.extractfile(member).read())  # type: ignore[union-attr]
            shard.add(path, f"{number % 10}/{path.name}")


class Pieces(torch.utils.data.Dataset[Tensor]):
    """What a process of a DataLoader decodes: a batch of the index at once."""

    def __init__(self, images: Streamed) -> None:
        self.images = images

    def __getitems__(self, index: list[int]) -> tuple[Tensor, Tensor]:
        pixels, places, _ = self.images._decoded((self.images.places[torch.tensor(index)], True))
        return torch.from_numpy(pixels), self.images.index.labels[places]


def by_processes(images: Streamed, workers: int) -> Iterator[tuple[Tensor, Tensor]]:
    """One pass by a DataLoader, in the order of ours."""
    order = itertools.islice(batches(len(images), BATCH, 0), images.iterations(BATCH))
    loader = DataLoader(
        Pieces(images), batch_sampler=[index.tolist() for index in order], num_workers=workers,
        collate_fn=lambda both: both,
    )  # fmt: skip
    return (floats(*both, "cpu") for both in loader)


def one_pass(images: Any) -> Iterator[tuple[Tensor, Tensor]]:
    return itertools.islice(images.stream(BATCH, 0), images.iterations(BATCH))


def training_step(shape: tuple[int, int, int]) -> Callable[[Tensor, Tensor], None]:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(shape[0], 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(512, 10),
    ).to(memory_format=torch.channels_last)  # fmt: skip
    optimizer = torch.optim.SGD(model.parameters(), 0.01)

    def step(x: Tensor, y: Tensor) -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()

    return step


def measured(
    stream: Iterator[tuple[Tensor, Tensor]], step: Callable[[Tensor, Tensor], None] | None
) -> tuple[float, float]:
    """Pictures a second, and the share of the time that was spent waiting."""
    waiting, count, started = Waiting(), 0, time.perf_counter()
    for x, y in waiting.through(stream):
        count += len(x)
        if step is not None:
            step(x, y)
    passed = time.perf_counter() - started
    return count / passed, waiting.waited / passed


def rates(root: Path, shape: tuple[int, int, int], rounds: int, cores: int) -> dict[str, Any]:
    """Every way, by turns."""
    folder = stream_folder(root / "folder", shape, workers=cores).train
    shards = stream_folder(root / "shards", shape, workers=cores).train
    held = folder.held()
    ways: dict[str, Callable[[], Iterator[tuple[Tensor, Tensor]]]] = {
        "memory": lambda: one_pass(held),
        "threads_1": lambda: one_pass(replace(folder, workers=1)),
        f"threads_{cores}": lambda: one_pass(folder),
        f"threads_{cores}_shards": lambda: one_pass(shards),
        "processes_1": lambda: by_processes(folder, 1),
        f"processes_{cores}": lambda: by_processes(folder, cores),
    }
    step = training_step(shape)
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            alone, (training, share) = measured(way(), None)[0], measured(way(), step)
            found[name].append((alone, training, share))
    result: dict[str, Any] = {}
    for name, rows in found.items():
        alone, training, share = (statistics.median(column) for column in zip(*rows, strict=True))
        result[name] = {
            "pictures_a_second": alone, "pictures_a_second_in_training": training,
            "share_of_training_spent_waiting": share,
        }  # fmt: skip
    ours, theirs = found[f"threads_{cores}"], found[f"processes_{cores}"]
    pairs = list(zip(ours, theirs, strict=True))
    return result | {
        "threads_times_as_fast_as_processes": statistics.median(a[0] / b[0] for a, b in pairs),
        "threads_times_as_fast_in_training": statistics.median(a[1] / b[1] for a, b in pairs),
    }


def main() -> None:
    chosen = options(__doc__, rounds=3, pictures=4000)
    cores = os.cpu_count() or 1
    torch.set_num_threads(1)
    data = chosen.data or Path(os.environ["MAXPRUNE_DATA"])
    result: dict[str, Any] = {
        "benchmark": "streaming", "pictures": chosen.pictures, "batch": BATCH,
        "environment": environment(1), "load_of_this_machine_at_first": os.getloadavg()[0],
    }  # fmt: skip
    for name, (archive, shape) in SETS.items():
        with tempfile.TemporaryDirectory() as root:
            unpack(data / archive, chosen.pictures, Path(root))
            result[name] = {"shape": shape, **rates(Path(root), shape, chosen.rounds, cores)}
    show(result, chosen.out)


if __name__ == "__main__":
    main()
