"""The training loop.

Fast on a CPU: images stay bytes in memory and a batch is gathered and converted at once, without
worker processes; weights are kept in channels-last memory; the optimizer is fused.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from maxprune.data.images import Batch
from maxprune.data.order import derive
from maxprune.data.samples import Samples
from maxprune.distributed.world import world
from maxprune.errors import TrainingDiverged, UsageError, first_line
from maxprune.faults import in_one_line
from maxprune.modes import device_of, evaluating
from maxprune.plural import kind_of
from maxprune.train.checkpoint import (
    Progress,
    before,
    read_checkpoint,
    remove_checkpoint,
    write_checkpoint,
)
from maxprune.train.config import Training
from maxprune.train.fits import check_fits, refusal
from maxprune.train.fitting import Fitting
from maxprune.train.job import UNWATCHED, Job, Watch, job_of
from maxprune.train.precision import in_precision
from maxprune.train.teaching import Teacher
from maxprune.train.tuning import tuning
from maxprune.weights.assigning import assigning
from maxprune.weights.dropout import scaled_dropout
from maxprune.weights.magnitude import hold_zeros, prunable, zero_below, zero_plan
from maxprune.weights.sharing import hold_shared

TICK_EVERY = 100  # iterations


@dataclass(frozen=True)
class Checkpoints:
    """Where a training keeps its checkpoint, how often, and under which name."""

    path: Path
    every: int = 1000
    key: str = ""


def train(
    model: nn.Module,
    images: Samples,
    training: Training,
    seed: int = 0,
    checkpoints: Checkpoints | None = None,
    watch: Watch = UNWATCHED,
    zeroed: float | None = None,
    tuned: Sequence[str] = (),
    teacher: Teacher | None = None,
    shared: int | None = None,
) -> Progress:
    """Train a classifier in place by the training's loss; weights that are zero stay zero.

    With `zeroed`, the smallest weights become zero while it trains: the share of zeros grows by a
    cubic from what it is to `zeroed` over the first iterations (Zhu and Gupta 2017, eq. 1), as
    the training's `ramp`, `boost` and `scale_dropout` say.

    With `shared`, the weights of each layer find 2^shared values while it trains
    (`weights.assigning`); over the last iterations each keeps its own, and only the values move.

    Args:
        model: a network that gives one output per class; trained where it lives, and left in
            evaluation mode.
        images: the training set.
        training: iterations, batch, rates.
        seed: decides the order of images and dropout. Equal seeds give equal networks on the
            same machine with the same number of threads.
        checkpoints: where to resume from and to write to; the file is removed at the end. The
            checkpoint of another training (name, seed, settings, shapes, zeros) is written over, a
            damaged one is set aside; then the training goes on from the one before, which is kept
            beside it, or starts from its beginning.
        watch: who is told as it goes on.
        zeroed: share of all parameters to be zero at the end, in [0, 1); None or 0 zeroes
            nothing.
        tuned: the modules that are trained, by name, with all that is in them. The others keep
            their weights and the means of their batch norms, and their dropout is off; () trains
            all.
        teacher: a network whose answers are learned, too.
        shared: bits of the number of a weight's value, 1 to 12; None shares none.

    Returns:
        The mean training loss over each stretch of a hundred iterations.

    Raises:
        UsageError: there are no images, the network does not fit them, there is nothing of a
            tuned name to train, the share of zeros is outside [0, 1) or takes every weight, or the
            bits are out of their range.
        TrainingDiverged: the loss or a weight is no longer finite; the last good checkpoint stays.
        OutOfMemory: a step does not fit in memory, not in parts either (`train.micro`).
        DataError: a loader fails, or a process of it died.
        StoreError: the checkpoint to resume from cannot be read.
        OutputError: a checkpoint cannot be written.
    """
    device = device_of(model)
    cuda = device.type == "cuda"
    images = images.to(device) if cuda else images
    checkpoints = _mirrored(checkpoints)
    with (
        torch.random.fork_rng(devices=[device] if cuda else []),
        _in_training(model, images),
        _channels_last(teacher.network, images) if teacher else contextlib.nullcontext(),
        tuning(model, tuned),
        assigning(model, shared) as values,
    ):
        torch.manual_seed(derive(seed, "dropout"))
        job = replace(
            job_of(model, images, training, seed, watch, zeroed, values), tuned=tuple(tuned),
            teacher=teacher,
        )  # fmt: skip
        left = 1 - zeroed if zeroed and training.scale_dropout else 1.0
        with scaled_dropout(model, left), in_one_line("in training"):
            progress = _run(job, checkpoints)
        if watch.last is not None:
            watch.last(model.eval())
        if job.average is not None:
            model.load_state_dict(job.average.module.state_dict())
        if job.best:
            model.load_state_dict(job.best)
    if checkpoints is not None:
        remove_checkpoint(checkpoints.path)
    return progress


def _mirrored(checkpoints: Checkpoints | None) -> Checkpoints | None:
    """The same checkpoint in every process."""
    if checkpoints is None:
        return None
    path = world().own(checkpoints.path)
    for place in (path, before(path)):
        world().mirror(place)
    return replace(checkpoints, path=path)


@contextlib.contextmanager
def _in_training(model: nn.Module, images: Samples) -> Iterator[None]:
    """Training mode and the faster memory; evaluation mode and the usual one afterwards."""
    with _channels_last(model, images) as fits:
        if not fits:
            check_fits(model, images)
        try:
            model.train()
            yield
        finally:
            model.eval()


@contextlib.contextmanager
def _channels_last(model: nn.Module, images: Samples) -> Iterator[bool]:
    """Channels-last memory, which is faster, and whether the network runs in it.

    One that does not (that uses `view` behind a convolution) keeps the usual one.
    """
    try:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        fits = refusal(model, images) is None
        if not fits:
            model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        yield fits
    finally:
        model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]


def _run(job: Job, checkpoints: Checkpoints | None) -> Progress:
    """Train to the end, from the checkpoint if there is one."""
    parts = job.model, job.optimizer, job.average
    progress, key = Progress(), ""
    if checkpoints is not None:
        key = job.key(checkpoints.key)
        progress = read_checkpoint(checkpoints.path, *parts, key, job.best)
        job.parts.count = progress.parts
    order = derive(job.seed, "order")
    device = device_of(job.model)
    start, part = progress.iteration, job.team.part
    stream = job.images.stream(job.training.batch, order, start, device, part)
    stream = stream if job.watch.waiting is None else job.watch.waiting.through(stream)
    while progress.iteration < job.training.iterations and not _is_over(job, progress):
        if progress.iteration in job.zeros:
            _zero(job, job.zeros[progress.iteration])
        stop = _next_stop(progress.iteration, job, checkpoints)
        with hold_zeros(job.model), _held_values(job, progress.iteration):
            progress = _stretch(job, progress, stop, stream)
        _check_finite(job, stop)
        progress = _judged(job, progress)
        if checkpoints is not None and stop < job.training.iterations and job.team.world.leads:
            write_checkpoint(checkpoints.path, *parts, progress, key, job.best)
    return progress


@contextlib.contextmanager
def _held_values(job: Job, iteration: int) -> Iterator[None]:
    """From where on weights keep their value, the values alone are trained."""
    if job.values is None or iteration < job.held_from:
        yield
        return
    if iteration == job.held_from:
        job.values.settle()
        job.optimizer.state.clear()  # or equal weights would part
    with hold_shared(job.model):
        yield


def _judged(job: Job, progress: Progress) -> Progress:
    """Judge the network if it is time to, and keep the best; not while zeros or values change."""
    every, done = job.judge_every, progress.iteration
    growing = any(iteration >= done for iteration in job.zeros) or done <= job.held_from
    if job.watch.judge is None or not every or growing:
        return progress
    if done % every and done != job.training.iterations:
        return progress
    with evaluating(job.model):
        score = job.watch.judge(job.model)
    if not progress.judged or score > max(progress.judged):
        job.best.update({n: t.detach().clone() for n, t in job.model.state_dict().items()})
    return replace(progress, judged=(*progress.judged, score))


def _is_over(job: Job, progress: Progress) -> bool:
    """Whether the training ends early, since none of the last networks was better."""
    return isinstance(job.training, Fitting) and progress.since_best() >= job.training.patience


def _next_stop(iteration: int, job: Job, checkpoints: Checkpoints | None) -> int:
    """The next iteration at which a checkpoint is written, more weights go, or all is done."""
    changes = [*job.zeros, job.held_from]
    stops = [job.training.iterations, *(i for i in changes if i > iteration)]
    if checkpoints is not None:
        every = max(TICK_EVERY, checkpoints.every // TICK_EVERY * TICK_EVERY)
        stops.append((iteration // every + 1) * every)
    if job.judge_every:
        stops.append((iteration // job.judge_every + 1) * job.judge_every)
    return min(stops)


def _zero(job: Job, share: float) -> None:
    """Zero the smallest weights up to a share of all parameters, and their momentum with them."""
    zero_below(job.model, zero_plan(job.model, share).threshold)
    for weight in prunable(job.model):
        for state in job.optimizer.state.get(weight, {}).values():
            if isinstance(state, Tensor) and state.shape == weight.shape:
                state.masked_fill_(weight.detach() == 0, 0.0)


def _stretch(job: Job, progress: Progress, stop: int, stream: Iterator[Batch]) -> Progress:
    """Train up to iteration `stop`."""
    model, training, optimizer = job.model, job.training, job.optimizer
    device = device_of(model)
    points, losses = list(progress.iterations), list(progress.loss)
    total, since = torch.zeros((), device=device), progress.iteration
    for iteration in range(progress.iteration, stop):
        for group in optimizer.param_groups:
            group["lr"] = training.rate_at(iteration)
        x, y = next(stream)
        optimizer.zero_grad()
        values = job.values if iteration < job.held_from else None
        with values.at_values() if values is not None else contextlib.nullcontext():
            loss = job.parts.backward(x, y, partial(_loss, job, iteration))
        if isinstance(training, Fitting) and training.clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), training.clip)
        optimizer.step()
        total += loss
        done = iteration + 1
        if job.average is not None and training.is_averaged(done):
            job.average.update_parameters(model)
        if done % TICK_EVERY == 0 or done == stop:
            mean = job.team.mean(total) / (done - since)
            if not math.isfinite(mean):
                raise _diverged(job, f"the loss is {mean} between iterations {since} and", done)
            points.append(done)
            losses.append(mean)
            total.zero_()
            since = done
            if job.watch.tick is not None:
                job.watch.tick(done)
    return Progress(stop, tuple(points), tuple(losses), progress.judged, job.parts.count)


def _loss(job: Job, iteration: int, x: Tensor, y: Tensor) -> Tensor:
    """The loss of a batch; of several processes its mean over them is that of the whole batch."""
    precision = in_precision(job.training.precision, device_of(job.model))
    with precision, job.team.step(len(y)) as weight:
        outputs = _outputs(job.team.forward, x)
    outputs = outputs.float() if outputs.dtype == torch.bfloat16 else outputs
    loss = job.training.loss(outputs, y, iteration)
    if job.teacher is not None:
        with in_precision(job.training.precision, device_of(job.model)):
            loss = job.teacher.loss(outputs, x, loss)
    return loss * weight


def _outputs(model: nn.Module, x: Tensor) -> Tensor:
    try:
        out: Tensor = model(x)
    except ValueError as error:  # a batch norm over a single value
        raise UsageError(
            f"the network cannot be trained on a batch of {len(x)}: {first_line(error)}; a loader "
            "may drop its last batch (drop_last=True)"
        ) from error
    if not isinstance(out, Tensor):
        raise UsageError(
            f"in training the network gives {kind_of(out)}, not a row of outputs for each "
            "sample; train it by your own function (fit)"
        )
    return out


def _check_finite(job: Job, done: int) -> None:
    """Refuse weights that the last step has ruined: no loss has been computed with them yet."""
    for name, tensor in job.model.state_dict().items():
        if not bool(tensor.isfinite().all()):
            raise _diverged(job, f"{name} is not finite after iteration", done)


def _diverged(job: Job, what: str, done: int) -> TrainingDiverged:
    rate = job.training.rate_at(done - 1)
    how = " or the boost" if job.zeros else ""
    return TrainingDiverged(f"{what} {done}; lower the learning rate{how} (now {rate:.2g})")
