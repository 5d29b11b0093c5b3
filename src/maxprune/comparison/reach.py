"""Whether the sizes of a comparison can be reached at all, known before any training."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import nn

from maxprune.comparison.settings import Comparing
from maxprune.compression.reach import smallest_sizes
from maxprune.compression.settings import UNCUT
from maxprune.compression.sizes import Sizes, measure_sizes
from maxprune.data.samples import Splits
from maxprune.errors import UsageError


def check_sizes(
    comparing: Comparing, methods: Sequence[str], data: Splits, model: nn.Module
) -> None:
    """Refuse sizes of which no method can reach the smallest.

    Args:
        comparing: the sizes, and what they are counted in.
        methods: that can cut the network.
        data: an input to run on.
        model: the network.

    Raises:
        UsageError: so it is; the message has the smallest share that one of them can reach.
    """
    wanted = min(comparing.sizes)
    whole = getattr(measure_sizes(model, data.example), comparing.by)

    def share(sizes: Sizes) -> float:
        return float(getattr(sizes, comparing.by) / max(whole, 1))

    cutting = [method for method in methods if method != UNCUT]
    least = math.inf
    for method in sorted(cutting, key=lambda name: name == "maxout"):  # the slowest last
        settings = comparing.of(method, seed=0)
        found = smallest_sizes(settings, data, model, lambda sizes: share(sizes) <= wanted)
        if found is None or share(found) <= wanted:
            return
        least = min(least, share(found))
    if cutting:
        raise UsageError(
            f"no method here can bring the network down to a size of {wanted:g} "
            f"({math.ceil(1e4 * least) / 1e4:g} at least, of the "
            f"{'MACs' if comparing.by == 'macs' else comparing.by}), however much it cuts"
        )
