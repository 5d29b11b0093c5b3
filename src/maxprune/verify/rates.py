"""The error rates of a verifier, from the distances of pairs whose answer is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from maxprune.errors import StoreError, UsageError


@dataclass(frozen=True, eq=False)
class Rates:
    """Distances of pairs, sorted.

    Attributes:
        same: of pairs of one person.
        different: of pairs of two.

    Raises:
        StoreError: there are none of a sort, or one is not a number from 0 up.
    """

    same: Float64[np.ndarray, " n"]
    different: Float64[np.ndarray, " m"]

    def __post_init__(self) -> None:
        for name in ("same", "different"):
            values = np.sort(np.asarray(getattr(self, name), dtype=np.float64))
            if values.ndim != 1 or not len(values) or not (values >= 0).all():
                raise StoreError(f"the distances of {name} pairs are no row of numbers from 0 up")
            object.__setattr__(self, name, values)

    def at(self, threshold: float) -> tuple[float, float]:
        """FAR and FRR, fractions, where distances up to the threshold are accepted."""
        accepted = np.searchsorted(self.different, threshold, side="right") / len(self.different)
        rejected = 1 - np.searchsorted(self.same, threshold, side="right") / len(self.same)
        return float(accepted), float(rejected)

    def threshold(self, far: float) -> float:
        """The largest distance at which no more than this share of different pairs is accepted.

        Raises:
            UsageError: the share is not in (0, 1), or smaller than these pairs can show.
        """
        count = len(self.different)
        if not 0 < far < 1:
            raise UsageError(f"a false acceptance rate lies between 0 and 100%, not {100 * far:g}%")
        if far * count < 1:
            raise UsageError(
                f"{count} pairs of different people cannot show a false acceptance rate of "
                f"{100 * far:g}%; the smallest is {100 / count:.2g}%"
            )
        first_too_many = self.different[min(int(far * count + 1e-9), count - 1)]
        return float(np.nextafter(first_too_many, -np.inf))
