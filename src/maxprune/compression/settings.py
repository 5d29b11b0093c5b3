"""What the user wants of a compression, as a frozen record."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias, get_args

from pydantic import Field, model_validator

from maxprune.errors import UsageError
from maxprune.records import Settings

MethodName: TypeAlias = Literal["maxout", "magnitude", "chance"]
METHODS: tuple[str, ...] = get_args(MethodName)

Budget: TypeAlias = Annotated[int, Field(ge=1)] | None


class Compression(Settings):
    """How a network is made smaller, and when to stop.

    Every step cuts, retrains, and is judged on validation data. Under `keep_accuracy` a step is
    taken if the loss of accuracy against the network at the start is below so many points with
    95% confidence (Tango's paired test of non-inferiority); a step that fails is taken back and
    tried smaller, until the smallest is found. The budgets end the search as soon as all of them
    are met; without `keep_accuracy` every step is taken until then.

    Args:
        method: "maxout" puts a maxout over k neurons behind a layer and removes the least winning
            ones (Moya Rueda et al. 2017); the others remove the channels with the lowest score:
            "magnitude" (Li et al. 2017), "chance".
        layers: only these, in this order for "maxout"; () for all that can be cut, the largest
            gain first.
        skip: layers that are never cut; nor is what hangs together with them.
        heads: attention modules whose heads a score may cut as wholes.
        k: neurons a maxout unit at first; halved for a layer where that fails.
        rounds: how often a maxout goes over all layers; None as long as one can be cut.
        share: of all channels that one step of a score removes; halved whenever a step fails.
        fails: steps of a score that fail before the search ends; the last share tried is then
            `share` halved once less often.
        keep_accuracy: points of accuracy that may be lost (100 takes every step); None where only
            budgets count.
        max_parameters: budget of parameters.
        max_macs: budget of multiply-adds of one sample.
        max_bytes: budget of the weights' file, in bytes.
        max_latency_ms: budget of one forward pass over one sample, measured here.
        zero: share of the parameters to be zero at the end, in (0, 1); "auto" takes the largest
            that costs nothing on validation data; None zeroes none. It is judged like a step.
        epochs: of every retraining.
        rate: learning rate of every retraining at its highest.
        batch: samples a step of gradient descent.
        seed: of order, augmentation, dropout and chance.
    """

    method: MethodName = "maxout"
    layers: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    heads: tuple[str, ...] = ()
    k: Annotated[int, Field(ge=2)] = 4
    rounds: Annotated[int, Field(ge=1)] | None = None
    share: Annotated[float, Field(gt=0, lt=1)] = 0.2
    fails: Annotated[int, Field(ge=1)] = 3
    keep_accuracy: Annotated[float, Field(gt=0, le=100)] | None = None
    max_parameters: Budget = None
    max_macs: Budget = None
    max_bytes: Budget = None
    max_latency_ms: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    zero: Annotated[float, Field(gt=0, lt=1)] | Literal["auto"] | None = None
    epochs: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 10.0
    rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.02
    batch: Annotated[int, Field(ge=1)] = 128
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0

    @model_validator(mode="after")
    def _check(self) -> Compression:
        both = set(self.layers) & set(self.skip)
        if both:
            raise UsageError(f"layer {min(both)!r} is both to be cut and to be skipped")
        return self

    def budgets(self) -> dict[str, float]:
        """The budgets that are set, by the name of what they limit."""
        found = {
            "parameters": self.max_parameters, "macs": self.max_macs,
            "bytes": self.max_bytes, "latency_ms": self.max_latency_ms,
        }  # fmt: skip
        return {name: value for name, value in found.items() if value is not None}

    def goal(self) -> str:
        """The stop rule in words."""
        parts = []
        if self.keep_accuracy is not None:
            parts.append(
                f"lose less than {self.keep_accuracy:g} points of accuracy with 95% confidence"
            )
        names = {"macs": "MACs", "latency_ms": "ms for one sample"}
        parts += [f"at most {v:,} {names.get(n, n)}" for n, v in self.budgets().items()]
        return ", ".join(parts)
