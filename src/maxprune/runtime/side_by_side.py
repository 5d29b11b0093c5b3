"""Networks side by side: each in every engine, in turns, round after round."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

import onnxruntime
import torch
from torch import nn

from maxprune.coding.file import is_coded_file
from maxprune.errors import MaxpruneError, UsageError
from maxprune.inputs import check_kind, checked_shape, example_inputs
from maxprune.lineage import lineage
from maxprune.modes import best_device
from maxprune.runs.environment import environment, processor
from maxprune.runtime.engines import Kind, Source
from maxprune.runtime.machine import probe
from maxprune.runtime.records import ENGINES, Bench, Benched, Engine, Missing, Sized
from maxprune.runtime.sized import sized
from maxprune.runtime.timings import Key, Ready, Round, timings
from maxprune.runtime.why import remarks
from maxprune.runtime.worker import Gone, Job, Refused, Worker
from maxprune.sessions import has_device, open_session
from maxprune.store.model import bytes_of, save
from maxprune.store.onnx import export_onnx
from maxprune.store.opening import check_factory
from maxprune.weights.sparse import LEAST, sparse_rows

Told: TypeAlias = Callable[[str, int, int], None]
Given: TypeAlias = str | Path | Source


def bench(
    networks: Given | Sequence[Given] | Mapping[str, Given | nn.Module],
    input_shape: Sequence[int] | None = None,
    settings: Bench | None = None,
    kind: Kind = "float",
    tell: Told = lambda *_: None,
    **changes: Any,
) -> Benched:
    """Measure networks while they run, side by side: time, memory and bytes, and their ratios.

    Every network has a process of its own in every engine, and all take turns, round after round.
    The first network is what the others are compared with.

    Args:
        networks: names as on the command line (saved models, coded files, ONNX files,
            "my_net.py:build"; `runtime.Source` for one with weights or a factory of its own), or
            by a name that is shown; there also torch networks whose factory is known.
        input_shape: of one input, without the batch; not needed for ONNX files alone.
        settings: how.
        kind: of the inputs' numbers; "int" gives zeros and ones, for embeddings.
        tell: told ("opened", "machine measured" or "measured", steps done, steps in all).
        changes: single settings by name: `bench([...], (3, 32, 32), threads=2)`.

    Raises:
        UsageError: a setting, a shape that is missing or does not fit, or nothing can be measured.
        StoreError: a saved model is damaged.
    """
    asked = Bench(**{**(settings or Bench()).model_dump(), **changes})
    device = best_device(asked.device).type
    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError("there is no CUDA device here; use --device cpu")
    shape = () if input_shape is None else checked_shape(input_shape)
    with tempfile.TemporaryDirectory(prefix="maxprune-") as folder:
        sources = sources_of(networks, Path(folder))
        race = _Race(asked, device, shape, kind, Path(folder), tell)
        for done, source in enumerate(sources, 1):
            race.enter(source)
            tell("opened", done, len(sources))
        return race.run()


def sources_of(networks: Any, folder: Path) -> list[Source]:
    """Networks that other processes can open; torch networks are saved.

    Args:
        networks: as for `bench`.
        folder: for those that are saved.

    Raises:
        UsageError: there is none, two have the same name, or a torch network has none or its
            factory is not known.
    """
    if isinstance(networks, str | Path | Source | nn.Module):
        networks = [networks]
    if not isinstance(networks, Mapping):
        given = list(networks)
        if any(isinstance(network, nn.Module) for network in given):
            raise UsageError("a torch network needs a name here: bench({'name': network})")
        networks = {n.name if isinstance(n, Source) else str(n): n for n in given}
        if len(networks) < len(given):
            raise UsageError("two networks have the same name; give each its own: {'name': ...}")
    if not networks:
        raise UsageError("there is no network to measure")
    found = []
    for number, (name, network) in enumerate(networks.items()):
        if isinstance(network, nn.Module):
            try:
                check_factory(lineage(network))
            except UsageError as error:
                raise UsageError(f"{name}: {error}, or give its name: 'my_net.py:build'") from None
            found.append(Source(name, str(save(network, folder / f"{number}"))))
        elif isinstance(network, Source):
            found.append(replace(network, name=name))
        else:
            found.append(Source(name, str(network)))
    return found


@dataclass
class _Race:
    """All who take part."""

    settings: Bench
    device: str
    shape: tuple[int, ...]
    kind: Kind
    folder: Path
    tell: Told
    networks: list[Sized] = field(default_factory=list)
    jobs: dict[Key, Job] = field(default_factory=dict)
    files: dict[Key, int] = field(default_factory=dict)
    missing: list[Missing] = field(default_factory=list)
    steps: int = 0
    done: float = 0.0

    def enter(self, source: Source) -> None:
        """One more network: what it has, and in which engines it can run."""
        number = len(self.networks)
        wanted = self.settings.engines or ENGINES
        if source.is_onnx():
            if not Path(source.place).is_file():
                raise UsageError(f"{source.place} does not exist")
            self.shape = self.shape or _shape_of(source)
            self.networks.append(Sized(name=source.name))
            if "onnx" in wanted:
                self._add((number, "onnx"), source, Path(source.place).stat().st_size)
            for engine in self.settings.engines:
                if engine != "onnx":
                    self._leave_out(source.name, engine, "an ONNX file runs in ONNX Runtime alone")
            return
        if not self.shape:
            raise UsageError(f"say the shape of an input of {source.name} with --input")
        model = source.opened()
        x = example_inputs(model, self.shape, self.kind)
        check_kind(model, x, source.name)
        try:
            self.networks.append(sized(source.name, model, x))
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            raise UsageError(
                f"{source.name} does not take inputs of shape {self.shape}: {error}"
            ) from error
        size = _file_of(source, model)
        for engine in wanted:
            self._engine((number, engine), source, model, x, size)

    def _engine(
        self, key: Key, source: Source, model: nn.Module, x: torch.Tensor, size: int
    ) -> None:  # fmt: skip
        """The network in one engine, if it can."""
        engine = key[1]
        try:
            if engine == "onnx":
                place = self.folder / f"{key[0]}.onnx"
                size = export_onnx(model, place, x).stat().st_size
                source = Source(source.name, str(place))
            elif engine == "sparse":
                sparse_rows(model, source.least)
        except MaxpruneError as error:
            self._leave_out(source.name, engine, error)
            return
        self._add(key, source, size)

    def _add(self, key: Key, source: Source, size: int) -> None:
        job = Job(source, key[1], self.shape, self.kind, self.device, self.settings.threads)
        self.jobs[key], self.files[key] = job, size

    def run(self) -> Benched:
        """Measure them all."""
        settings = self.settings
        if not self.jobs:
            self._refuse()
        engines = [e for e in ENGINES if any(engine == e for _, engine in self.jobs)]
        self.steps = len(self.jobs) * (1 + settings.rounds)
        there = [engine for engine in engines if engine != "onnx" or has_device(self.device)]
        self.tell("machine measured", 0, 1)
        machine = probe(there, settings.threads, self.device)
        self.tell("machine measured", 1, 1)
        with contextlib.ExitStack() as stack:
            runs = self._opened(stack)
            rounds = [self._round(runs) for _ in range(settings.rounds)]
        if not runs:
            self._refuse()
        names = [network.name for network in self.networks]
        found = Benched(
            networks=tuple(self.networks), timings=tuple(timings(names, runs, rounds)),
            missing=tuple(self._missing(runs)), machine=machine, threads=settings.threads,
            rounds=settings.rounds, environment=_environment(settings.threads, self.device),
        )  # fmt: skip
        return found.model_copy(update={"remarks": tuple(remarks(found))})

    def _opened(self, stack: contextlib.ExitStack) -> dict[Key, Ready]:
        """Everyone in a process, warmed up."""
        found = {}
        for key, job in self.jobs.items():
            self._step()
            ready = self._ready(stack, key, job, self.batches())
            if ready is not None:
                found[key] = ready
        return found

    def _ready(
        self, stack: contextlib.ExitStack, key: Key, job: Job, batches: Sequence[int]
    ) -> Ready | None:
        """One of them; what cannot be run is left out, and it is said why."""
        first, batch = {}, None
        try:
            worker = stack.enter_context(Worker(job))
            for batch in batches:
                try:
                    first[batch] = worker.prepared(batch)
                except Refused as error:
                    self._leave_out(job.source.name, key[1], error, batch)
        except Gone as error:
            self._leave_out(job.source.name, key[1], error, batch)
            left = [one for one in batches if batch and (one in first or one > batch)]
            return self._ready(stack, key, job, left) if left else None
        return Ready(worker, first, self.files[key]) if first else None

    def _round(self, runs: dict[Key, Ready]) -> Round:
        """Everyone has a turn with each batch that it can run: milliseconds of each pass."""
        seconds = self.settings.seconds / self.settings.rounds
        found = {}
        for batch in self.batches():
            for key, run in runs.items():
                if batch in run.first:
                    found[key, batch] = run.worker.timed(batch, seconds)
                    self._step(1 / len(run.first))
        return found

    def batches(self) -> list[int]:
        """The sizes, the smallest first: memory grows with them."""
        return sorted(set(self.settings.batches))

    def _missing(self, runs: Collection[Key]) -> list[Missing]:
        """What is worth saying: that a network with few zeros has no sparse rows mostly is not."""
        asked = "sparse" in self.settings.engines
        silent = not asked or any(engine == "sparse" for _, engine in runs)
        tried = {self.networks[number].name for number, engine in self.jobs if engine == "sparse"}
        few = {n.name for n in self.networks if n.zeros() < LEAST} - tried if silent else set()
        return [one for one in self.missing if one.engine != "sparse" or one.network not in few]

    def _refuse(self) -> NoReturn:
        first = self.missing[0]
        raise UsageError(f"nothing can be measured: {first.network}: {first.reason}")

    def _leave_out(self, name: str, engine: Engine, why: object, batch: int | None = None) -> None:
        self.missing.append(Missing(network=name, engine=engine, batch=batch, reason=str(why)))

    def _step(self, part: float = 1.0) -> None:
        self.done += part
        self.tell("measured", int(self.done + 0.001), self.steps)


def _shape_of(source: Source) -> tuple[int, ...]:
    """The shape of an input of an ONNX file."""
    session = open_session(Path(source.place), source.place, threads=1)
    shape = session.get_inputs()[0].shape[1:]
    if not shape or not all(isinstance(size, int) for size in shape):
        raise UsageError(f"{source.place} leaves its input's shape open: say it with --input")
    return tuple(shape)


def _environment(threads: int, device: str) -> dict[str, str]:
    found = environment(threads) | {"onnxruntime": onnxruntime.__version__}
    return found if device == "cuda" else found | {"device": processor()}


def _file_of(source: Source, model: nn.Module) -> int:
    """Bytes of the weights: of a coded file as it is, of others as safetensors."""
    coded = is_coded_file(source.place)
    return Path(source.place).stat().st_size if coded else bytes_of(model)
