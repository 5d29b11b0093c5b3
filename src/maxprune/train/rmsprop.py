"""RMSprop at a constant rate, as the example of PLS pruning trains."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import nn

from maxprune.train.fitting import Fitting

UNUSED = ("momentum", "warmup", "clip")


class RMSprop(Fitting):
    """RMSprop (Tieleman and Hinton 2012) at a constant rate, rate and decay as Keras 2 has them.

    As in every `Fitting` the best epoch is kept, unless `judge_every` is 0.

    Args:
        rho: share of the mean of squared gradients that is kept at a step.
        epsilon: added to its root.
    """

    batch: Annotated[int, Field(ge=1)] = 32
    rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1e-3
    momentum: Literal[0] = 0
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    clip: None = None
    rho: Annotated[float, Field(ge=0, lt=1)] = 0.9
    epsilon: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1e-7

    def optimizer(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """What takes the steps."""
        return torch.optim.RMSprop(
            parameters, self.rate, self.rho, self.epsilon, weight_decay=self.weight_decay
        )

    def about(self) -> dict[str, int | float | str]:
        """The settings that are in force, for the results."""
        return {name: value for name, value in super().about().items() if name not in UNUSED}

    def rate_at(self, iteration: int) -> float:
        """The same at every iteration."""
        return self.rate
