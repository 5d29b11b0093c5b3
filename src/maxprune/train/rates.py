"""Training at a few rates, one after the other."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from maxprune.train.config import Positive, Training


class SteppedRates(Training):
    """Stochastic gradient descent with momentum at rates that each hold for an equal share.

    As VGG16 for faces is fine-tuned (Moya Rueda et al. 2017, section 5.2): momentum 0.9, weight
    decay 5e-4, batch 128, rates 1e-2, 1e-3, 1e-4; how long each holds is not said there.

    Args:
        rates: in their order.
    """

    batch: Annotated[int, Field(ge=1)] = 128
    average: Annotated[float, Field(ge=0, le=1)] = 0.0
    rates: Annotated[tuple[Positive, ...], Field(min_length=1)] = (1e-2, 1e-3, 1e-4)

    def rate_at(self, iteration: int) -> float:
        """The learning rate at an iteration, counted from 0."""
        place = iteration * len(self.rates) // self.iterations
        return self.rates[min(place, len(self.rates) - 1)]
