"""What is to be measured of networks that run side by side, and what was."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias, get_args

from pydantic import Field, model_validator

from maxprune.errors import UsageError
from maxprune.naming import called
from maxprune.records import Checked, Settings

Engine: TypeAlias = Literal["torch", "compiled", "onnx", "sparse"]
ENGINES: tuple[Engine, ...] = get_args(Engine)
NAMES: dict[Engine, str] = {
    "torch": "torch", "compiled": "compiled", "onnx": "ONNX Runtime", "sparse": "sparse rows",
}  # fmt: skip
"""What they are called in tables and sentences."""

Size = Annotated[int, Field(ge=1)]


class Bench(Settings):
    """How networks are measured.

    Args:
        batches: samples in a forward pass, one measurement for each.
        engines: "torch", as it is; "compiled", by torch.compile; "onnx", by ONNX Runtime;
            "sparse", as compressed sparse rows, for a network with so many zeros. () for all
            that the networks have.
        threads: of every engine.
        seconds: for each network, engine and batch; a slow network takes longer, at least
            three passes a round.
        rounds: in each of them all networks have their turn, one right after the other.
        device: "cpu", "cuda", or "auto" for CUDA where there is one.
    """

    batches: tuple[Size, ...] = (1, 64)
    engines: tuple[Engine, ...] = ()
    threads: Annotated[int, Field(ge=1, le=1024)] = 1
    seconds: Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)] = 2.0
    rounds: Annotated[int, Field(ge=1, le=1000)] = 5
    device: Literal["auto", "cpu", "cuda"] = "auto"

    @model_validator(mode="after")
    def _check(self) -> Bench:
        if not self.batches:
            raise UsageError(f"{called('batches')} needs a number of samples")
        return self


class Sized(Checked):
    """A network.

    Args:
        name: as it was given.
        parameters: numbers that were trained; None for an ONNX file, as the next two.
        nonzero: of these.
        macs: multiply-adds of one sample.
        operations: that one forward pass starts, in torch.
        activations: bytes that one sample's forward pass writes, in torch.
    """

    name: str
    parameters: int | None = None
    nonzero: int | None = None
    macs: int | None = None
    operations: int | None = None
    activations: int | None = None

    def zeros(self) -> float:
        """The share of the parameters that are zero, in [0, 1]; 0 where they are not known."""
        return 1 - (self.nonzero or 0) / self.parameters if self.parameters else 0.0


class Timing(Checked):
    """One network in one engine, with one size of batch.

    Args:
        network: its name.
        engine: that ran it.
        batch: samples in a forward pass.
        passes: that were timed.
        milliseconds: of one pass, the median.
        low: a tenth of the passes took less, in milliseconds.
        high: a tenth of them took longer.
        throughput: samples a second, at the median.
        memory: bytes that the process had at its highest while it ran, above the engine alone.
        loading: the same while the network was opened; None where that cannot be told apart.
        file: bytes of the weights as safetensors, or of a coded file; in ONNX Runtime of the ONNX
            file.
        compiling: seconds until the first pass had ended.
        beside: the name of the network and the engine that it is compared with.
        faster: so many times as fast as that, the median over the rounds; of an even number of
            them the geometric mean of the two in the middle.
        faster_low: the least of the rounds.
        faster_high: the most of them.
    """

    network: str
    engine: Engine
    batch: int
    passes: int
    milliseconds: float
    low: float
    high: float
    throughput: float
    memory: int
    loading: int | None
    file: int
    compiling: float
    beside: tuple[str, Engine] | None = None
    faster: float | None = None
    faster_low: float | None = None
    faster_high: float | None = None


class Rate(Checked):
    """How fast so many bytes are read, again and again, in bytes a second."""

    size: int
    rate: float


class Machine(Checked):
    """What this machine can do at most, with these threads.

    Args:
        macs: multiply-adds a second, of 32 bits, in a large matrix product.
        reading: bytes a second, by how many are read again and again: caches are faster.
        starting: seconds to start one operation, by engine.
    """

    macs: float
    reading: tuple[Rate, ...]
    starting: dict[Engine, float]

    def reads(self, size: float) -> float:
        """Bytes a second, of so many bytes."""
        return min(self.reading, key=lambda known: abs(known.size / max(size, 1) - 1)).rate


class Missing(Checked):
    """What could not be measured, and why.

    Args:
        network: its name.
        engine: in which.
        batch: of so many samples; None where no batch could be.
        reason: why.
    """

    network: str
    engine: Engine
    batch: int | None = None
    reason: str


class Benched(Checked):
    """Networks side by side.

    Args:
        networks: the first is what the others are compared with.
        timings: all of a network together, in the order of the engines.
        missing: what could not be measured.
        machine: what it can do at most.
        threads: of every engine.
        rounds: of turns.
        environment: the machine and the versions.
        remarks: where fewer multiply-adds or parameters brought less than they promise, and why.
    """

    networks: tuple[Sized, ...]
    timings: tuple[Timing, ...]
    missing: tuple[Missing, ...]
    machine: Machine
    threads: int
    rounds: int
    environment: dict[str, str]
    remarks: tuple[str, ...] = ()

    def table(self) -> str:
        """What the command prints, as text: the tables, what is missing and the remarks."""
        from maxprune.report.plain import as_text  # the reports are above
        from maxprune.report.runtime import benched_parts

        return as_text(*benched_parts(self))

    def timing(self, network: str, engine: Engine, batch: int) -> Timing | None:
        """One of the timings, None where it is missing."""
        wanted = network, engine, batch
        found = (t for t in self.timings if (t.network, t.engine, t.batch) == wanted)
        return next(found, None)

    def sized(self, network: str) -> Sized:
        """One of the networks."""
        return next(s for s in self.networks if s.name == network)
