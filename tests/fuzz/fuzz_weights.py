"""Targets that other programs write: Keras, Caffe, MATLAB, torch and ONNX."""

from __future__ import annotations

import functools
import io
import json
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import fuzz_repairs
import h5py
import numpy as np
import torch
from fuzz_target import Target, folder, of_file
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from maxprune.networks import vgg_face
from maxprune.store import keras
from maxprune.store.keras import read_keras
from maxprune.store.session import OnnxNetwork
from maxprune.store.source import _fill, _state
from maxprune.store.vgg_face import mat73, read_vgg_face

sys.path.append(str(Path(__file__).parents[1] / "store"))
import vgg_face_files

KERNEL = {"kernel_size": [3, 3], "strides": [2, 1], "padding": "same", "use_bias": True}
NORM = {"axis": -1, "epsilon": 0.001, "momentum": 0.99, "scale": True, "center": True}
POOL = {"pool_size": [2, 2], "strides": [2, 2], "padding": "valid"}
LAYERS = (
    ("InputLayer", "in", {"batch_input_shape": [None, 4, 4, 2]}, []),
    ("Conv2D", "a", {**KERNEL, "filters": 3, "activation": "relu"}, ["in"]),
    ("BatchNormalization", "norm", NORM, ["a"]),
    ("Activation", "relu", {"activation": "relu"}, ["norm"]),
    ("Add", "sum", {}, ["a", "relu"]),
    ("Concatenate", "both", {"axis": -1}, ["sum", "relu"]),
    ("MaxPooling2D", "pool", POOL, ["both"]),
    ("GlobalAveragePooling2D", "all", {}, ["pool"]),
    ("Flatten", "flat", {}, ["pool"]),
    ("Dropout", "drop", {"rate": 0.5}, ["flat"]),
    ("Dense", "out", {"units": 2, "use_bias": True, "activation": "softmax"}, ["drop"]),
)
ARRAYS = {
    "a": {"kernel": (3, 3, 2, 3), "bias": (3,)},
    "norm": {"gamma": (3,), "beta": (3,), "moving_mean": (3,), "moving_variance": (3,)},
    "out": {"kernel": (12, 2), "bias": (2,)},
}


@functools.cache
def _keras_json() -> list[bytes]:
    layers = [
        {
            "class_name": kind, "name": name, "config": {"name": name, **config},
            "inbound_nodes": [[[read, 0, 0, {}] for read in reads]] if reads else [],
        }
        for kind, name, config, reads in LAYERS
    ]  # fmt: skip
    return [json.dumps({"class_name": "Model", "config": {"layers": layers}}).encode()]


@functools.cache
def _keras_h5() -> list[bytes]:
    found = []
    for packed in (None, "gzip"):
        file = io.BytesIO()
        with h5py.File(file, "w") as root:
            root.attrs["layer_names"] = [name.encode() for _, name, _, _ in LAYERS]
            for _, name, _, _ in LAYERS:
                group, own = root.create_group(name), ARRAYS.get(name, {})
                group.attrs["weight_names"] = [f"{name}/{leaf}:0".encode() for leaf in own]
                for leaf, shape in own.items():
                    value = np.full(shape, 0.5, np.float32)
                    group.create_dataset(f"{name}/{leaf}:0", data=value, compression=packed)
        found.append(file.getvalue())
    return found


def _tried(read: Callable[[bytes], object]) -> Callable[[bytes], object]:
    """Without the trial in another process, which would be all that takes time.

    What HDF5's library does that it must not is held up by the trial, and so no finding here.
    """

    def parse(content: bytes) -> object:
        with mock.patch.object(keras, "try_hdf5"), mock.patch.object(mat73, "try_hdf5"):
            return read(content)

    return parse


def _keras(content: bytes, weights: bytes) -> object:
    """A network of Keras from both files."""
    text, numbers = folder() / "net.json", folder() / "net.h5"
    text.write_bytes(content)
    numbers.write_bytes(weights)
    return read_keras(text, numbers)


