"""Weights of VGG-Face (Parkhi, Vedaldi and Zisserman 2015) as a network that takes [0, 1]."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from maxprune.errors import MaxpruneError, StoreError, UsageError, first_line
from maxprune.networks.weighted import weighted_layers
from maxprune.store.parts import DESCRIPTION, WEIGHTS
from maxprune.store.vgg_face.caffe import read_caffe
from maxprune.store.vgg_face.fit import arranged, fitted, published, subtracting
from maxprune.store.vgg_face.layers import LIMIT, Colours, Found, check_finite
from maxprune.store.vgg_face.matconvnet import read_matconvnet, read_matconvnet_hdf5
from maxprune.store.vgg_face.tensors import read_safetensors, read_torch

MEAN = (129.1863, 104.7624, 93.5940)  # red, green, blue of the training pictures, in 0..255


@dataclass(frozen=True, eq=False)
class Converted:
    """A network with published weights.

    Attributes:
        model: takes pictures (batch, 3, height, width) with red first, in [0, 1].
        mean: of red, green and blue, in [0, 1], that has to be taken away from the pictures before:
            give it to `Pictures(images, mean=...)`; () where the network does it itself.
        about: `format`, `colours` (the order in the file), `file` (its name) and `mean` (where it
            is from), to be saved beside the network.
    """

    model: nn.Module
    mean: tuple[float, ...]
    about: dict[str, str]


def read_vgg_face(
    path: str | Path, network: nn.Module | None = None, colours: Colours | None = None
) -> Converted:
    """VGG-Face from a file of Caffe, MatConvNet, torch or safetensors, told by its content.

    The published network takes pictures in 0..255 less the mean of each colour. Here the first
    convolution is turned to red first and multiplied by 255, which is exact up to the rounding of
    its weights. The mean cannot be a part of a convolution with zeros around: a layer in front of
    it, `mean`, takes it away.

    Args:
        path: a `.caffemodel`, a `.mat` of MATLAB 5 to 7.3, a state dict of torch or safetensors;
            2 GiB at most, with weights for pictures in 0..255.
        network: what the weights are filled into; left as it is where they do not fit. None
            builds VGG16 as published (`networks.vgg_face`), in the widths, picture size and
            identities of the file, in evaluation mode. Any other arrangement of layers has to be
            given; without a layer `Subtract` of its own, it takes pictures less `mean`.
        colours: the order of the channels that the file's network takes. By default blue first
            ("bgr") for Caffe and for state dicts that say conv_1_1, as ports of the network for
            Lua's torch do, else red first ("rgb").

    Returns:
        The network, with the mean of the file (MatConvNet's `averageImage`) or the published one,
        and its origin.

    Raises:
        UsageError: there is no such file, it is part of a saved model, or the package that reads
            it is not installed.
        StoreError: the file is damaged or of another format, or has other layers; the first that
            does not fit is named.

    The descriptors of faces are then, from 224x224 pixels in the middle of each picture,

        model = read_vgg_face("VGG_FACE.caffemodel").model
        pictures = maxprune.data.read_folder("pictures", size=(3, 224, 224)).train
        rows = maxprune.measure.descriptors(model, "relu7", pictures.batches(32))
    """
    path = Path(path)
    if colours not in (None, "rgb", "bgr"):
        raise UsageError(f"colours are 'rgb' or 'bgr', not {colours!r}")
    kind, reader = _reader(path)
    try:
        found = _read(reader, path)
        order = colours or found.colours
        mean = found.mean if order == "rgb" else found.mean and found.mean[::-1]
        mean = tuple(each / 255 for each in mean or MEAN)
        model = _filled(found, network, order, mean)
    except StoreError as error:
        raise StoreError(f"{path} cannot be read: {error}") from error
    about = {"format": kind, "colours": order, "file": path.name, "mean": found.mean_from}
    return Converted(model, mean if subtracting(model) is None else (), about)


def _reader(path: Path) -> tuple[str, Callable[[Path], Found]]:
    """The format by the first bytes of the file; what has no mark of its own may be Caffe's."""
    if path.name == WEIGHTS and path.with_name(DESCRIPTION).exists():
        raise UsageError(f"{path} is part of a saved model; open it with maxprune.load")
    try:
        with path.open("rb") as file:
            head, size = file.read(520), path.stat().st_size
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
    if size > LIMIT:
        raise StoreError(f"{path} cannot be read: it has {size} bytes, VGG-Face has 580 million")
    if head[124:128] in (b"\x00\x01IM", b"\x01\x00MI"):
        return "MatConvNet", read_matconvnet
    if b"\x89HDF\r\n\x1a\n" in (head[:8], head[512:]):
        return "MatConvNet", read_matconvnet_hdf5
    if head.startswith((b"PK\x03\x04", b"\x80")):
        return "torch", read_torch
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < size:
        return "safetensors", read_safetensors
    return "Caffe", read_caffe


def _read(reader: Callable[[Path], Found], path: Path) -> Found:
    """What a reader gives; whatever another library raises means that the file is damaged."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return reader(path)
    except MaxpruneError:
        raise
    except MemoryError as error:
        raise StoreError("there is not enough memory for it") from error
    except Exception as error:
        raise StoreError(f"it is damaged ({first_line(error)})") from error


def _filled(
    found: Found, network: nn.Module | None, colours: Colours, mean: Sequence[float]
) -> nn.Module:
    """The network with the weights, for pictures with red first in [0, 1]."""
    if network is None:
        network, state = published(found, mean)
    else:
        state = fitted(network, arranged(found, list(weighted_layers(network))), mean)
    first = next(iter(state))
    state[first] = (state[first].flip(1) if colours == "bgr" else state[first]) * 255
    check_finite(f"{first} times 255 has numbers", state[first])
    meta = any(weight.is_meta for weight in network.parameters())
    network.load_state_dict(state, assign=meta)
    return network
