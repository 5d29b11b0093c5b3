"""Accuracy at equal parameters: ours beside Torch-Pruning's pruners, on CIFAR-10.

A VGG-like network (conv 16-16, pool, conv 32-32, pool, fc 512) is trained once a seed. Then each
method takes it down the same six sizes, those of a maxout with k = 4 behind fc1 and one with k = 2
behind conv2_2, with the same retraining after each step: Torch-Pruning's magnitude (L2 over a
group) and Taylor importances with its global pruning, our magnitude with our planner, and maxout
wins. A control has the last architecture of the maxout from random weights, trained for as many
epochs as all steps together. Nothing is chosen on the test set: all settings are the defaults of
`maxprune compress`, and early stopping looks at held out training pictures.

What is done is kept in --work, so that a killed run goes on. One process a seed, one thread each.

    python3 benchmarks/pruners.py [--epochs 20] [--retrain 2] [--seeds 3] [--out FILE]
"""

from __future__ import annotations

import copy
import multiprocessing
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
import torch_pruning as tp
from shared import options, show
from torch import nn

from maxprune import (
    apply,
    channel_groups,
    count_wins,
    least_winning,
    load,
    lowest,
    magnitude,
    maxout_plan,
    save,
)
from maxprune.data.samples import Splits
from maxprune.data.spec import DataOptions, open_data
from maxprune.errors import UsageError
from maxprune.files import read_json, write_json
from maxprune.measure import accuracy, correct, macs, parameters, randomization_test
from maxprune.networks import vgg_small
from maxprune.runs.environment import environment
from maxprune.train import Checkpoints, Fitting, Watch, derive, train

PLACES = (("fc1", 4), ("conv2_2", 2))
TAYLOR_BATCHES = 20
METHODS = ("maxout wins", "magnitude", "torch-pruning magnitude", "torch-pruning taylor", "control")


@dataclass(frozen=True)
class Work:
    """One seed: how it is trained, and where it is kept."""

    seed: int
    epochs: int
    retrain: int
    work: Path
    root: Path | None
    digits: bool


def fitted(model: nn.Module, data: Splits, work: Work, name: str, epochs: int) -> float:
    """Train in place by the default of `maxprune compress`; seconds that it took."""
    started = time.perf_counter()
    rate = 0.05 if name in ("unpruned", "control") else 0.02
    fitting = Fitting.of_epochs(epochs, len(data.train), rate=rate)
    watch = Watch(judge=lambda network: accuracy(network, data.validation))
    place = Checkpoints(work.work / f"{work.seed}-{name}.part", key=name)
    train(model, data.train, fitting, derive(work.seed, name), place, watch)
    return time.perf_counter() - started


def sizes(model: nn.Module) -> list[int]:
    """The parameters after every step of the maxout."""
    found = []
    for layer, k in PLACES:
        model = apply(model, maxout_plan(layer, k))
        found.append(parameters(model))
        for inputs in range(k, 1, -1):
            units = model.get_submodule(layer).weight.shape[0] // inputs
            model = apply(model, least_winning(layer, torch.zeros(units, inputs)))
            found.append(parameters(model))
    return found


def by_maxout(model: nn.Module, step: int, data: Splits, target: int) -> nn.Module:
    """The step of that number, from 0, on the way through the places."""
    for layer, k in PLACES:
        if step == 0:
            return apply(model, maxout_plan(layer, k))
        if step < k:
            inputs = (x for x, _ in data.train.batches(1000))
            return apply(model, least_winning(layer, count_wins(model, layer, inputs).wins))
        step -= k
    raise ValueError("no such step")


def by_magnitude(model: nn.Module, step: int, data: Splits, target: int) -> nn.Module:
    """The largest network with at most so many parameters, by our magnitude and planner."""
    groups = channel_groups(model, torch.randn(2, *data.input_shape))
    scores = magnitude(model, groups)

    def cut(share: float) -> nn.Module:
        try:
            return apply(model, lowest(groups, scores, share))
        except UsageError:  # less than a channel
            return model

    return largest(cut, target)


def by_torch_pruning(importance: Callable[[], Any], taylor: bool) -> Callable[..., nn.Module]:
    """A step of Torch-Pruning's own pruner, its ratio the smallest that meets the size."""

    def step_of(model: nn.Module, step: int, data: Splits, target: int) -> nn.Module:
        gradients = loss_gradients(model, data) if taylor else {}
        x = torch.randn(2, *data.input_shape)

        def cut(share: float) -> nn.Module:
            smaller = copy.deepcopy(model)
            for name, parameter in smaller.named_parameters():
                parameter.grad = gradients[name].clone() if name in gradients else None
            pruner = tp.pruner.BasePruner(
                smaller, (x,), importance=importance(), global_pruning=True, pruning_ratio=share,
                ignored_layers=[smaller.get_submodule("output")], max_pruning_ratio=0.95,
            )  # fmt: skip
            pruner.step()
            smaller.zero_grad()
            return smaller

        return largest(cut, target)

    return step_of


