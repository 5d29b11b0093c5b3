"""Zeros that a network can have, and those it cannot."""

from __future__ import annotations

from torch import nn

from maxprune.errors import MaxpruneError, UsageError
from maxprune.weights import zero_plan


class TooManyZerosError(MaxpruneError):
    """So many zeros are not to be had in this network."""


def check_zero(model: nn.Module, share: float) -> None:
    """Refuse more zeros than there can be.

    Raises:
        TooManyZerosError: the layers that can have zeros have not so many weights.
    """
    try:
        zero_plan(model, share)
    except UsageError as error:
        raise TooManyZerosError(str(error)) from error
