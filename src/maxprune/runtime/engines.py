"""The programs that run a network, each opened from a file or a name."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from maxprune.errors import UsageError
from maxprune.inputs import example_inputs
from maxprune.networks import lenet5
from maxprune.plan import maxout_plan
from maxprune.runtime.records import Engine
from maxprune.sessions import open_session
from maxprune.store.source import open_network
from maxprune.surgery import apply
from maxprune.units import least_winning
from maxprune.weights import zero_plan
from maxprune.weights.sparse import sparse_rows

ONNX = ".onnx"
Kind: TypeAlias = Literal["float", "int"]
Call: TypeAlias = Callable[[], object]


@dataclass(frozen=True)
class Source:
    """A network that several processes can open.

    Args:
        name: as it is shown.
        place: "my_net.py:build", a saved model, a coded file, or an ONNX file.
        weights: a file of weights to fill in.
        factory: the function that built a saved model.
        least: share of zeros from which on a layer is run as compressed sparse rows.
    """

    name: str
    place: str
    weights: Path | None = None
    factory: str | None = None
    least: float = 0.5

    def is_onnx(self) -> bool:
        """Whether it is an ONNX file."""
        return Path(self.place).suffix == ONNX

    def opened(self) -> nn.Module:
        """The torch network."""
        return open_network(self.place, self.weights, self.factory, graph=True)


@dataclass(frozen=True)
class Opened:
    """A network in an engine.

    Args:
        prepare: gives, for a batch of inputs, a function without arguments: one forward pass.
        inputs: gives a batch of that many random inputs.
    """

    prepare: Callable[[Tensor], Call]
    inputs: Callable[[int], Tensor]


def open_engine(
    engine: Engine, source: Source, shape: tuple[int, ...], kind: Kind, device: str, threads: int
) -> Opened:
    """Open a network, as its user would.

    Args:
        engine: in which.
        source: the network; for "onnx" the exported file.
        shape: of one input.
        kind: of its numbers; an ONNX file says itself which it takes.
        device: "cpu" or "cuda".
        threads: of ONNX Runtime; torch's are set for the whole process.
    """
    if engine == "onnx":
        return _onnx(source.place, shape, device, threads)
    model = source.opened()
    if engine == "sparse":
        model = sparse_rows(model, source.least)
    model = model.to(device).eval()

    def inputs(batch: int) -> Tensor:
        first = example_inputs(model, shape, kind)
        return first[:1].expand(batch, *shape).contiguous()

    if engine == "compiled":
        return Opened(lambda x: _calling(torch.compile(model, dynamic=False), x), inputs)
    return Opened(lambda x: _calling(model, x), inputs)


def _calling(model: Callable[[Tensor], object], x: Tensor) -> Call:
    return lambda: model(x)


def _onnx(place: str, shape: tuple[int, ...], device: str, threads: int) -> Opened:
    session = open_session(Path(place), place, threads, device)
    name, declared = session.get_inputs()[0].name, session.get_inputs()[0].type
    numbers = getattr(torch, declared.removeprefix("tensor(").removesuffix(")"), None)
    if not isinstance(numbers, torch.dtype):
        raise UsageError(f"it takes no numbers but {declared}")

    def inputs(batch: int) -> Tensor:
        kind: Kind = "float" if numbers.is_floating_point else "int"
        first = example_inputs(nn.Identity(), shape, kind).to(numbers)
        return first[:1].expand(batch, *shape).contiguous()

    def prepare(x: Tensor) -> Call:
        feed: dict[str, Any] = {name: x.numpy()}
        return lambda: session.run(None, feed)

    return Opened(prepare, inputs)


def warmed_up(engine: Engine, device: str, threads: int) -> None:
    """Let an engine take the memory that it takes for any network, however small."""
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")  # no pool of processes beside us
    if engine == "onnx":
        open_session(chain(1), "the smallest network", threads, device)
        return
    network: Callable[[Tensor], object] = _tiny().to(device)
    if engine == "sparse":
        network = sparse_rows(_tiny(), 0.0).to(device)
    elif engine == "compiled":
        network = torch.compile(nn.Flatten())
    with without_gradients(engine):
        network(torch.zeros(2, 1, 28, 28, device=device))


def _tiny() -> nn.Module:
    """Cut as saved models are, so that what cutting needs is loaded."""
    tiny: nn.Module = apply(lenet5(fc=4), maxout_plan("fc1", 2))
    tiny = apply(tiny, least_winning("fc1", torch.zeros(2, 2).long()))
    return apply(tiny, zero_plan(tiny, 0.5)).eval()


def chain(length: int) -> bytes:
    """An ONNX file: so many products, one after the other, of one number with one number."""
    weight = numpy_helper.from_array(np.full((1, 1), 0.5, dtype=np.float32), "w")
    names = ["x", *(f"y{i}" for i in range(length))]
    nodes = [helper.make_node("MatMul", [one, "w"], [other]) for one, other in pairwise(names)]
    first, last = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1])
        for name in (names[0], names[-1])
    )
    graph = helper.make_graph(nodes, "chain", [first], [last], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    found: bytes = model.SerializeToString()
    return found


def without_gradients(engine: Engine) -> AbstractContextManager[object]:
    """The mode that a network is run in."""
    return torch.no_grad() if engine == "compiled" else torch.inference_mode()