@functools.cache
def _keras_seeds() -> tuple[bytes, bytes]:
    return _keras_json()[0], _keras_h5()[0]


@functools.cache
def _vgg(*forms: str) -> tuple[bytes, ...]:
    """VGG-Face of one or two neurons a layer, in these formats."""
    blocks = tuple((1,) * len(block) for block in vgg_face_files.BLOCKS)
    network, path = vgg_face(blocks, (1, 1), 64, 3, 2).eval(), folder() / "vgg"
    found = []
    for form in forms:
        vgg_face_files.write(path, form, network)
        found.append(path.read_bytes())
    return tuple(found)


def _vgg_face(name: str, *forms: str, protobuf: bool = False) -> Target:
    return Target(
        name, of_file(read_vgg_face, "vgg.bin"), lambda: list(_vgg(*forms)),
        form="protobuf" if protobuf else "bytes",
    )  # fmt: skip


LIBRARY = 2 << 30  # bytes: what HDF5's library takes for damage is held up by the trial, too
HEAD = b"MATLAB 5.0".ljust(124) + b"\x00\x01IM"


def _mat5_inner() -> list[bytes]:
    return [content[len(HEAD) :] for content in _vgg("mat old")]


def _mat5_packed(content: bytes) -> bytes:
    packed = zlib.compress(content, 1)
    return HEAD + struct.pack("<II", 15, len(packed)) + packed


_read_vgg = of_file(read_vgg_face, "vgg.bin")


def _torch(zipped: bool = True) -> bytes:
    file = io.BytesIO()
    state = {"weight": torch.ones(2, 3), "bias": torch.zeros(2)}
    torch.save({"state_dict": state}, file, _use_new_zipfile_serialization=zipped)
    return file.getvalue()


def _pickle() -> bytes:
    """What is pickled in a state dict."""
    import zipfile

    with zipfile.ZipFile(io.BytesIO(_torch())) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("data.pkl"))
        return archive.read(name)


def _repickled(content: bytes) -> bytes:
    return fuzz_repairs.archived(_torch(), "archive/data.pkl", content)


def _filled(path: Path) -> object:
    _state(path)
    return _fill(nn.Linear(3, 2), path)


_state_of = of_file(_filled, "state.pt")


@functools.cache
def _onnx() -> list[bytes]:
    x = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", 1, 4, 4])
    y = helper.make_tensor_value_info("output", TensorProto.FLOAT, ["n", 2])
    weight = numpy_helper.from_array(np.ones((2, 1, 3, 3), np.float32), "w")
    nodes = [
        helper.make_node("Conv", ["input", "w"], ["c"], strides=[1, 1]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["g"]),
        helper.make_node("Flatten", ["g"], ["output"]),
    ]
    graph = helper.make_graph(nodes, "g", [x], [y], [weight])
    opsets = [helper.make_opsetid("", 18)]
    return [helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()]


TARGETS = [
    Target("keras-json", _tried(lambda content: _keras(content, _keras_seeds()[1])), _keras_json,
           form="json"),
    Target("keras-hdf5", _tried(lambda content: _keras(_keras_seeds()[0], content)), _keras_h5,
           free=LIBRARY),
    _vgg_face("caffe", "caffe old", "caffe new", "caffe doubles", protobuf=True),
    _vgg_face("matconvnet", "mat", "mat old", "mat bare"),
    Target("matconvnet-packed", lambda content: _read_vgg(_mat5_packed(content)), _mat5_inner),
    Target("matconvnet-hdf5", _tried(_read_vgg), lambda: list(_vgg("mat 7.3", "mat 7.3 old"))),
    _vgg_face("vgg-face-torch", "torch", "torch legacy"),
    _vgg_face("vgg-face-safetensors", "safetensors", "safetensors port"),
    Target("state-torch", _state_of, lambda: [_torch(), _torch(zipped=False)]),
    Target("state-pickle", lambda content: _state_of(_repickled(content)), lambda: [_pickle()]),
    Target("onnx", OnnxNetwork, _onnx, form="protobuf"),
]  # fmt: skip