def loss_gradients(model: nn.Module, data: Splits) -> dict[str, torch.Tensor]:
    """The gradients of the loss over some training batches, as Torch-Pruning's examples do."""
    model = copy.deepcopy(model).eval()
    stream = data.train.stream(128, 0)
    for _ in range(TAYLOR_BATCHES):
        x, y = next(stream)
        F.cross_entropy(model(x), y).backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def largest(cut: Callable[[float], nn.Module], target: int) -> nn.Module:
    """The largest of the cut networks with at most so many parameters, by bisection."""
    low, high = 0.0, 0.98
    best = cut(high)
    for _ in range(12):
        middle = (low + high) / 2
        model = cut(middle)
        if parameters(model) <= target:
            high, best = middle, model
        else:
            low = middle
    return best


STEPS: dict[str, Callable[..., nn.Module]] = {
    "maxout wins": by_maxout,
    "magnitude": by_magnitude,
    "torch-pruning magnitude": by_torch_pruning(
        lambda: tp.importance.GroupMagnitudeImportance(p=2), taylor=False
    ),
    "torch-pruning taylor": by_torch_pruning(tp.importance.GroupTaylorImportance, taylor=True),
}


def compared(work: Work) -> list[dict[str, Any]]:
    """One seed: every method at every size."""
    torch.set_num_threads(1)
    name = "digits" if work.digits else "cifar10"
    data = open_data(name, DataOptions(root=work.root, seed=work.seed))
    shape = {"colours": data.input_shape[0], "size": data.input_shape[1]}
    torch.manual_seed(derive(work.seed, "initial"))
    start = vgg_small(**shape)
    kept = work.work / f"{work.seed}-unpruned"
    if kept.exists():
        start = load(kept)
    else:
        fitted(start, data, work, "unpruned", work.epochs)
        save(start, kept)
    right = correct(start, data.test or data.validation)
    targets = sizes(start)
    rows = [row(work, "unpruned", 0, start, data, right, 0.0)]
    print(rows[-1], flush=True)
    for method in METHODS:
        file = work.work / f"{work.seed}-{method.replace(' ', '-')}.json"
        if not file.exists():
            write_json(file, one_method(method, start, targets, data, work, right))
        rows += read_json(file)
    return rows


def one_method(
    method: str, start: nn.Module, targets: list[int], data: Splits, work: Work, right: Any
) -> list[dict[str, Any]]:
    """All steps of one method."""
    rows = []
    if method == "control":
        model = start
        for step in range(len(targets)):
            model = by_maxout(model, step, Untrained(data), 0)
        torch.manual_seed(derive(work.seed, "control"))
        for module in model.modules():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()
        epochs = work.epochs + work.retrain * len(targets)
        seconds = fitted(model, data, work, "control", epochs)
        return [row(work, method, len(targets), model, data, right, seconds)]
    model = start
    for step, target in enumerate(targets):
        model = STEPS[method](model, step, data, target)
        seconds = fitted(model, data, work, f"{method}-{step}", work.retrain)
        rows.append(row(work, method, step + 1, model, data, right, seconds))
        print(rows[-1], flush=True)
    return rows


class Untrained:
    """Data whose training set is its validation set: enough to have some wins."""

    def __init__(self, data: Splits) -> None:
        self.train, self.input_shape = data.validation, data.input_shape


def row(
    work: Work, method: str, step: int, model: nn.Module, data: Splits, right: Any, seconds: float
) -> dict[str, Any]:
    """What was measured of one network."""
    now = correct(model, data.test or data.validation)
    return {
        "seed": work.seed, "method": method, "step": step, "parameters": parameters(model),
        "macs": macs(model, data.input_shape), "accuracy": 100 * float(now.double().mean()),
        "p_value": randomization_test(now, right), "seconds": round(seconds, 1),
    }  # fmt: skip


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean and standard deviation over the seeds of every method at every step."""
    found = []
    for method, step in dict.fromkeys((r["method"], r["step"]) for r in rows):
        same = [r for r in rows if (r["method"], r["step"]) == (method, step)]
        accuracies = torch.tensor([r["accuracy"] for r in same], dtype=torch.float64)
        found.append(
            {
                "method": method, "step": step,
                "parameters": sorted({r["parameters"] for r in same}),
                "macs": sum(r["macs"] for r in same) // len(same),
                "mean": float(accuracies.mean()),
                "spread": float(accuracies.std()) if len(same) > 1 else None,
                "p_values": [r["p_value"] for r in same],
            }
        )  # fmt: skip
    return found


def main() -> None:
    chosen = options(__doc__, epochs=20, retrain=2, seeds=3, digits=0)
    folder = Path("pruners-work" if chosen.out is None else f"{chosen.out}.work")
    folder.mkdir(parents=True, exist_ok=True)
    work = [
        Work(seed, chosen.epochs, chosen.retrain, folder, chosen.data, bool(chosen.digits))
        for seed in range(chosen.seeds)
    ]
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        rows = [row for found in pool.map(compared, work, chunksize=1) for row in found]
    result = {
        "benchmark": "pruners at equal parameters", "torch-pruning": tp.__version__,
        "dataset": "digits" if chosen.digits else "cifar10 (JPEG copy)",
        "epochs": chosen.epochs, "retrain": chosen.retrain,
        "environment": environment(1), "summary": summary(rows), "rows": rows,
    }  # fmt: skip
    show({k: v for k, v in result.items() if k not in ("rows", "summary")}, None)
    for line in result["summary"]:
        print(line)
    if chosen.out:
        write_json(chosen.out, result)


if __name__ == "__main__":
    main()
