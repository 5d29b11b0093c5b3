"""The weights of an ONNX file in a coded file beside it, for ONNX Runtime to put in place.

A tensor is kept under the name of its initializer. Where the exporter has folded a batch norm into
a layer, the layer's own few values are kept, and the factor of each row under NAME/rows.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from maxprune.coding.file import Coded, decode, encode
from maxprune.errors import StoreError

ROWS = "/rows"
LOCATION = "weights"
"""What the ONNX file says of where its weights are."""

_CLOSE = 1e-6  # of a product rounded to 32 bits


def encode_weights(
    initializers: Mapping[str, np.ndarray], weights: Mapping[str, np.ndarray]
) -> bytes:
    """The coded file of an ONNX file's weights.

    Args:
        initializers: float32, of the ONNX file.
        weights: those of the network that it was exported from, by the same names where they are
            the same layer's: few values, which a folded batch norm has made many.
    """
    tensors: dict[str, np.ndarray] = {}
    for name, folded in initializers.items():
        factors = _factors(folded, weights.get(name))
        if factors is None:
            tensors[name] = folded
            continue
        tensors[name] = weights[name]
        if not np.all(factors == 1):
            tensors[name + ROWS] = factors
    return encode(Coded("", {}, [], tensors))


def decode_weights(content: bytes) -> dict[str, np.ndarray]:
    """The initializers by name, from the bytes of a coded file.

    Raises:
        StoreError: it is damaged, or a factor does not fit.
    """
    tensors = decode(content).tensors
    found = {name: np.ascontiguousarray(t) for name, t in tensors.items() if ROWS not in name}
    for name in tensors.keys() - found.keys():
        own, factors = found.get(name.removesuffix(ROWS)), tensors[name]
        if own is None or own.ndim == 0 or factors.shape != own.shape[:1]:
            raise StoreError(f"the coded weights are damaged: {name} does not fit")
        found[name.removesuffix(ROWS)] = own * _along(factors, own)
    return found


def _factors(folded: np.ndarray, own: np.ndarray | None) -> np.ndarray | None:
    """What each row was multiplied by; None where it is not that."""
    if own is None or own.shape != folded.shape or own.dtype != folded.dtype or own.ndim == 0:
        return None
    rows, others = own.reshape(len(own), -1), folded.reshape(len(own), -1)
    largest = np.abs(rows).argmax(1)[:, None]
    one, other = (np.take_along_axis(t, largest, 1)[:, 0] for t in (rows, others))
    factors = np.where(one == 0, 1, other / np.where(one == 0, 1, one)).astype(own.dtype)
    same = np.allclose(own * _along(factors, own), folded, rtol=_CLOSE, atol=0)
    return factors if same else None


def _along(factors: np.ndarray, tensor: np.ndarray) -> np.ndarray:
    """A factor a row, shaped so that it multiplies the row."""
    return factors.reshape(-1, *[1] * (tensor.ndim - 1))
