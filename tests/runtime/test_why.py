"""What a network is bound by, in words."""

from __future__ import annotations

from typing import Any

import pytest

from maxprune.runtime.records import Benched, Machine, Rate, Sized, Timing
from maxprune.runtime.timings import Ready, compared_with, timings
from maxprune.runtime.why import floors, remarks

MACHINE = Machine(
    macs=1e10, reading=(Rate(size=10**6, rate=4e10), Rate(size=10**8, rate=1e10)),
    starting={"torch": 5e-6, "onnx": 1e-6},
)  # fmt: skip


def network(name: str, **changes: Any) -> Sized:
    values = {
        "parameters": 10**6, "nonzero": 10**6, "macs": 10**7, "operations": 10,
        "activations": 10**4,
    }  # fmt: skip
    return Sized(name=name, **{**values, **changes})


def timing(name: str, milliseconds: float, faster: float | None = None, **changes: Any) -> Timing:
    values: dict[str, Any] = {
        "network": name, "engine": "torch", "batch": 1, "passes": 9, "milliseconds": milliseconds,
        "low": milliseconds, "high": milliseconds, "throughput": 1.0, "memory": 1, "loading": 1,
        "file": 1, "compiling": 0.0, "faster": faster,
        "beside": None if faster is None else ("first", "torch"),
    }  # fmt: skip
    return Timing(**{**values, **changes})


def said(second: Sized, ran: Timing, first: Sized | None = None) -> list[str]:
    return remarks(
        Benched(
            networks=(first or network("first"), second), timings=(timing("first", 1.0), ran),
            missing=(), machine=MACHINE, threads=1, rounds=3, environment={},
        )
    )  # fmt: skip


def test_the_floors_under_a_pass() -> None:
    low = floors(network("n"), timing("n", 1.0, batch=2), MACHINE)
    assert low.arithmetic == pytest.approx(1000 * 2 * 1e7 / 1e10)
    assert low.reading == pytest.approx(1000 * (4e6 + 4e4) / 4e10)  # from the cache
    assert low.starting == pytest.approx(1000 * 10 * 5e-6)
    sparse = floors(network("n", nonzero=10**5), timing("n", 1.0, engine="sparse"), MACHINE)
    assert sparse.arithmetic == pytest.approx(0.1)
    assert sparse.reading == pytest.approx(1000 * (8e5 + 2e4) / 4e10)


def test_large_networks_are_read_from_memory() -> None:
    assert MACHINE.reads(5e8) == 1e10
    assert MACHINE.reads(2e5) == 4e10


def test_overhead() -> None:
    (line,) = said(network("small", macs=10**5, operations=100), timing("small", 0.6, 1.02))
    assert "99% fewer MACs brought 1.02x the speed, not 100.00x" in line
    assert "overhead-bound: starting its 100 operations takes about 0.5 ms of the 0.6 ms" in line


def test_memory() -> None:
    second = network("small", macs=5 * 10**6, parameters=10**8, nonzero=10**8, operations=1)
    (line,) = said(second, timing("small", 50.0, 1.0))
    assert "memory-bound" in line
    assert "at least 40 ms of the 50 ms" in line


def test_arithmetic() -> None:
    (line,) = said(network("small", macs=8 * 10**6), timing("small", 1.0, 1.1))
    assert "20% fewer MACs brought 1.10x the speed, not 1.25x" in line
    assert "compute-bound" in line


def test_small_operations() -> None:
    (line,) = said(network("small", macs=5 * 10**6), timing("small", 5.0, 1.0))
    assert "50% fewer MACs brought no speed, not 2.00x" in line
    assert "reach none of this machine's rates" in line
    assert "of 5 ms arithmetic would take 0.5 ms" in line


def test_what_keeps_its_promise_is_not_remarked_on() -> None:
    assert said(network("small", macs=5 * 10**6), timing("small", 0.5, 1.9)) == []
    assert said(network("same"), timing("same", 1.0, 1.0)) == []


