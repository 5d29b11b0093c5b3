"""How a network is trained, as a frozen record."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, ClassVar, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor, nn

from maxprune.records import Settings

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]

Precision = Literal["float32", "bfloat16"]

AVERAGE_EVERY = 10


class Training(Settings):
    """Stochastic gradient descent with momentum and Caffe's `inv` rate.

    At iteration i the learning rate is rate * (1 + gamma * i) ^ -power. Iterations, batch and rate
    are the paper's by default (Moya Rueda et al. 2017, section 5.1). The paper has no `average`,
    and zeroes weights otherwise: see `PAPER`.

    Args:
        iterations: steps of one training; each retraining starts the schedule again.
        batch: images a step.
        rate: learning rate at the first step.
        momentum: share of the last step that is kept.
        weight_decay: L2 penalty on weights and biases.
        gamma: how fast the rate falls.
        power: with which exponent.
        average: the trained network is the mean of the weights over this last share of the
            iterations (Polyak and Juditsky 1992); 0 takes the last iteration's weights. The
            steps of the training are the same.
        ramp: where weights are pruned, they go to zero little by little over this first share of
            the iterations (Zhu and Gupta 2017), at most until the mean begins; 0 zeroes them all
            before the first iteration.
        boost: where weights are pruned, the rate is this many times `rate`.
        precision: in which numbers most of a step is computed: "bfloat16" is faster on GPUs, and on
            CPUs that know it (`measured_precision`); weights and what is added up to them stay
            float32 in either (Micikevicius et al. 2018).
        compiled: the network is compiled by `torch.compile`, which may save time on a GPU
            (`measured_compiling`); where several processes train together it is not.
        scale_dropout: where weights are pruned, dropout shrinks with the connections left (Han
            et al. 2015, section 3.2).
    """

    nesterov: ClassVar[bool] = False

    iterations: Annotated[int, Field(ge=1)] = 10_000
    batch: Annotated[int, Field(ge=1)] = 64
    rate: Positive = 0.01
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: NotNegative = 5e-4
    gamma: NotNegative = 1e-4
    power: NotNegative = 0.75
    average: Annotated[float, Field(ge=0, le=1)] = 0.5
    ramp: Annotated[float, Field(ge=0, le=1)] = 0.5
    boost: Positive = 1.0
    scale_dropout: bool = True
    precision: Precision = "float32"
    compiled: bool = False

    def optimizer(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """What takes the steps; its rate is set before each."""
        return torch.optim.SGD(
            parameters, self.rate, self.momentum, weight_decay=self.weight_decay,
            nesterov=self.nesterov and self.momentum > 0, fused=True,
        )  # fmt: skip

    def loss(
        self, outputs: Float[Tensor, "b classes"], y: Int[Tensor, " b"], iteration: int
    ) -> Float[Tensor, ""]:
        """What is made small: the cross entropy.

        Args:
            outputs: of the network, a row a sample.
            y: the classes.
            iteration: counted from 0.
        """
        return F.cross_entropy(outputs, y)

    def about(self) -> dict[str, int | float | str]:
        """The settings that are in force, for the results."""
        return {name: value for name, value in self.model_dump().items() if value is not None}

    def rate_at(self, iteration: int) -> float:
        """The learning rate at an iteration, counted from 0."""
        return float(self.rate * (1 + self.gamma * iteration) ** -self.power)

    def is_averaged(self, done: int) -> bool:
        """Whether the weights after `done` iterations are part of the mean.

        They are at every tenth iteration of the last share, and at the last one.
        """
        if not self.average:
            return False
        return done == self.iterations or (
            done > self._before_the_mean() and done % AVERAGE_EVERY == 0
        )

    def ramp_iterations(self) -> int:
        """Over how many iterations the share of zeros grows; the mean is of what comes after."""
        return min(int(self.iterations * self.ramp), self._before_the_mean())

    def _before_the_mean(self) -> int:
        if not self.average:
            return self.iterations
        return self.iterations - max(1, round(self.iterations * self.average))


PAPER = Training(average=0, ramp=0, boost=1, scale_dropout=False)
"""The paper's training to the letter."""
