"""In words: where fewer multiply-adds or parameters brought less speed than they promise, and why.

A pass takes at least as long as its arithmetic, as reading its weights and activations once, and
as starting its operations (the "roofline" of Williams, Waterman, Patterson 2009, with a third
floor for networks so small that little else is left). The highest floor is what a network is
bound by.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from maxprune.naming import called
from maxprune.plural import plural
from maxprune.runtime.records import NAMES, Benched, Machine, Sized, Timing

FEWER = 0.95  # of the multiply-adds of the first network: above, nothing was promised
HALF = 0.5  # of the promised gain: what brings more is no surprise
NEAR = 0.4  # of the measured time: a floor that is lower does not explain it
BUSY = 2.0  # times the least ratio of the rounds: with a largest above that, one was disturbed
_SPARSE_BYTES = 8  # of a weight in compressed sparse rows: the number, and where it stands
_BYTES = 4


@dataclass(frozen=True)
class Floors:
    """What a pass takes at least, in milliseconds.

    Args:
        arithmetic: its multiply-adds at the machine's best rate.
        reading: its weights once, and its activations written and read once.
        starting: its operations, one by one.
    """

    arithmetic: float
    reading: float
    starting: float

    def highest(self) -> tuple[str, float]:
        """The name and the milliseconds of the highest."""
        return max(vars(self).items(), key=lambda item: item[1])


def floors(network: Sized, timing: Timing, machine: Machine) -> Floors:
    """The floors under one timing."""
    assert network.parameters is not None  # noqa: S101  (of ONNX files nothing is known)
    sparse = timing.engine == "sparse"
    share = (network.nonzero or 0) / max(network.parameters, 1) if sparse else 1.0
    each = _SPARSE_BYTES if sparse else _BYTES
    size = network.parameters * share * each + 2 * timing.batch * (network.activations or 0)
    return Floors(
        arithmetic=1000 * timing.batch * (network.macs or 0) * share / machine.macs,
        reading=1000 * size / machine.reads(size),
        starting=1000 * (network.operations or 0) * machine.starting.get(timing.engine, 0.0),
    )


def remarks(found: Benched) -> list[str]:
    """A sentence for each timing that fell short of its promise; one for zeros, one for noise."""
    return [*_short(found), *_zeros(found), *_busy(found)]


def _short(found: Benched) -> Iterator[str]:
    first = found.networks[0]
    for timing in found.timings:
        network = found.sized(timing.network)
        if timing.faster is None or not network.macs or not first.macs or timing.beside is None:
            continue
        share = network.macs / first.macs
        promised = 1 / share - 1
        if timing.beside[0] != first.name or share > FEWER or timing.engine == "sparse":
            continue
        if timing.faster - 1 < HALF * promised:
            brought = "no speed" if timing.faster < 1.005 else f"{timing.faster:.2f}x the speed"
            yield (
                f"{timing.network}, {NAMES[timing.engine]}, batch {timing.batch}: "
                f"{1 - share:.0%} fewer MACs brought {brought}, not {1 / share:.2f}x. "
                f"{_why(network, timing, found.machine)}"
            )


def _why(network: Sized, timing: Timing, machine: Machine) -> str:
    """What a pass is bound by."""
    low = floors(network, timing, machine)
    name, highest = low.highest()
    took = f"{_ms(highest)} of the {_ms(timing.milliseconds)}"
    if highest < NEAR * timing.milliseconds:
        return (
            f"Its layers reach none of this machine's rates, as small and narrow ones do: of "
            f"{_ms(timing.milliseconds)} arithmetic would take {_ms(low.arithmetic)}, reading "
            f"weights and activations {_ms(low.reading)}, starting {network.operations} operations "
            f"{_ms(low.starting)}."
        )
    if name == "starting":
        return (
            f"It is overhead-bound: starting its {network.operations} operations takes about "
            f"{took}; a larger batch shares that among its samples."
        )
    if name == "reading":
        return (
            f"It is memory-bound: reading its weights and activations once takes at least {took}; "
            "fewer bytes would help, not fewer MACs."
        )
    return (
        f"It is compute-bound: its arithmetic takes at least {took}, and narrower layers use the "
        "processor less well."
    )


def _zeros(found: Benched) -> Iterator[str]:
    """Zeros that a dense engine multiplies like other numbers."""
    names = []
    for network in found.networks:
        share = network.zeros()
        dense = any(t.network == network.name and t.engine != "sparse" for t in found.timings)
        if share >= HALF and dense:
            names.append(f"{network.name} ({share:.0%})")
    if names:
        yield (
            f"Zeros among the parameters of {', '.join(names)}: all engines but sparse multiply "
            "them like other numbers."
        )


def _busy(found: Benched) -> Iterator[str]:
    """Rounds that do not agree."""
    ratios = [(t.faster_low, t.faster_high) for t in found.timings if t.beside is not None]
    apart = [
        low for low, high in ratios if low is not None and high is not None and high > BUSY * low
    ]
    if apart:
        yield (
            f"The machine was busy: in {len(apart)} of {plural(len(ratios), 'ratio')} the rounds "
            f"differ by more than {BUSY:g}x; measure again with more {called('rounds')} or "
            f"{called('seconds')}."
        )


def _ms(value: float) -> str:
    return f"{value:.3g} ms"