def test_zeros_in_a_dense_engine() -> None:
    (line,) = said(network("zeros", nonzero=10**5), timing("zeros", 1.0, 1.0))
    assert line.startswith("Zeros among the parameters of zeros (90%): all engines but sparse")
    ran = timing("zeros", 1.0, 1.0, engine="sparse")
    assert said(network("zeros", nonzero=10**5), ran) == []


def test_of_an_onnx_file_nothing_is_known() -> None:
    assert said(Sized(name="file"), timing("file", 1.0, 1.0, engine="onnx")) == []


class Process:
    """In the place of a worker."""

    loading = 7


def test_ratios_are_taken_round_by_round() -> None:
    """A machine that is ten times as slow in one round does not change them."""
    runs: Any = {
        (0, "torch"): Ready(Process(), {1: (100, 0.5)}, 30),  # type: ignore[arg-type]
        (1, "torch"): Ready(Process(), {1: (50, 0.5)}, 10),  # type: ignore[arg-type]
    }
    rounds: Any = [
        {((0, "torch"), 1): [2.0, 2.0, 2.2], ((1, "torch"), 1): [1.0, 1.0, 0.9]},
        {((0, "torch"), 1): [20.0, 20.0, 20.0], ((1, "torch"), 1): [10.0, 10.0, 10.0]},
        {((0, "torch"), 1): [3.0, 3.0, 3.0], ((1, "torch"), 1): [1.0, 1.0, 1.0]},
    ]
    first, second = timings(["a", "b"], runs, rounds)
    assert first.faster is None
    assert (second.faster, second.faster_low, second.faster_high) == (2.0, 2.0, 3.0)
    assert second.beside == ("a", "torch")
    assert (second.milliseconds, second.passes) == (1.0, 9)
    assert (second.memory, second.file, second.loading) == (50, 10, 7)


def test_of_two_rounds_the_geometric_mean_counts() -> None:
    """Twice as fast in one round and half as fast in the other is as fast."""
    runs: Any = {
        (0, "torch"): Ready(Process(), {1: (1, 0.5)}, 1),  # type: ignore[arg-type]
        (1, "torch"): Ready(Process(), {1: (1, 0.5)}, 1),  # type: ignore[arg-type]
    }
    rounds: Any = [
        {((0, "torch"), 1): [1.0, 1.0], ((1, "torch"), 1): [2.0, 2.0]},
        {((0, "torch"), 1): [6.0, 6.0], ((1, "torch"), 1): [3.0, 3.0]},
    ]
    _, second = timings(["a", "b"], runs, rounds)
    assert (second.faster, second.faster_low, second.faster_high) == (1.0, 0.5, 2.0)


def test_a_ratio_needs_both_to_have_run_that_batch() -> None:
    runs: Any = {
        (0, "torch"): Ready(Process(), {1: (1, 0.5)}, 1),  # type: ignore[arg-type]
        (1, "torch"): Ready(Process(), {1: (1, 0.5), 8: (1, 0.5)}, 1),  # type: ignore[arg-type]
    }
    rounds: Any = [{((0, "torch"), 1): [1.0], ((1, "torch"), 1): [1.0], ((1, "torch"), 8): [4.0]}]
    found = {(t.network, t.batch): t.beside for t in timings(["a", "b"], runs, rounds)}
    assert found == {("a", 1): None, ("b", 1): ("a", "torch"), ("b", 8): None}


def test_a_busy_machine_is_said() -> None:
    busy = timing("small", 1.0, 1.9, faster_low=1.0, faster_high=2.1)
    (line,) = said(network("small"), busy)
    assert line.startswith("The machine was busy: in 1 of 1 ratio the rounds differ by more than")
    assert line.endswith("measure again with more rounds or seconds.")
    assert said(network("small"), timing("small", 1.0, 1.9, faster_low=1.0, faster_high=2.0)) == []


def test_who_is_compared_with_whom() -> None:
    runs: Any = [(0, "torch"), (0, "onnx"), (1, "torch"), (1, "onnx"), (1, "sparse")]
    assert compared_with((1, "onnx"), runs) == (0, "onnx")
    assert compared_with((1, "sparse"), runs) == (0, "torch")
    assert compared_with((0, "onnx"), runs) is None
    assert compared_with((1, "sparse"), [(1, "sparse")]) is None
