"""ONNX export: standard operators only, and checked against torch before it counts as written."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from jaxtyping import Float
from torch import Tensor, nn

from maxprune.errors import AuditError
from maxprune.files import atomic
from maxprune.modes import evaluating

TOLERANCE = 1e-4


def export_onnx(model: nn.Module, path: str | Path, inputs: Float[Tensor, "batch ..."]) -> Path:
    """Write a network as one ONNX file with a free batch size.

    The file is run with ONNX Runtime on `inputs` and on a batch of another size, and compared
    with torch, before it gets its name.

    Args:
        model: the network.
        path: the file.
        inputs: at least two real inputs of the network.

    Returns:
        The path.

    Raises:
        AuditError: ONNX Runtime's outputs differ from torch's by more than 1e-4, relative to the
            largest output, or an operator is not a standard one.
        OutputError: the file cannot be written.
    """
    path = Path(path)
    x = inputs.detach().cpu()
    model = model.cpu()
    with evaluating(model), torch.no_grad():
        with _quietly():
            program = torch.onnx.export(
                model, (x,), dynamo=True, external_data=False, verbose=False,
                input_names=["input"], output_names=["output"],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
            )  # fmt: skip
        assert program is not None  # noqa: S101  (for the type checker)
        proto = program.model_proto
        _check(proto, model, x)
    with atomic(path) as temporary:
        temporary.write_bytes(proto.SerializeToString())
    return path


def _check(proto: onnx.ModelProto, model: nn.Module, x: Tensor) -> None:
    custom = sorted(
        {node.domain for node in proto.graph.node if node.domain not in ("", "ai.onnx")}
    )
    if custom or proto.functions:
        raise AuditError(f"the ONNX export needs operators that are not standard: {custom}")
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    for batch in (x, x[:1]):
        expected = model(batch).numpy()
        found = session.run(None, {"input": batch.numpy()})[0]
        scale = max(float(np.abs(expected).max()), 1e-30)
        difference = float(np.abs(expected - found).max()) / scale
        if not difference <= TOLERANCE:
            raise AuditError(f"ONNX Runtime's outputs differ from torch's by {difference:.1e}")


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """The exporter's own progress lines and warnings say nothing to our users."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
