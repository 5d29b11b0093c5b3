"""Weights of Caffe: a `.caffemodel` is a NetParameter of caffe.proto in binary.

Read are both generations of it: `layers` with kinds by number (V1LayerParameter, as in
VGG_FACE.caffemodel of 2015) and `layer` with kinds by name. Only the fields named in `MESSAGES` are
looked at, so padding, strides and the kind of pooling are taken to be those of VGG-Face.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from torch import Tensor

from maxprune.errors import StoreError
from maxprune.files import read_bytes
from maxprune.plural import plural
from maxprune.store.vgg_face.layers import Found, Layer, checked

INT32, INT64 = FieldDescriptorProto.TYPE_INT32, FieldDescriptorProto.TYPE_INT64
BYTES = FieldDescriptorProto.TYPE_BYTES
MESSAGES: dict[str, dict[str, tuple[int, int | str]]] = {
    # A packed array of numbers has the same encoding as bytes, which cost no list of numbers.
    "Blob": {
        "num": (1, INT32), "channels": (2, INT32), "height": (3, INT32), "width": (4, INT32),
        "data": (5, BYTES), "shape": (7, "Shape"), "double_data": (8, BYTES),
    },
    "Shape": {"dim*": (1, INT64)},
    "OldLayer": {"name": (4, BYTES), "type": (5, INT32), "blobs*": (6, "Blob")},
    "Layer": {"name": (1, BYTES), "type": (2, BYTES), "blobs*": (7, "Blob")},
    "Net": {"layers*": (2, "OldLayer"), "layer*": (100, "Layer")},
}  # fmt: skip
KINDS = {
    1: "Accuracy", 4: "Convolution", 5: "Data", 6: "Dropout", 8: "Flatten", 12: "ImageData",
    14: "InnerProduct", 17: "Pooling", 18: "ReLU", 20: "Softmax", 21: "SoftmaxWithLoss",
    22: "Split",
}  # fmt: skip
WITH_WEIGHTS = ("Convolution", "InnerProduct")
WITHOUT = {*KINDS.values(), "Input"} - {*WITH_WEIGHTS}


def read_caffe(path: Path) -> Found:
    """The layers of a `.caffemodel`, in the order of the file; pictures have blue first.

    Raises:
        StoreError: it is not a NetParameter, or has a layer that VGG-Face has not.
    """
    try:
        net = _net_parameter().FromString(read_bytes(path))
    except DecodeError as error:
        raise StoreError(
            "it is no whole model of Caffe, nor of MatConvNet, torch or safetensors"
        ) from error
    if net.layers and net.layer:
        raise StoreError("it has layers of both generations of Caffe")
    return Found(list(_layers(net)), ordered=True, colours="bgr")


@cache
def _net_parameter() -> Any:
    """The class of the message Net, made of the table above."""
    file = FileDescriptorProto(name="maxprune/caffe.proto", package="caffe", syntax="proto2")
    for message, fields in MESSAGES.items():
        made = file.message_type.add(name=message)
        for name, (number, kind) in fields.items():
            label = "LABEL_REPEATED" if name.endswith("*") else "LABEL_OPTIONAL"
            field = made.field.add(name=name.rstrip("*"), number=number)
            field.label = FieldDescriptorProto.Label.Value(label)
            if isinstance(kind, str):
                field.type_name = f".caffe.{kind}"
            else:
                field.type = kind
    pool = DescriptorPool()
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName("caffe.Net"))


def _layers(net: Any) -> Iterator[Layer]:
    """Those with weights."""
    for layer in net.layers or net.layer:
        name = layer.name.decode(errors="replace")
        if isinstance(layer.type, int):
            kind = KINDS.get(layer.type, f"layer of the kind {layer.type}")
        else:
            kind = layer.type.decode(errors="replace")
        if kind in WITH_WEIGHTS and len(layer.blobs) == 2:
            yield checked(name, *_turned(kind, *map(_tensor, layer.blobs, (name, name))))
        elif kind not in WITHOUT or layer.blobs:
            raise StoreError(
                f"{name!r} is a {kind} with {plural(len(layer.blobs), 'array')}, which VGG-Face "
                "has not"
            )


def _turned(kind: str, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Without the two axes of one that the old form puts before those of a linear layer."""
    if kind == "InnerProduct" and weight.dim() == 4 and weight.shape[:2] == (1, 1):
        weight = weight[0, 0]
    return weight, bias


def _tensor(blob: Any, layer: str) -> Tensor:
    """An array in its shape, float32."""
    old = (blob.num, blob.channels, blob.height, blob.width)
    shape = tuple(blob.shape.dim) if blob.HasField("shape") else old
    values = np.frombuffer(blob.data, "<f4")
    if not values.size:
        values = np.frombuffer(blob.double_data, "<f8")
    if not values.size:
        raise StoreError(f"an array of {layer!r} has no numbers, or none that are packed")
    if len(shape) > 4 or min(shape, default=0) < 1 or math.prod(shape) != values.size:
        raise StoreError(
            f"an array of {layer!r} has {plural(values.size, 'number')}, not {shape[:5]}"
        )
    return torch.from_numpy(values.astype(np.float32)).reshape(shape)
