"""What this machine can do at most: the floors under every latency (the "roofline")."""

from __future__ import annotations

import contextlib
import multiprocessing
import warnings
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection

import numpy as np
import torch
from torch import nn

from maxprune.measure.latency import times
from maxprune.runtime.engines import chain, without_gradients
from maxprune.runtime.records import Engine, Machine, Rate
from maxprune.runtime.worker import Gone, apart
from maxprune.sessions import open_session

SIDE = 1024  # of the matrices whose product is timed
SIZES = tuple(2**power for power in (18, 20, 22, 24, 26, 28))  # bytes that are read
CHAIN = 16  # operations that are started one after the other
_SECONDS = 0.15  # for each of these


def probe(engines: Sequence[Engine], threads: int, device: str) -> Machine:
    """Measure it, in a process of its own.

    Args:
        engines: whose operations are to be started.
        threads: of each of them.
        device: "cpu" or "cuda".

    Raises:
        Gone: its process died.
    """
    context = multiprocessing.get_context("spawn")
    receiving, sending = context.Pipe(duplex=False)
    work = (sending, tuple(engines), threads, device)
    process = context.Process(target=_probe, args=work, daemon=True)
    with apart():
        process.start()
    sending.close()
    try:
        return Machine.model_validate(receiving.recv())
    except EOFError as error:
        raise Gone("the process that measures what this machine can do died") from error
    finally:
        process.terminate()  # it has said all, or nobody listens any more
        process.join()


def _probe(pipe: Connection, engines: Sequence[Engine], threads: int, device: str) -> None:
    """In its own process."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(threads)
    with torch.inference_mode():
        a = torch.rand(SIDE, SIDE, device=device)
        macs = SIDE**3 / _seconds(lambda: a @ a, device)
        reading = tuple(Rate(size=size, rate=_reading(size, device)) for size in SIZES)
    starting: dict[Engine, float] = {}
    for engine in engines:
        with contextlib.suppress(Exception):  # its networks will say what it lacks
            starting[engine] = _starting(engine, threads, device)
    with contextlib.suppress(BrokenPipeError):
        pipe.send(Machine(macs=macs, reading=reading, starting=starting).model_dump())


def _reading(size: int, device: str) -> float:
    """Bytes a second of a product with a vector, which reads a matrix of that size once."""
    columns = 512
    a = torch.rand(size // 4 // columns, columns, device=device)
    x = torch.rand(columns, device=device)
    return size / _seconds(lambda: torch.mv(a, x), device)


def _starting(engine: Engine, threads: int, device: str) -> float:
    """Seconds for one operation on nearly nothing."""
    with without_gradients(engine):
        if engine == "onnx":
            session = open_session(chain(CHAIN), "a chain of products", threads, device)
            feed = {"x": np.ones((1, 1), dtype=np.float32)}
            return _seconds(lambda: session.run(None, feed), "cpu") / CHAIN
        net = nn.Sequential(*(nn.Linear(1, 1) for _ in range(CHAIN))).to(device).eval()
        x = torch.ones(1, 1, device=device)
        call = torch.compile(net) if engine == "compiled" else net
        return _seconds(lambda: call(x), device) / CHAIN


def _seconds(call: Callable[[], object], device: str) -> float:
    """One call at its best: what disturbs the machine is no part of what it can do."""
    return min(times(call, _SECONDS, device, warm_up=3)) / 1000
