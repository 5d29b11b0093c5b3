"""The training that one's own network gets by default, as a frozen record."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Self

from pydantic import Field

from maxprune.data.samples import Samples
from maxprune.errors import UsageError
from maxprune.naming import called
from maxprune.train.config import Training


class Fitting(Training):
    """SGD with Nesterov momentum, a short rise of the rate, then a cosine down to zero.

    After each epoch the network is judged on validation data; the best one is kept, and the
    training ends early when none of the last `patience` was better.

    Args:
        clip: largest norm of the gradient over all parameters; a larger one is scaled down to it,
            so that a network without batch norm survives a high rate (Pascanu et al. 2013); None
            for any.
        warmup: share of the iterations in which the rate rises from zero to `rate`.
        judge_every: iterations between two judgements, usually an epoch; 0 judges never.
        patience: judgements without a better one that end the training.
    """

    nesterov: ClassVar[bool] = True

    batch: Annotated[int, Field(ge=1)] = 128
    rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.05
    average: Annotated[float, Field(ge=0, le=1)] = 0.0
    clip: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = 1.0
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.1
    judge_every: Annotated[int, Field(ge=0)] = 0
    patience: Annotated[int, Field(ge=1)] = 10

    @classmethod
    def of_epochs(cls, epochs: float, samples: int, **settings: float) -> Self:
        """A training of so many passes over so many samples, judged after each pass.

        Raises:
            UsageError: a setting is out of its range.
        """
        if not isinstance(epochs, int | float) or not 0 < epochs < math.inf:
            raise UsageError(f"{called('epochs')} must be a finite number above 0, not {epochs!r}")
        fitting = cls(**settings)  # type: ignore[arg-type]
        each = max(1, samples // fitting.batch)
        iterations = max(1, round(epochs * each))
        return fitting.model_copy(update={"iterations": iterations, "judge_every": each})

    @classmethod
    def of_passes(cls, epochs: float, samples: Samples, least: int = 0, **settings: float) -> Self:
        """A training of so many passes over these samples, judged after each pass.

        Args:
            epochs: passes.
            samples: the training set.
            least: iterations at least, for a small one; it is judged as often as without.
            settings: others, by name.

        Raises:
            UsageError: a setting is out of its range.
        """
        batch = cls(**settings).batch  # type: ignore[arg-type]
        found = cls.of_epochs(epochs, samples.iterations(batch) * batch, **settings)
        if found.iterations >= least:
            return found
        every = max(1, found.judge_every * least // found.iterations)
        return found.model_copy(update={"iterations": least, "judge_every": every})

    def as_fast(self, other: Fitting) -> Fitting:
        """Another training, in this one's precision, and compiled if this one is."""
        return other.model_copy(update={"precision": self.precision, "compiled": self.compiled})

    def about(self) -> dict[str, int | float | str]:
        """The settings that are in force, for the results; the rate falls by a cosine alone."""
        return {n: value for n, value in super().about().items() if n not in ("gamma", "power")}

    def rate_at(self, iteration: int) -> float:
        """The learning rate at an iteration, counted from 0."""
        rise = round(self.warmup * self.iterations)
        if iteration < rise:
            return self.rate * (iteration + 1) / (rise + 1)
        done = (iteration - rise) / max(1, self.iterations - rise)
        return self.rate * 0.5 * (1 + math.cos(math.pi * done))
