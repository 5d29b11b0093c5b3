"""The training loop.

Fast on a CPU: images stay bytes in memory and a batch is gathered and converted at once, without
worker processes; weights are kept in channels-last memory; the optimizer is fused.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.swa_utils import AveragedModel

from maxprune.data.images import Images
from maxprune.errors import TrainingDiverged
from maxprune.modes import device_of
from maxprune.train.checkpoint import Progress, read_checkpoint, write_checkpoint
from maxprune.train.config import Training
from maxprune.train.order import batches, derive
from maxprune.weights.magnitude import hold_zeros

Tick = Callable[[int], None]
LOG_EVERY = 100
AVERAGE_EVERY = 10


@dataclass(frozen=True)
class Checkpoints:
    """Where a training keeps its checkpoint, how often, and under which name."""

    path: Path
    every: int = 1000
    key: str = ""


def train(
    model: nn.Module,
    images: Images,
    training: Training,
    seed: int = 0,
    checkpoints: Checkpoints | None = None,
    tick: Tick | None = None,
    last: Callable[[nn.Module], None] | None = None,
) -> Progress:
    """Train a classifier in place by cross entropy; weights that are zero stay zero.

    Args:
        model: a network that gives one output per class; trained where it lives.
        images: the training set.
        training: iterations, batch, rates.
        seed: decides the order of images and dropout. Equal seeds give equal networks on the
            same machine with the same number of threads.
        checkpoints: where to resume from and to write to; the file is removed at the end.
        tick: called with the number of iterations done, about every hundred.
        last: called with the network as the last iteration left it, before it becomes the mean.

    Returns:
        The mean training loss over each stretch of a hundred iterations.

    Raises:
        TrainingDiverged: the loss is no longer finite; the last good checkpoint stays.
        StoreError: the checkpoint to resume from is damaged.
    """
    device = device_of(model)
    images = images.to(device) if device.type == "cuda" else images
    model.train()
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.SGD(
        model.parameters(), training.rate, training.momentum,
        weight_decay=training.weight_decay, fused=True,
    )  # fmt: skip
    torch.manual_seed(derive(seed, "dropout"))
    average = AveragedModel(model, use_buffers=True) if training.average else None
    progress = Progress()
    if checkpoints is not None:
        progress = read_checkpoint(checkpoints.path, model, optimizer, average, checkpoints.key)
    job = _Job(model, images, training, seed, optimizer, average, tick)
    with hold_zeros(model):
        while progress.iteration < training.iterations:
            stop = _next_stop(progress.iteration, training, checkpoints)
            progress = _stretch(job, progress, stop)
            if checkpoints is not None and stop < training.iterations:
                write_checkpoint(
                    checkpoints.path, model, optimizer, average, progress, checkpoints.key
                )
    if last is not None:
        last(model.eval())
    if average is not None:
        model.load_state_dict(average.module.state_dict())
    if checkpoints is not None:
        checkpoints.path.unlink(missing_ok=True)
    model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    model.eval()
    return progress


def _next_stop(iteration: int, training: Training, checkpoints: Checkpoints | None) -> int:
    if checkpoints is None:
        return training.iterations
    every = max(LOG_EVERY, checkpoints.every // LOG_EVERY * LOG_EVERY)
    return min(training.iterations, (iteration // every + 1) * every)


@dataclass(frozen=True)
class _Job:
    """What stays the same through one training."""

    model: nn.Module
    images: Images
    training: Training
    seed: int
    optimizer: torch.optim.Optimizer
    average: AveragedModel | None
    tick: Tick | None


def _stretch(job: _Job, progress: Progress, stop: int) -> Progress:
    """Train up to iteration `stop`."""
    model, images, training, optimizer = job.model, job.images, job.training, job.optimizer
    device = device_of(model)
    order = batches(len(images), training.batch, derive(job.seed, "order"), progress.iteration)
    points, losses = list(progress.iterations), list(progress.loss)
    first_averaged = training.iterations * (1 - training.average)
    total, since = torch.zeros((), device=device), progress.iteration
    for iteration in range(progress.iteration, stop):
        for group in optimizer.param_groups:
            group["lr"] = training.rate_at(iteration)
        x, y = images.batch(next(order), device)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        total += loss.detach()
        done = iteration + 1
        if (
            job.average is not None
            and done > first_averaged
            and (done % AVERAGE_EVERY == 0 or done == training.iterations)
        ):
            job.average.update_parameters(model)
        if done % LOG_EVERY == 0 or done == stop:
            mean = float(total) / (done - since)
            if not math.isfinite(mean):
                raise TrainingDiverged(
                    f"the loss is {mean} between iterations {since} and {done}; "
                    f"lower the learning rate (now {training.rate_at(iteration):.2g})"
                )
            points.append(done)
            losses.append(mean)
            total.zero_()
            since = done
            if job.tick is not None:
                job.tick(done)
    return Progress(stop, tuple(points), tuple(losses))
