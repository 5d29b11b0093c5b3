"""What is compared, as a frozen record."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from maxprune.compression.settings import METHODS, UNCUT, Compression
from maxprune.errors import UsageError
from maxprune.naming import called
from maxprune.records import Settings

LIBRARY = (
    "torch-pruning-magnitude", "torch-pruning-taylor", "torch-pruning-lamp", "torch-pruning-fpgm",
)  # fmt: skip
SCRATCH = "scratch"
CONTROLS = (UNCUT, SCRATCH)
COMPARED = (*METHODS, *LIBRARY, *CONTROLS)
SHARED = (
    "layers", "skip", "heads", "keep_last", "k", "relevance", "units", "one_step", "components",
    "representation", "memory", "per", "epochs", "rate", "batch",
)  # fmt: skip


class Comparing(Settings):
    """Which methods take a network down to which sizes, and how it is retrained at each.

    Args:
        methods: those of `Compression`; those that begin with "torch-pruning", what its own pruner
            removes by one of its importances; and two controls: "uncut", the whole network,
            retrained alike, and "scratch", all layers narrower by the same share, from random
            weights, trained for as many epochs in all.
        sizes: shares of the network's size that stay, in (0, 1); each is cut from the one before.
        by: what the size is counted in.
        train_epochs: of the training of the unpruned network; 0 for one that is trained.
        train_rate: its learning rate.
        how: the settings that all methods share (`SHARED`). Where several cuts lead to a size, as
            with a maxout, each is followed by its part of the epochs.
    """

    methods: tuple[str, ...] = COMPARED[:-1]
    sizes: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.75, 0.5, 0.25)
    by: Literal["parameters", "macs"] = "parameters"
    train_epochs: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    train_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.05
    how: Compression = Compression(keep_last=False, epochs=3.0)

    @model_validator(mode="after")
    def _check(self) -> Comparing:
        unknown = [method for method in self.methods if method not in COMPARED]
        if unknown:
            raise UsageError(f"there is no method {unknown[0]!r}; there are {', '.join(COMPARED)}")
        if not self.methods or not self.sizes:
            raise UsageError("name at least one method and one size")
        if len(set(self.methods)) < len(self.methods) or len(set(self.sizes)) < len(self.sizes):
            raise UsageError("every method and every size is named once")
        if SCRATCH in self.methods and not self.train_epochs:
            raise UsageError(
                "scratch is trained from random weights for as many epochs as the others in all; "
                f"it needs a network that is trained here ({called('train_epochs')})"
            )
        return self

    def descending(self) -> tuple[float, ...]:
        """The sizes, the largest first."""
        return tuple(sorted(self.sizes, reverse=True))

    def of(self, method: str, seed: int) -> Compression:
        """The settings of one method with one seed."""
        known = method if method in METHODS else "random"
        return Compression(**{**self.how.model_dump(), "method": known, "seed": seed})


def comparing_of(**changes: Any) -> Comparing:
    """Settings by name: those of the comparison, and those that all methods share.

    Raises:
        UsageError: there is no such setting, or it is out of its range.
    """
    own = [name for name in Comparing.model_fields if name != "how"]
    unknown = [name for name in changes if name not in (*own, *SHARED)]
    if unknown:
        there = ", ".join((*own, *SHARED))
        raise UsageError(f"there is no setting {unknown[0]!r} of a comparison; there are {there}")
    default = Comparing().how.model_dump()
    how = Compression(**{**default, **{n: v for n, v in changes.items() if n in SHARED}})
    return Comparing(**{n: v for n, v in changes.items() if n in own}, how=how)
