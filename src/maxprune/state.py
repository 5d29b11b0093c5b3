"""The numbers that a network keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.parameter import is_lazy

from maxprune.errors import UsageError


def check_finite(state: Mapping[str, Any], infinite: bool = False) -> None:
    """Refuse a state whose numbers are not finite.

    Args:
        state: a network's, by name; what is no dense tensor is passed over.
        infinite: whether infinity will do, as in a mask.

    Raises:
        UsageError: one is not.
    """
    for name, value in state.items():
        if not isinstance(value, Tensor) or is_lazy(value) or value.layout is not torch.strided:
            continue
        wrong = value.isnan() if infinite else ~value.isfinite()
        if bool(wrong.any()):
            raise UsageError(f"{name} of the network is not finite; train it again")
