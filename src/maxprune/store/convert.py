"""A network in the file of another program; which one, the file's name says."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import torch
from torch import Tensor, nn

from maxprune.errors import AuditError, UsageError
from maxprune.files import write_bytes
from maxprune.modes import copied
from maxprune.state import check_finite
from maxprune.store.coded import SUFFIX as CODED
from maxprune.store.coded import save_coded
from maxprune.store.graph import exporting, program_of
from maxprune.store.model import save
from maxprune.store.onnx import check_takes, export_onnx
from maxprune.store.parts import SUFFIX
from maxprune.store.same import check_same
from maxprune.store.weights import as_safetensors, from_safetensors, tensors_of

ONNX, EXPORTED, TENSORS = ".onnx", ".pt2", ".safetensors"
KINDS = {
    ONNX: "ONNX, for ONNX Runtime and others", EXPORTED: "torch.export, for torch.export.load",
    TENSORS: "the weights alone", SUFFIX: "a saved model in one file",
    CODED: "a coded file, without any loss",
}  # fmt: skip
"""What the endings of files stand for."""


def convert(
    model: nn.Module, path: str | Path, inputs: Tensor | None = None, opset: int | None = None
) -> Path:
    """Write a network as a file of the kind that its ending names.

    What is written is run beside torch's network, or read again, before the file gets its name.

    Args:
        model: the network; it is not changed.
        path: ends in .onnx, .pt2 (torch.export), .safetensors, .maxprune or .mxp.
        inputs: two or more real inputs; for .onnx, .pt2 and, to keep a graph, .maxprune alone.
        opset: version of ONNX's operators; None for the exporter's own.

    Returns:
        The path.

    Raises:
        UsageError: another ending; inputs that are missing, do not fit, or are of no use; an
            opset for something else, or one that is too old; a number of the network that is NaN,
            except for .safetensors.
        StructureError: torch cannot export the network.
        AuditError: what was exported does not give what the network gives.
        OutputError: the file cannot be written.
    """
    path = Path(path)
    kind = path.suffix
    if kind not in KINDS:
        endings = ", ".join(f"{ending} ({what})" for ending, what in KINDS.items())
        raise UsageError(f"{path} has none of the endings {endings}")
    if opset is not None and kind != ONNX:
        raise UsageError(f"an opset is ONNX's; {path} is another kind of file")
    if kind in (ONNX, EXPORTED) and inputs is None:
        raise UsageError(f"for {path} the network has to run: give inputs (--input or --data)")
    if kind in (TENSORS, CODED) and inputs is not None:
        raise UsageError(
            f"for {path} nothing is run, every number is compared: leave out the inputs (--input, "
            "--data)"
        )
    if kind != TENSORS:
        check_finite(model.state_dict(), infinite=True)
    if kind == SUFFIX and inputs is not None:
        check_takes(model, inputs)
    if kind == ONNX:
        assert inputs is not None  # noqa: S101  (for the type checker)
        return export_onnx(model, path, inputs, opset)
    if kind == EXPORTED:
        assert inputs is not None  # noqa: S101  (for the type checker)
        write_bytes(path, _exported(model, inputs))
    elif kind == TENSORS:
        write_bytes(path, _tensors(model))
    elif kind == CODED:
        save_coded(model, path)
    else:
        save(model, path, example=inputs)
    return path


def _tensors(model: nn.Module) -> bytes:
    """The weights as a safetensors file, read again and compared."""
    tensors = tensors_of(model)
    content = as_safetensors(tensors)
    again = from_safetensors(content)
    for name, tensor in tensors.items():
        one, other = (t.flatten().view(torch.uint8) for t in (tensor, again[name]))  # with its NaNs
        if not torch.equal(one, other):
            raise AuditError(f"{name} is not the same when it is read; nothing was written")
    return content


def _exported(model: nn.Module, inputs: Tensor) -> bytes:
    """What torch.export.save writes, opened again and compared."""
    content = io.BytesIO()
    with exporting(model), tempfile.TemporaryDirectory() as folder:
        torch.export.save(program_of(model, inputs), content)
        place = Path(folder) / "network.pt2"
        write_bytes(place, content.getvalue())
        again = torch.export.load(place).module()  # written here, so nobody else's
    check_same(copied(model).cpu().eval(), again, inputs.detach().cpu(), "torch.export's")
    return content.getvalue()
