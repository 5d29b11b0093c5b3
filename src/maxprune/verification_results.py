"""The results of a study of face verification: what is kept of every network, and the table.

Rates are in percent, fractions lie in [0, 1], bytes are bytes of a real file.
"""

from __future__ import annotations

from pydantic import model_validator

from maxprune.results import (
    NO_CURVE,
    Count,
    Curve,
    Finite,
    Fraction,
    Percent,
    Record,
    Seconds,
    Timed,
    Wins,
)


class Pictured(Timed):
    """What was measured of one network on the pairs of one fold.

    All sizes are those of the network that gives descriptors, without the output layer that only
    training needs. `tested` and `held` are distances, pair by pair, of the tested pairs and of the
    people who were held out; `held_before` is the EER of the latter before retraining. `bits` says
    how many values weights share: 2^bits a layer.
    """

    name: str
    k: Count
    parameters: Count
    nonzero: Count
    macs: Count
    tested: list[Finite]
    held: list[Finite]
    held_before: Percent | None = None
    wins: Wins | None = None
    bits: Count | None = None
    curve: Curve = NO_CURVE
    seconds: Seconds = 0.0


class FaceRun(Record):
    """All networks of one way of cutting in one fold, in their order; `sizes` bytes of their files.

    The first one is the network without maxout, which every other is compared with.
    """

    network: str
    fold: Count
    steps: list[Pictured]
    sizes: list[Count]

    @model_validator(mode="after")
    def _check(self) -> FaceRun:
        if len(self.steps) != len(self.sizes):
            raise ValueError(f"{len(self.steps)} networks but {len(self.sizes)} sizes")
        return self


class FaceCell(Record):
    """One cell of the table: a network after one step, over the folds.

    `eers` are those of each fold's pairs, `mean` and `standard_error` over them; `accuracies` with
    the threshold that is best on the people held out; `tar` the mean over folds of the share of
    same pairs accepted at a FAR of 1%; `held` the mean EER of the people held out, by which things
    are chosen. `p_value` is that of the randomization test over pairs against the network without
    maxout. `published` is the EER of another network, trained on other pictures. `bits` is that of
    weights that share values, `bytes` those of a file of the network that gives descriptors.
    """

    network: str
    step: str
    folds: list[Count]
    parameters: Count
    removed: Fraction
    zeroed: Fraction
    macs: Count
    bytes: Count
    eers: list[Percent]
    mean: Percent
    standard_error: Finite | None
    accuracies: list[Percent]
    tar: Percent | None
    held: Percent
    held_p_value: Fraction
    p_value: Fraction
    published: Percent | None
    bits: Count | None = None
