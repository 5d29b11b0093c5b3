"""ONNX Runtime's sessions, opened alike everywhere; without torch, as `maxprune verify` runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from maxprune.errors import StoreError, first_line


def open_session(content: bytes, what: str | Path, threads: int) -> Any:
    """Open an ONNX file on the CPU, without ONNX Runtime's own warnings.

    Args:
        content: of the file.
        what: it is, for the message.
        threads: inside an operator; operators run one after the other.

    Raises:
        StoreError: ONNX Runtime cannot open it.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
    except Exception as error:
        raise StoreError(f"{what} cannot be opened by ONNX Runtime: {first_line(error)}") from error
