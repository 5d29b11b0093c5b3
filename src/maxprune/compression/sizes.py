"""How large a network is, in everything that can have a budget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from maxprune.measure import latency_ms, macs, parameters
from maxprune.modes import device_of
from maxprune.store.model import bytes_of


@dataclass(frozen=True)
class Sizes:
    """Parameters, multiply-adds of one sample, bytes of the weights' file, milliseconds.

    `latency_ms` is None where it was not asked for.
    """

    parameters: int
    macs: int
    bytes: int
    latency_ms: float | None

    def over(self, budgets: Mapping[str, float]) -> list[str]:
        """The names of the budgets that are exceeded."""
        return [name for name, most in budgets.items() if getattr(self, name) > most]


def measure_sizes(model: nn.Module, sample: Tensor, latency: bool = False) -> Sizes:
    """Measure a network; the latency only where it is asked for, since it takes a while.

    Args:
        model: the network.
        sample: (1 or more, ...) of its inputs.
        latency: whether the milliseconds are measured.
    """
    one = sample[:1].to(device_of(model))
    taken = latency_ms(model, one) if latency else None
    return Sizes(parameters(model), macs(model, one), bytes_of(model), taken)
