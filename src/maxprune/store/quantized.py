"""8-bit integers in an ONNX file, by ONNX Runtime's own tools."""

from __future__ import annotations

import hashlib
import math
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import onnx
from jaxtyping import Float
from torch import Tensor, nn

from maxprune.errors import MaxpruneError, OutputError, StructureError, UsageError, first_line
from maxprune.files import write_bytes
from maxprune.modes import silent
from maxprune.store.onnx import check_standard, exported, nodes
from maxprune.store.same import difference
from maxprune.store.session import OnnxNetwork

Mode: TypeAlias = Literal["dynamic", "static"]
SUFFIX = ".onnx"
MODES: tuple[Mode, ...] = get_args(Mode)


@dataclass(frozen=True)
class QuantizedNetwork:
    """A network in 8 bits.

    Attributes:
        content: the bytes of its ONNX file.
        difference: the largest difference of an output from the network's own, relative to the
            largest output, on the inputs that the file was checked on.
    """

    content: bytes
    difference: float

    def opened(self, threads: int | None = None) -> OnnxNetwork:
        """What ONNX Runtime makes of the file: the network to be measured."""
        return OnnxNetwork(self.content, threads)

    @property
    def integers(self) -> int:
        """How many weights are in 8 bits, each counted once, however many layers share it."""
        return sum(math.prod(w.dims) for w in _integers(onnx.load_from_string(self.content)))

    def write(self, path: str | Path) -> None:
        """Write the file, by custom `*.onnx`, whole or not at all."""
        write_bytes(Path(path), self.content)


def quantize_onnx(
    model: nn.Module, path: str | Path, inputs: Float[Tensor, "batch ..."],
    calibration: Iterable[Float[Tensor, "batch ..."]] | None = None, opset: int | None = None,
) -> QuantizedNetwork:  # fmt: skip
    """Write a network as an ONNX file of 8-bit integers with a free batch size.

    With calibration data weights and activations of all layers are in 8 bits ("static"; Jacob et
    al. 2018), without them the weights of linear layers alone, whose inputs are brought to 8 bits
    as they come ("dynamic"). The file is run with ONNX Runtime on `inputs` and on a batch of
    another size before it gets its name; how accurate it is, measure with `OnnxNetwork`.

    Args:
        model: a network with one input and one output; it is not changed.
        path: the file; it ends in .onnx.
        inputs: at least two real inputs of the network.
        calibration: batches of other real inputs, from the training data; each is looked at once,
            and the range of every activation is what it reaches on them. None for "dynamic".
        opset: version of the operators, 18 to 23; None for the exporter's own.

    Returns:
        What is in the file, and how far its outputs are from the network's.

    Raises:
        UsageError: inputs or calibration data that do not fit, or none; an opset out of range;
            another ending than .onnx.
        StructureError: torch cannot export the network, or nothing of it can be in 8 bits.
        AuditError: the outputs have another shape or are not finite, or an operator is not a
            standard one.
        OutputError: the file, or one in the temporary directory, cannot be written.

    Example:
        >>> batches = (x for x, _ in data.train.batches(100))  # doctest: +SKIP
        >>> quantize_onnx(net, "net-int8.onnx", x, batches).difference  # doctest: +SKIP
        0.021
    """
    if Path(path).suffix != SUFFIX:
        raise UsageError(f"{path} does not end in {SUFFIX}, as an ONNX file does")
    found = quantized(exported(model, inputs, opset), inputs, calibration)
    found.write(path)
    return found


def quantized(
    content: bytes, inputs: Float[Tensor, "batch ..."],
    calibration: Iterable[Float[Tensor, "batch ..."]] | None = None,
) -> QuantizedNetwork:  # fmt: skip
    """The same for a network that is exported already.

    Args:
        content: what `store.onnx.exported` gives.
        inputs: as for `quantize_onnx`.
        calibration: as for `quantize_onnx`.
    """
    x = inputs.detach().cpu()
    batches = None if calibration is None else _checked(calibration, x)
    proto = _tidied(_by_tools(content, batches))
    check_standard(proto)
    if not any(_integers(proto)):
        dynamic = "" if batches else ": dynamic 8 bits are for linear layers, and it has none"
        raise StructureError(f"no layer of the network can be in 8 bits{dynamic}")
    found = proto.SerializeToString()
    apart = difference(OnnxNetwork(content), OnnxNetwork(found), x, "the 8-bit file's")
    return QuantizedNetwork(found, apart)


