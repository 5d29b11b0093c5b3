"""Training with a margin between the classes, for networks that are to tell new classes apart."""

from __future__ import annotations

from typing import Annotated

import torch.nn.functional as F
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from maxprune.train.adam import Adam
from maxprune.train.fitting import Fitting


class MarginFitting(Fitting):
    """A `Fitting` in which the right class has to win by a margin (Wang et al. 2018, eq. 4).

    The margin is taken from the right class's output before the cross entropy, so classes move
    further apart than it takes to tell them apart. It rises from zero: at first no class wins.

    Args:
        margin: taken from the right class's output at the end, in the unit of the outputs: for
            `networks.Cosine` a cosine times its scale.
        margin_rise: share of the iterations over which the margin rises.
        smoothing: share of the target that goes to all classes alike.
        taught: how much the distance counts from what a teacher says of the right class; 0 where
            there is no teacher. Where there is one the network ends in a `networks.TaughtCosine`.
    """

    margin: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 6.0
    margin_rise: Annotated[float, Field(ge=0, le=1)] = 0.5
    smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    taught: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0

    def loss(
        self, outputs: Float[Tensor, "b classes"], y: Int[Tensor, " b"], iteration: int
    ) -> Float[Tensor, ""]:
        """The cross entropy with as much of the margin as is in force by now, and the teacher."""
        away: Tensor | float = 0.0
        if self.taught:
            outputs, near = outputs.chunk(2, 1)
            away = self.taught * (1 - near.gather(1, y[:, None])).mean()
        risen = self.margin_rise * self.iterations
        margin = self.margin * min(1.0, iteration / risen) if risen else self.margin
        right = F.one_hot(y, outputs.shape[1])
        return F.cross_entropy(outputs - margin * right, y, label_smoothing=self.smoothing) + away


class MarginAdam(Adam, MarginFitting):
    """The same by Adam, for the values that weights share."""
