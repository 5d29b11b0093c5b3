"""Weights of torch: a state dict, saved by torch or as safetensors."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as parse
from torch import Tensor

from maxprune.errors import StoreError
from maxprune.files import read_bytes
from maxprune.store.state import load_state
from maxprune.store.vgg_face.layers import Colours, Found, Layer, check_size, checked

_FROM_LUA = re.compile(r"(?:^|\.)conv_\d{1,3}_\d{1,3}$")


def read_safetensors(path: Path) -> Found:
    """The layers of a `.safetensors` file, which keeps no order.

    Raises:
        StoreError: it has tensors that are not the weights and biases of layers.
    """
    return _found(parse(read_bytes(path)), ordered=False)


def read_torch(path: Path) -> Found:
    """The layers of a state dict saved by torch, in its order.

    Nothing in the file is called: it is read with `weights_only=True`.

    Raises:
        StoreError: it is no state dict, or has tensors that are not weights and biases of layers.
    """
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                check_size("the file", sum(entry.file_size for entry in archive.infolist()) // 4)
        state = load_state(path)
    except StoreError:
        raise
    except Exception as error:
        raise StoreError(
            "it is damaged, or no state dict that can be read safely; save model.state_dict()"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(key, str) for key in state):
        raise StoreError("it holds no state dict; save model.state_dict()")
    return _found(state, ordered=True)


def _found(state: Mapping[str, Any], ordered: bool) -> Found:
    """The layers of a state dict, and the order of its colours.

    VGG_FACE.t7 of Lua's torch takes blue first, and its ports name their layers conv_1_1; the port
    of MatConvNet's network (vgg_face_dag) takes red first and says conv1_1.
    """
    layers = _layers(state)
    blue = any(_FROM_LUA.search(layer.name) for layer in layers)
    colours: Colours = "bgr" if blue else "rgb"
    return Found(layers, ordered, colours)


def _layers(state: Mapping[str, Any]) -> list[Layer]:
    """Weights and biases, layer by layer."""
    found: dict[str, dict[str, Tensor]] = {}
    for key, value in state.items():
        layer, _, leaf = key.rpartition(".")
        if leaf not in ("weight", "bias") or not _is_plain(value):
            raise StoreError(f"{key!r} is not the weights or biases of a layer of VGG-Face")
        found.setdefault(layer, {})[leaf] = value.detach()
    check_size("the file", sum(v.numel() for own in found.values() for v in own.values()))
    for layer, own in found.items():
        if len(own) < 2:
            raise StoreError(f"{layer!r} has only a {next(iter(own))}, not a weight and a bias")
    return [checked(layer, own["weight"], own["bias"]) for layer, own in found.items()]


def _is_plain(value: Any) -> bool:
    """Whether it is a dense tensor of real numbers in memory."""
    return (
        isinstance(value, Tensor)
        and value.layout is torch.strided
        and value.is_floating_point()
        and value.device.type == "cpu"
    )