def _checked(batches: Iterable[Tensor], like: Tensor) -> Iterator[Tensor]:
    """Batches for the calibration, one at a time."""
    count = 0
    for batch in batches:
        if batch.shape[1:] != like.shape[1:] or batch.dtype != like.dtype:
            raise UsageError(
                f"a calibration sample is {batch.dtype} of shape {tuple(batch.shape[1:])}, an "
                f"input of the network {like.dtype} of shape {tuple(like.shape[1:])}"
            )
        if batch.is_floating_point() and not bool(batch.isfinite().all()):
            raise UsageError("calibration data are not finite: NaN or infinity is among them")
        count += len(batch)
        yield batch.detach().cpu()
    if count == 0:
        raise UsageError("there are no calibration samples; give at least one")


@dataclass(frozen=True)
class _Reader:
    """Batches as ONNX Runtime's tools read them, so that one is in memory at a time."""

    batches: Iterator[Tensor]

    def get_next(self) -> dict[str, Any] | None:
        batch = next(self.batches, None)
        return None if batch is None else {"input": batch.numpy()}


def _by_tools(content: bytes, batches: Iterator[Tensor] | None) -> onnx.ModelProto:
    """What ONNX Runtime's tools make of a file.

    Weights take 7 of the 8 bits: processors without VNNI add two products in 16 bits, where
    2 * 255 * 64 still fits and 2 * 255 * 127 does not, so the accuracy is the same on all.
    """
    proto = onnx.load_from_string(content)
    del proto.graph.value_info[:]  # the tools transpose weights, and then stumble over old shapes
    _unshare(proto.graph)
    with tempfile.TemporaryDirectory() as folder:
        start, ready, done = (Path(folder) / f"{name}.onnx" for name in ("start", "ready", "done"))
        write_bytes(start, proto.SerializeToString())
        try:
            with silent():
                _quantize(start, ready, done, batches)
        except MaxpruneError:
            raise
        except OSError as error:
            place = error.filename or folder
            raise OutputError(f"cannot write {place}: {error.strerror or error}") from error
        except Exception as error:
            raise StructureError(
                f"ONNX Runtime cannot bring the network to 8 bits: {first_line(error)}"
            ) from error
        return onnx.load(done)


def _unshare(graph: onnx.GraphProto) -> None:
    """Give every operator weights of its own: the tools transpose them for one and the others."""
    weights = {w.name: w for w in graph.initializer if len(w.dims) > 1}
    read: set[str] = set()
    for number, node in enumerate(graph.node):
        for place, name in enumerate(node.input):
            if name in weights and name in read:
                own = graph.initializer.add()
                own.CopyFrom(weights[name])
                own.name = node.input[place] = f"{name}_{number}_{place}"
            read.add(name)


def _quantize(start: Path, ready: Path, done: Path, batches: Iterator[Tensor] | None) -> None:
    """From one file to the next: batch norms go into convolutions first."""
    from onnxruntime.quantization import QuantType, quantize_dynamic, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    quant_pre_process(str(start), str(ready), skip_symbolic_shape=True)
    how = {"per_channel": True, "reduce_range": True, "weight_type": QuantType.QInt8}
    if batches is None:  # its integer convolution is not implemented for these types on a CPU
        quantize_dynamic(ready, done, op_types_to_quantize=["MatMul", "Gemm"], **how)
    else:  # unsigned: after a ReLU all 256 steps are of use
        quantize_static(ready, done, _Reader(batches), activation_type=QuantType.QUInt8, **how)


def _integers(proto: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """The weights of 8 bits; the tools call what belongs to a scale a zero point."""
    for tensor in proto.graph.initializer:
        whole = tensor.data_type in (onnx.TensorProto.INT8, onnx.TensorProto.UINT8)
        if whole and not tensor.name.endswith("_zero_point"):
            yield tensor


def _merge(graph: onnx.GraphProto) -> None:
    """Keep weights that are the same in type, shape and bytes once, under the first name."""
    first: dict[tuple[int, tuple[int, ...], bytes], str] = {}
    kept: dict[str, str] = {}
    for tensor in (tensor for tensor in graph.initializer if len(tensor.dims) > 1):
        digest = hashlib.sha256(onnx.numpy_helper.to_array(tensor).tobytes()).digest()
        key = tensor.data_type, tuple(tensor.dims), digest
        kept[tensor.name] = first.setdefault(key, tensor.name)
    for number in reversed(range(len(graph.initializer))):
        name = graph.initializer[number].name
        if kept.get(name, name) != name:
            del graph.initializer[number]
    for node in nodes(graph):
        node.input[:] = [kept.get(name, name) for name in node.input]


def _tidied(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Without the tools' notes, the names of operators that are not there, and copies."""
    _merge(proto.graph)
    used = [opset for opset in proto.opset_import if opset.domain in ("", "ai.onnx")]
    del proto.opset_import[:], proto.graph.value_info[:], proto.metadata_props[:]
    proto.opset_import.extend(used)
    return proto
