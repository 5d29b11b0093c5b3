"""ONNX export: standard operators only, and checked against torch before it counts as written."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path

import onnx
import torch
from jaxtyping import Float
from torch import Tensor, nn

from maxprune.errors import AuditError, StructureError, UsageError, first_line
from maxprune.files import write_bytes
from maxprune.modes import device_of, evaluating, silent
from maxprune.plural import kind_of
from maxprune.state import check_finite
from maxprune.store.same import check_same
from maxprune.store.session import OnnxNetwork

OLDEST, NEWEST = 18, 23  # opsets that torch's exporter writes without converting


def export_onnx(
    model: nn.Module,
    path: str | Path,
    inputs: Float[Tensor, "batch ..."],
    opset: int | None = None,
) -> Path:
    """Write a network as one ONNX file with a free batch size.

    The file is run with ONNX Runtime on `inputs` and on a batch of another size, and compared
    with torch, before it gets its name. Its input is called "input", its output "output".

    Args:
        model: a network with one input and one output; it is not changed.
        path: the file.
        inputs: at least two real inputs of the network.
        opset: version of the operators, 18 to 23; None for the exporter's own.

    Returns:
        The path.

    Raises:
        UsageError: there are fewer than two inputs, the network does not take them, a number of its
            own is NaN, or the opset is too old, or newer than the exporter knows.
        StructureError: torch cannot export the network, or it has several outputs.
        AuditError: ONNX Runtime's outputs differ from torch's by more than 1e-4, relative to the
            largest output, or an operator is not a standard one.
        OutputError: the file cannot be written.
    """
    path = Path(path)
    write_bytes(path, exported(model, inputs, opset))
    return path


def exported(
    model: nn.Module, inputs: Float[Tensor, "batch ..."], opset: int | None = None
) -> bytes:
    """What `export_onnx` writes, checked as there."""
    if len(inputs) < 2:
        raise UsageError(
            f"the export needs at least two inputs to check the file, not {len(inputs)}"
        )
    if opset is not None and not OLDEST <= opset <= NEWEST:
        raise UsageError(f"an ONNX opset is {OLDEST} to {NEWEST} here, not {opset}")
    check_finite(model.state_dict(), infinite=True)
    x = inputs.detach().cpu()
    model = copy.deepcopy(model).cpu().eval()
    check_takes(model, x)
    proto = _exported(model, x, opset)
    _check(proto, model, x)
    content: bytes = proto.SerializeToString()
    return content


def check_takes(model: nn.Module, x: Tensor) -> None:
    """Run a network, in evaluation mode, on inputs that it may not take.

    Raises:
        UsageError: it does not.
        StructureError: it gives something else than one tensor.
    """
    try:
        with evaluating(model), torch.no_grad():
            found = model(x.to(device_of(model)))
    except (RuntimeError, ValueError, TypeError) as error:
        raise UsageError(
            f"the network does not take inputs of shape {tuple(x.shape)}: {first_line(error)}"
        ) from error
    if not isinstance(found, Tensor):
        raise StructureError(f"the network gives {kind_of(found)}, not one tensor")


def _exported(model: nn.Module, x: Tensor, opset: int | None) -> onnx.ModelProto:
    """The network as ONNX, without the exporter's notes on this machine's files."""
    try:
        with silent(), torch.no_grad():
            program = torch.onnx.export(
                model, (x,), dynamo=True, external_data=False, verbose=False,
                input_names=["input"], output_names=["output"],
                dynamic_shapes=({0: torch.export.Dim("batch")},), opset_version=opset,
            )  # fmt: skip
    except Exception as error:
        reason = first_line(error.__cause__ or error)
        raise StructureError(
            f"the network {type(model).__name__} cannot be exported to ONNX: {reason}"
        ) from error
    assert program is not None  # noqa: S101  (for the type checker)
    proto: onnx.ModelProto = program.model_proto
    for node in proto.graph.node:
        del node.metadata_props[:]
    return proto


def _check(proto: onnx.ModelProto, model: nn.Module, x: Tensor) -> None:
    check_standard(proto)
    check_same(model, OnnxNetwork(proto.SerializeToString()), x, "ONNX Runtime's")


def check_standard(proto: onnx.ModelProto) -> None:
    """Refuse a file that other programs could not read.

    Raises:
        AuditError: an operator is not a standard one.
    """
    custom = sorted({n.domain for n in nodes(proto.graph) if n.domain not in ("", "ai.onnx")})
    if custom or proto.functions:
        raise AuditError(f"the ONNX export needs operators that are not standard: {custom}")


def nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """The operators of a graph, and those of the graphs inside it."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from nodes(inner)
