"""Weights of MatConvNet: `vgg_face.mat`, a network of the kind SimpleNN.

A file has a struct `net`, or its fields `layers`, `meta` and `normalization` as variables. Padding,
strides and the kind of pooling are taken to be those of VGG-Face.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from maxprune.errors import StoreError
from maxprune.plural import plural
from maxprune.store.vgg_face.layers import Found, Layer, check_size, checked
from maxprune.store.vgg_face.mat5 import Mat5
from maxprune.store.vgg_face.mat73 import Mat73
from maxprune.store.vgg_face.matlab import Variables

WITHOUT = ("relu", "pool", "dropout", "softmax", "softmaxloss")


def read_matconvnet(path: Path) -> Found:
    """The layers and the mean of a file of MATLAB 5 to 7, in its order; pictures have red first.

    Raises:
        StoreError: it has no network, or a layer that VGG-Face has not.
    """
    return _found(Mat5(path))


def read_matconvnet_hdf5(path: Path) -> Found:
    """The same of a file of MATLAB 7.3.

    Raises:
        StoreError: as above.
        UsageError: the package h5py is not installed.
    """
    with Mat73(path) as variables:
        return _found(variables)


def _found(mat: Variables) -> Found:
    net = mat.field(mat.top, "net")
    net = mat.top if net is None else net
    if mat.field(net, "layers") is None:
        raise StoreError("it has no variable net with layers, and no variable layers")
    return Found(list(_layers(mat, net)), True, "rgb", *_mean(mat, net))


def _layers(mat: Variables, net: Any) -> Iterator[Layer]:
    """Those with weights."""
    for node in mat.cells(mat.field(net, "layers")):
        name, kind = mat.text(mat.field(node, "name")), mat.text(mat.field(node, "type"))
        arrays = mat.cells(mat.field(node, "weights"))
        if not arrays:
            both = (mat.field(node, "filters"), mat.field(node, "biases"))
            arrays = [array for array in both if array is not None]
        if kind == "conv" and len(arrays) == 2:
            filters, biases = map(mat.array, arrays)
            yield checked(name, _turned(name, filters), _tensor(biases))
        elif kind not in WITHOUT or arrays:
            raise StoreError(
                f"{name!r} is a {kind} with {plural(len(arrays), 'array')}, which VGG-Face has not"
            )


def _turned(name: str, filters: np.ndarray) -> Tensor:
    """From MATLAB's height, width, channels, filters to (filters, channels, height, width)."""
    if filters.ndim > 4:
        raise StoreError(f"{name} has weights {filters.shape}, expected four axes")
    # MATLAB leaves out axes of one at the end.
    whole = filters.reshape(filters.shape + (1,) * (4 - filters.ndim))
    return _tensor(whole.transpose(3, 2, 0, 1))


def _tensor(array: np.ndarray) -> Tensor:
    """A copy of its own in float32, C order."""
    check_size("an array", array.size)
    return torch.from_numpy(np.array(array, dtype=np.float32, order="C"))


def _mean(mat: Variables, net: Any) -> tuple[tuple[float, ...] | None, str]:
    """The mean of each channel in 0..255, and where it is from.

    `averageImage` is that, or a picture, over which it is taken; where it is empty or not there,
    the published mean is meant.

    Raises:
        StoreError: it is not three numbers in 0..255, nor a picture of three channels.
    """
    image, origin = None, "averageImage"
    for place in (mat.field(net, "meta"), net):
        if image is None:
            image = mat.field(mat.field(place, "normalization"), "averageImage")
    if image is None or not (values := mat.array(image).astype(np.float64)).size:
        return None, "published"
    if values.size != 3 and values.ndim == 3 and values.shape[2] == 3:
        spread = float(np.ptp(values, axis=(0, 1)).max())
        values = values.mean((0, 1))
        origin += f", a picture whose pixels differ by up to {spread:.1f} of 255"
    if values.size != 3 or not all(0 <= each <= 255 for each in values.flat):
        raise StoreError("its averageImage has no three means in 0 to 255")
    return tuple(map(float, values.flat)), origin
