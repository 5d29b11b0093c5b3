"""What stays the same through one training."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_swa_avg_fn

from maxprune.data.samples import Samples
from maxprune.distributed.team import Team
from maxprune.train.config import Training
from maxprune.train.fitting import Fitting
from maxprune.train.micro import Parts
from maxprune.train.teaching import Teacher
from maxprune.train.waiting import Waiting
from maxprune.weights.assigning import FREE, Assigning
from maxprune.weights.gradual import growing_zeros
from maxprune.weights.magnitude import prunable

Tick = Callable[[int], None]


@dataclass(frozen=True)
class Watch:
    """Who is told as a training goes on.

    Attributes:
        tick: called with the number of iterations done, about every hundred.
        last: called with the network as the last iteration left it, before it becomes the mean or
            the best one.
        judge: how good the network is, on validation data; asked where the training is a `Fitting`
            that says how often.
        waiting: told how long it waits for its batches.
    """

    tick: Tick | None = None
    last: Callable[[nn.Module], None] | None = None
    judge: Callable[[nn.Module], float] | None = None
    waiting: Waiting | None = None


UNWATCHED = Watch()


@dataclass(frozen=True)
class Job:
    """What stays the same through one training; `best` is the state that was judged best."""

    model: nn.Module
    images: Samples
    training: Training
    seed: int
    optimizer: torch.optim.Optimizer
    average: AveragedModel | None
    watch: Watch
    zeros: dict[int, float]
    team: Team
    parts: Parts
    tuned: tuple[str, ...] = ()
    teacher: Teacher | None = None
    values: Assigning | None = None
    best: dict[str, Tensor] = field(default_factory=dict)

    @property
    def held_from(self) -> int:
        """The iteration from which on each weight keeps the value that it has found."""
        return int(FREE * self.training.iterations) if self.values is not None else 0

    @property
    def judge_every(self) -> int:
        """Iterations between two judgements; 0 if it is not judged."""
        if not isinstance(self.training, Fitting) or self.watch.judge is None:
            return 0
        return self.training.judge_every

    def key(self, name: str) -> str:
        """What this training is: a checkpoint is resumed by the same one only."""
        about = {
            "name": name, "seed": self.seed, "training": self.training.model_dump(),
            "images": self.images.about(),
            "tensors": {n: list(t.shape) for n, t in self.model.state_dict().items()},
            "zeros": [int((w == 0).sum()) for w in prunable(self.model)],
            "growing": list(self.zeros.items()),
        }  # fmt: skip
        about |= {"tuned": self.tuned} if self.tuned else {}
        about |= {"teacher": self.teacher.about} if self.teacher else {}
        about |= {"shared": self.values.bits} if self.values else {}
        return json.dumps(about)


def job_of(
    model: nn.Module,
    images: Samples,
    training: Training,
    seed: int,
    watch: Watch,
    zeroed: float | None,
    values: Assigning | None = None,
) -> Job:
    """A training, with what it needs.

    Args:
        model: in training mode.
        images: the training set.
        training: iterations, batch, rates.
        seed: of the order.
        watch: who is told.
        zeroed: share of all parameters to be zero at the end.
        values: those that weights find; a mean of such networks would have many, so none is taken.
    """
    optimizer = training.optimizer(p for p in model.parameters() if p.requires_grad)
    average = None
    if training.average and values is None:
        # torch's default for CUDA cannot average the integers of a batch norm.
        average = AveragedModel(model, avg_fn=get_swa_avg_fn(), use_buffers=True)
    zeros = {}
    if zeroed:
        zeros = growing_zeros(model, zeroed, training.ramp_iterations())
        training = training.model_copy(update={"rate": training.rate * training.boost})
    team = Team.of(model, images.whole(training.batch), training.compiled)
    parts = Parts(model)
    return Job(
        model, images, training, seed, optimizer, average, watch, zeros, team, parts, values=values
    )
