"""ONNX Runtime's sessions, opened alike everywhere; without torch, as `maxprune verify` runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from maxprune.errors import StoreError, UsageError, first_line

PARTS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
"""ONNX Runtime's "execution provider" for each device."""


def has_device(device: str) -> bool:
    """Whether this build of ONNX Runtime has a part for "cpu" or "cuda"."""
    import onnxruntime

    return PARTS[device] in onnxruntime.get_available_providers()


def open_session(
    file: bytes | Path, what: str | Path, threads: int, device: str = "cpu",
    weights: Mapping[str, np.ndarray] | None = None,
) -> Any:  # fmt: skip
    """Open an ONNX file, without ONNX Runtime's own warnings.

    Args:
        file: its path, or its content.
        what: it is, for the message.
        threads: inside an operator; operators run one after the other.
        device: "cpu" or "cuda".
        weights: those that lie outside of the file, by the names of its initializers.

    Raises:
        StoreError: ONNX Runtime cannot open it.
        UsageError: it has no part for the device.
    """
    import onnxruntime

    if not has_device(device):
        raise UsageError(f"this ONNX Runtime has no {PARTS[device]}; onnxruntime-gpu has one")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 4  # what is wrong is raised, too
    if weights:
        values = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in weights.values()]
        options.add_external_initializers(list(weights), values)
    source = str(file) if isinstance(file, Path) else file
    try:
        # Its way of falling back prints, and tries again what has failed.
        return onnxruntime.InferenceSession(source, options, [PARTS[device]], enable_fallback=0)
    except Exception as error:
        raise StoreError(f"{what} cannot be opened by ONNX Runtime: {first_line(error)}") from error
