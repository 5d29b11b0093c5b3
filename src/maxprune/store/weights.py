"""Weights as a safetensors file; a tensor that stands in several places is stored once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse
from safetensors.torch import save as serialise
from torch import Tensor, nn

from maxprune.errors import StoreError, UsageError, first_line
from maxprune.files import safetensors_header

METADATA = {"format": "pt"}
Tensors = dict[str, Tensor]


def tensors_of(model: nn.Module) -> Tensors:
    """The network's weights and buffers, each in memory of its own; a shared one is one object.

    Raises:
        UsageError: one is no dense tensor.
    """
    state = model.state_dict()
    for name, value in state.items():
        if not isinstance(value, Tensor) or value.layout is not torch.strided:
            raise UsageError(f"{name} is not a dense tensor and cannot be saved")
    shared = shared_names(state)
    found: Tensors = {}
    for name, value in state.items():
        found[name] = (
            found[shared[name]]
            if name in shared
            else value.detach().cpu().clone(memory_format=torch.contiguous_format)
        )
    return found


def shared_names(tensors: Mapping[str, Any]) -> dict[str, str]:
    """The first name of each tensor that has stood under another name before, by the later one.

    What is no dense tensor, or an empty one, counts as not shared.

    Example:
        >>> one = torch.ones(2)
        >>> shared_names({"a": one, "b": torch.ones(2), "c": one})
        {'c': 'a'}
    """
    first: dict[tuple[object, ...], str] = {}
    found = {}
    for name, tensor in tensors.items():
        if isinstance(tensor, Tensor) and tensor.layout is torch.strided and tensor.numel():
            place = tensor.device, tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype
            kept = first.setdefault(place, name)
            if kept != name:
                found[name] = kept
    return found


def check_shared(state: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> None:
    """Refuse two tensors for one of a network, of which the last would win.

    Args:
        state: of the network.
        tensors: that are to be filled in.

    Raises:
        StoreError: there are two.
    """
    for name, kept in shared_names(state).items():
        one, other = tensors[kept], tensors[name]
        if one is not other and not torch.equal(one, other):
            raise StoreError(f"{kept} and {name} are one in the network, but differ in the file")


def as_safetensors(tensors: Mapping[str, Tensor]) -> bytes:
    """The bytes of a safetensors file; equal tensors give equal bytes.

    As safetensors itself does it, the metadata name, for each name that is left out, the one under
    which its tensor is stored.
    """
    shared = shared_names(tensors)
    stored = {name: tensor for name, tensor in tensors.items() if name not in shared}
    content = serialise(stored, METADATA | shared)
    if not shared:
        return content
    header, start = safetensors_header(content)
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))  # has them in any order
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[start:]


def from_safetensors(content: bytes) -> Tensors:
    """The tensors of a safetensors file, a shared one under all of its names.

    Raises:
        SafetensorError: it is damaged.
    """
    try:
        tensors = parse(content)
    except (LookupError, RuntimeError, TypeError, ValueError) as error:
        raise SafetensorError(first_line(error)) from error
    metadata = safetensors_header(content)[0].get("__metadata__") or {}
    for name, kept in metadata.items():
        if (name, kept) not in METADATA.items() and name not in tensors and kept in tensors:
            tensors[name] = tensors[kept]
    return tensors


def bytes_of(model: nn.Module) -> int:
    """How many bytes the network's weights have as a safetensors file."""
    return len(as_safetensors(tensors_of(model)))
