"""Training LeNet-5 (fc 512, batch 64): our loop beside the plainly written one, as ratios.

Plainly written: contiguous float tensors, a DataLoader, SGD, as many threads as cores. Ours: one
process with as many threads, and one single-threaded process a core, as the grids run. The three
take turns in one run, round after round; the figure is the median over rounds. Then both loops
train the same networks from the same seeds, on the same images in the same order and with the same
dropout, so that only rounding differs, and are compared on the test set.

    python3 benchmarks/training.py [--rounds 5] [--iterations 200] [--accuracy 2000] [--out FILE]

--accuracy is the iterations of the compared trainings; 0 leaves them out.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import time

import torch
import torch.nn.functional as F
from shared import options, show
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from maxprune.data import Dataset, Images, load
from maxprune.data.order import batches
from maxprune.measure import accuracy, predict
from maxprune.networks import lenet5
from maxprune.runs.environment import environment
from maxprune.train import Training, derive, train

BATCH = 64


def plain(model: nn.Module, images: Images, training: Training, seed: int) -> None:
    """The loop as a tutorial has it, with the same schedule."""
    torch.manual_seed(derive(seed, "dropout"))
    pairs = TensorDataset(images.pixels.float() / 255, images.labels)
    order = batches(len(images), BATCH, derive(seed, "order"))
    sampler = [next(order).tolist() for _ in range(training.iterations)]
    # A generator of its own, so that the loader takes nothing from the dropout's.
    loader = DataLoader(pairs, batch_sampler=sampler, generator=torch.Generator())
    optimizer = torch.optim.SGD(
        model.parameters(), training.rate, training.momentum, weight_decay=training.weight_decay
    )
    model.train()
    for iteration, (x, y) in enumerate(loader):
        for group in optimizer.param_groups:
            group["lr"] = training.rate_at(iteration)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
    model.eval()


def network(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return lenet5(fc=512)


def timed(loop: object, images: Images, training: Training, threads: int) -> float:
    """Seconds for one training, after a short one to warm up."""
    torch.set_num_threads(threads)
    short = training.model_copy(update={"iterations": 10})
    loop(network(0), images, short, 0)  # type: ignore[operator]
    started = time.perf_counter()
    loop(network(0), images, training, 0)  # type: ignore[operator]
    return time.perf_counter() - started


def _one(images: Images, training: Training, barrier: object, seconds: object) -> None:
    torch.set_num_threads(1)
    train(network(0), images, training.model_copy(update={"iterations": 10}), 0)
    barrier.wait()  # type: ignore[attr-defined]
    started = time.perf_counter()
    train(network(0), images, training, 0)
    seconds.put(time.perf_counter() - started)  # type: ignore[attr-defined]


def side_by_side(images: Images, training: Training, processes: int) -> float:
    """Seconds per training when one single-threaded process a core trains at the same time."""
    context = multiprocessing.get_context("fork")
    barrier, seconds = context.Barrier(processes), context.Queue()
    work = [
        context.Process(target=_one, args=(images, training, barrier, seconds))
        for _ in range(processes)
    ]
    for process in work:
        process.start()
    slowest = max(seconds.get() for _ in work)
    for process in work:
        process.join()
    return slowest / processes


def agreement(data: Dataset, iterations: int) -> dict[str, object]:
    """Test accuracy after both loops, and on how many test images the two networks agree."""
    training = Training(iterations=iterations, average=0)
    found: dict[str, list[float]] = {"plain": [], "ours": [], "same_answer_percent": []}
    for seed in range(3):
        answers = []
        for name, loop in (("plain", plain), ("ours", train)):
            model = network(seed)
            loop(model, data.train, training, seed)
            found[name].append(accuracy(model, data.test))
            answers.append(predict(model, data.test))
        same = (answers[0] == answers[1]).double().mean()
        found["same_answer_percent"].append(100 * float(same))
    return {"iterations": iterations, **found}


def main() -> None:
    chosen = options(__doc__, rounds=5, iterations=200, accuracy=2000)
    cores = os.cpu_count() or 1
    data = load("mnist", chosen.data)
    training = Training(iterations=chosen.iterations, average=0)
    times: dict[str, list[float]] = {"plain": [], "one process": [], "a process a core": []}
    for _ in range(chosen.rounds):
        # The processes come first: forking is only safe before this process starts its threads.
        torch.set_num_threads(1)
        times["a process a core"].append(side_by_side(data.train, training, cores))
        times["plain"].append(timed(plain, data.train, training, cores))
        times["one process"].append(timed(train, data.train, training, cores))
    images = chosen.iterations * BATCH
    result = {
        "benchmark": "training", "network": "lenet5 fc=512", "batch": BATCH,
        "environment": environment(cores),
        "images_per_second": {n: images / statistics.median(t) for n, t in times.items()},
        "ratio_to_plain": {
            name: statistics.median(p / o for p, o in zip(times["plain"], own, strict=True))
            for name, own in times.items()
        },
        "ratios_by_round": {
            name: [p / o for p, o in zip(times["plain"], own, strict=True)]
            for name, own in times.items()
        },
    }  # fmt: skip
    if chosen.accuracy:
        torch.set_num_threads(cores)
        result["equal_training"] = agreement(data, chosen.accuracy)
    show(result, chosen.out)


if __name__ == "__main__":
    main()
