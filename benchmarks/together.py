"""Training LeNet-5 (fc 512) by several processes together, against one process, as ratios.

By torchrun, 64 images in each process a step, one thread each; the same without a word between
them, which no way of training together can be faster than; then the first process alone, with as
many threads as there are processes, at the same global batch and at 64. The ways take turns in
one run, round after round, while the others wait; the figure is the median over rounds. Then the
network with its maxout is trained for --iterations steps together and alone, on the same images in
the same order with the same dropout, the wins of its neurons are counted together and alone, and
the plans are compared.

    torchrun --nproc-per-node 2 benchmarks/together.py [--rounds 5] [--iterations 100] [--out FILE]
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable

import torch
from shared import options, show
from torch import nn

from maxprune.data import Images, load
from maxprune.distributed import World, launched
from maxprune.distributed.world import ALONE, enter, leave
from maxprune.modes import best_device
from maxprune.networks import lenet5
from maxprune.plan import maxout_plan
from maxprune.runs.environment import environment
from maxprune.scores import count_wins
from maxprune.scores.named import every
from maxprune.surgery import apply
from maxprune.train import Training, train
from maxprune.units import least_winning

EACH = 64
LAYER = "fc1"


def network() -> nn.Module:
    torch.manual_seed(0)
    return apply(lenet5(fc=512, dropout="fc"), maxout_plan(LAYER, 4)).to(best_device())


def trained(images: Images, batch: int, iterations: int) -> nn.Module:
    model = network()
    train(model, images, Training(iterations=iterations, batch=batch, average=0), 0)
    return model


def seconds(work: Callable[[], object]) -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    started = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started


def alone(world: World, work: Callable[[], object]) -> float:
    """Seconds of the first process by itself, with a thread for each process."""
    found = 0.0
    if world.leads:
        enter(ALONE)
        torch.set_num_threads(world.size)
        found = seconds(work)
        torch.set_num_threads(1)
        leave()
    return float(world.told(found))


def each(world: World, work: Callable[[], object]) -> float:
    """Seconds of the slowest process where each works for itself, all at once."""
    world.told(None)
    enter(ALONE)
    found = seconds(work)
    leave()
    return max(float(one) for one in world.gathered(torch.tensor([found])))


def compared(world: World, images: Images, iterations: int) -> dict[str, object]:
    """Wins and plans of the same network counted together and alone, and of two trainings."""
    batch = EACH * world.size
    together = trained(images, batch, iterations)
    by_all = count_wins(together, LAYER, *every(images))
    enter(ALONE)
    by_one = count_wins(together, LAYER, *every(images))
    by_itself = trained(images, batch, iterations)
    its_own = count_wins(by_itself, LAYER, *every(images))
    leave()
    apart = max(
        float((a - b).detach().abs().max())
        for a, b in zip(together.parameters(), by_itself.parameters(), strict=True)
    )
    return {
        "wins counted together and alone are equal": bool(torch.equal(by_all.wins, by_one.wins)),
        "plans of the two trainings are equal": (
            least_winning(LAYER, by_all.wins) == least_winning(LAYER, its_own.wins)
        ),
        "units whose plan differs": int((by_all.wins.argmin(1) != its_own.wins.argmin(1)).sum()),
        "units": len(by_all.wins),
        "largest difference of a weight between the trainings": apart,
    }


def measured(world: World, rounds: int, iterations: int, images: Images) -> dict[str, object]:
    batch = EACH * world.size
    trained(images, batch, 10)
    ways = ("together", "each for itself", "alone", "alone, batch 64")
    found: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        found["each for itself"].append(
            batch * iterations / each(world, lambda: trained(images, EACH, iterations))
        )
        found["together"].append(
            batch * iterations / seconds(lambda: trained(images, batch, iterations))
        )
        found["alone"].append(
            batch * iterations / alone(world, lambda: trained(images, batch, iterations))
        )
        found["alone, batch 64"].append(
            EACH * iterations / alone(world, lambda: trained(images, EACH, iterations))
        )
    return {
        "processes": world.size,
        "images a second together": statistics.median(found["together"]),
        "images a second, each for itself": statistics.median(found["each for itself"]),
        "images a second alone": statistics.median(found["alone"]),
        "images a second alone, batch 64": statistics.median(found["alone, batch 64"]),
        "together over alone": statistics.median(
            a / b for a, b in zip(found["together"], found["alone"], strict=True)
        ),
        "together over alone, batch 64": statistics.median(
            a / b for a, b in zip(found["together"], found["alone, batch 64"], strict=True)
        ),
        "rounds": found,
    }


def main() -> None:
    asked = options(__doc__, rounds=5, iterations=100)
    torch.set_num_threads(1)
    with launched() as world:
        images = load("mnist", asked.data).train
        result = measured(world, asked.rounds, asked.iterations, images)
        result |= compared(world, images, asked.iterations)
        result["environment"] = environment(1) | {"cores": str(os.cpu_count())}
        if world.leads:
            show(result, asked.out)


if __name__ == "__main__":
    main()
