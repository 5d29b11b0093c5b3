"""Weights of Caffe: a `.caffemodel` is a NetParameter of caffe.proto in binary.

Read are both generations of it: `layers` with kinds by number (V1LayerParameter, as in
VGG_FACE.caffemodel of 2015) and `layer` with kinds by name. Only the fields named here are looked
at, so padding, strides and the kind of pooling are taken to be those of VGG-Face. Arrays are views
of the file until they become tensors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from maxprune.errors import StoreError
from maxprune.files import read_bytes
from maxprune.plural import plural
from maxprune.store.vgg_face.layers import Found, Layer, checked, unknown
from maxprune.store.vgg_face.protobuf import Message

KINDS = {
    1: "Accuracy", 4: "Convolution", 5: "Data", 6: "Dropout", 8: "Flatten", 12: "ImageData",
    14: "InnerProduct", 17: "Pooling", 18: "ReLU", 20: "Softmax", 21: "SoftmaxWithLoss",
    22: "Split",
}  # fmt: skip
WITH_WEIGHTS = ("Convolution", "InnerProduct")
WITHOUT = {*KINDS.values(), "Input"} - {*WITH_WEIGHTS}


class Generation(NamedTuple):
    """The numbers of the fields that a layer is in, and that are in a layer."""

    layers: int
    name: int
    kind: int
    arrays: int


OLD, NEW = Generation(2, 4, 5, 6), Generation(100, 1, 2, 7)
AXES, FLOATS, SHAPE, DOUBLES = (1, 2, 3, 4), 5, 7, 8  # fields of an array
DIM = 1  # the field of a shape


def read_caffe(path: Path) -> Found:
    """The layers of a `.caffemodel`, in the order of the file; pictures have blue first.

    Raises:
        StoreError: it is not a NetParameter, or has a layer that VGG-Face has not.
    """
    net = Message(memoryview(read_bytes(path)))
    generations = [each for each in (OLD, NEW) if each.layers in net]
    if len(generations) > 1:
        raise StoreError("it has layers of both generations of Caffe")
    layers = [layer for each in generations for layer in _layers(net, each)]
    return Found(layers, ordered=True, colours="bgr")


def _layers(net: Message, fields: Generation) -> Iterator[Layer]:
    """Those with weights."""
    for layer in map(Message, net.parts(fields.layers)):
        name, kind = layer.text(fields.name), _kind(layer, fields)
        arrays = layer.parts(fields.arrays)
        if kind in WITH_WEIGHTS and len(arrays) == 2:
            weight, bias = (_tensor(Message(array), name) for array in arrays)
            if kind == "InnerProduct" and weight.dim() == 4 and weight.shape[:2] == (1, 1):
                weight = weight[0, 0]  # the old form puts two axes of one in front
            yield checked(name, weight, bias)
        elif kind not in WITHOUT or arrays:
            raise unknown(name, kind, len(arrays))


def _kind(layer: Message, fields: Generation) -> str:
    """The name of a layer's kind, as the newer generation has it."""
    if fields is NEW:
        return layer.text(fields.kind)
    (number,) = layer.numbers(fields.kind)[-1:] or [0]
    return KINDS.get(number, str(number))


def _tensor(array: Message, layer: str) -> Tensor:
    """An array in its shape, float32."""
    shape = [number for axis in AXES for number in array.numbers(axis)[-1:] or [0]]
    for part in array.parts(SHAPE)[-1:]:
        shape = Message(part).numbers(DIM)
    floats, doubles = array.parts(FLOATS), array.parts(DOUBLES)
    if len(floats) + len(doubles) != 1:
        raise StoreError(f"an array of {layer!r} has no numbers, or none that are packed")
    values = np.frombuffer(floats[0], "<f4") if floats else np.frombuffer(doubles[0], "<f8")
    if len(shape) > 4 or min(shape, default=0) < 1 or math.prod(shape) != values.size:
        raise StoreError(
            f"an array of {layer!r} has {plural(values.size, 'number')}, not {tuple(shape[:5])}"
        )
    return torch.from_numpy(values.astype(np.float32)).reshape(shape)
