"""The figures of the study of small networks."""

from __future__ import annotations

import statistics

from maxprune.results import Count, Finite, Fraction, Percent, Record
from maxprune.runs.measured import Measured


class Squeezed(Measured):
    """What was measured of a network.

    `way` is how it came about, `size` the size that its architecture was cut to, `held` the
    accuracy on the samples held out, `epochs` how many it has seen in all, `zero` the share of
    zeros and `bits` those of a weight, 0 where there are none; `bytes` those of its coded file.
    """

    way: str
    size: Count
    held: Percent
    epochs: Finite
    zero: Fraction = 0.0
    bits: Count = 0


class SqueezedCell(Record):
    """Networks of one way and size: figures by seed.

    `p_values` are those of the randomization test against the network from nothing, of the same
    architecture, seed by seed; none for that itself and what is coded.
    """

    way: str
    size: Count
    augmented: bool
    seeds: list[int]
    parameters: list[int]
    nonzero: list[int]
    bytes: list[int]
    zero: Fraction
    bits: Count
    epochs: Finite
    held: list[Percent]
    accuracies: list[Percent]
    p_values: list[Fraction]

    @property
    def error(self) -> float:
        """The mean test error, in percent."""
        return 100 - statistics.fmean(self.accuracies)

    @property
    def held_error(self) -> float:
        """That of the samples held out."""
        return 100 - statistics.fmean(self.held)

    @property
    def spread(self) -> float | None:
        """The standard deviation of the test error over the seeds."""
        return statistics.stdev(self.accuracies) if len(self.accuracies) > 1 else None
