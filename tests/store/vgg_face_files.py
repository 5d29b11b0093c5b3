"""VGG-Face in every format, written without the code that reads them; and a small one."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scipy.io import savemat
from torch import Tensor, nn

from maxprune.errors import StoreError
from maxprune.networks import vgg_face
from maxprune.store import read_vgg_face

BLOCKS = ((2, 3), (3, 2), (2, 3, 2), (3, 2, 2), (2, 2, 4))
HIDDEN, IDENTITIES, SIZE = (5, 6), 7, 64  # fc6 takes 4 channels of 2 x 2
NUMBERS = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)  # of torchvision's VGG16
MEAN = (140.5, 100.25, 80.75)  # not the published one
KINDS = {"conv": (4, "Convolution"), "fc": (14, "InnerProduct"), "relu": (18, "ReLU"),
         "prob": (20, "Softmax")}  # fmt: skip
State = dict[str, Tensor]


def published() -> nn.Module:
    """It takes red, green, blue in 0..255 less the mean; its outputs are of the order of one."""
    network = vgg_face(BLOCKS, HIDDEN, SIZE, 3, IDENTITIES).eval()
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() == 1:
                parameter.uniform_(-0.1, 0.3)
            else:
                parameter.uniform_(-0.5, 1).mul_(4 / parameter[0].numel())
        network.conv1_1.weight /= 50
    return network


def state_of(network: nn.Module, colours: str = "rgb") -> State:
    """Its weights by their published names, as a network of this order of colours has them."""
    state = {name: value.clone() for name, value in network.state_dict().items()}
    if colours == "bgr":
        state["conv1_1.weight"] = state["conv1_1.weight"].flip(1)
    return state


def layer_names(state: Mapping[str, Tensor]) -> list[str]:
    return list(dict.fromkeys(key.rpartition(".")[0] for key in state))


def varint(number: int) -> bytes:
    low, rest = number & 127, number >> 7
    return bytes([low | 128]) + varint(rest) if rest else bytes([low])


def entry(number: int, content: bytes | int) -> bytes:
    """One field of a message."""
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def packed(values: np.ndarray) -> bytes:
    """The field `data`."""
    return entry(5, values.astype("<f4").tobytes())


def unpacked(values: np.ndarray) -> bytes:
    """The same, one field a number."""
    return b"".join(varint(5 << 3 | 5) + struct.pack("<f", each) for each in values.flat)


def doubles(values: np.ndarray) -> bytes:
    """The field `double_data`."""
    return entry(8, values.astype("<f8").tobytes())


def caffe(state: State, old: bool, numbers: Callable[[np.ndarray], bytes] = packed) -> list[bytes]:
    """The fields of a NetParameter: its name, then one a layer."""
    fields = [entry(1, b"VGG_FACE_16_layers"), entry(3, b"data")]
    for name in [*(n for each in layer_names(state) for n in (each, f"relu_{each}")), "prob"]:
        kind = next(kind for start, kind in KINDS.items() if name.startswith(start))
        arrays = [state[key].numpy() for key in (f"{name}.weight", f"{name}.bias") if key in state]
        blobs = [blob(array, old, numbers) for array in arrays]
        if old:
            top = [entry(2, b"below"), entry(3, name.encode()), entry(4, name.encode())]
            own = [*top, entry(5, kind[0]), *(entry(6, each) for each in blobs)]
        else:
            top = [entry(1, name.encode()), entry(2, kind[1].encode()), entry(3, b"below")]
            own = [*top, *(entry(7, each) for each in blobs)]
        fields.append(entry(2 if old else 100, b"".join(own)))
    return fields


def blob(array: np.ndarray, old: bool, numbers: Callable[[np.ndarray], bytes] = packed) -> bytes:
    """A BlobProto: four axes, those of one first, in the old form."""
    if not old:
        dims = b"".join(map(varint, array.shape))
        return numbers(array) + entry(7, entry(1, dims))
    shape = (1,) * (4 - array.ndim) + array.shape
    return b"".join(entry(i, n) for i, n in enumerate(shape, 1)) + numbers(array)


def filters(state: State, name: str) -> np.ndarray:
    """Height, width, channels, filters; fc6 looks at the whole of its input."""
    weight = state[f"{name}.weight"]
    if name == "fc6":
        weight = as_convolution(state)["fc6.weight"]
    elif weight.dim() == 2:
        weight = weight[:, :, None, None]
    return np.asfortranarray(weight.permute(2, 3, 1, 0).numpy())


def matconvnet(state: State, fields: bool) -> list[dict[str, Any]]:
    """The layers of SimpleNN: weights in one cell, or in fields of their own as of old."""
    layers: list[dict[str, Any]] = []
    for name in layer_names(state):
        arrays = [filters(state, name), state[f"{name}.bias"].numpy()[None]]
        own = dict(zip(("filters", "biases"), arrays, strict=True))
        layer = own if fields else {"weights": cells(arrays)}
        layers.append({"name": name, "type": "conv", "stride": np.ones((1, 2)), **layer})
        layers.append({"name": f"relu_{name}", "type": "relu"} | ({} if fields else {
            "weights": cells([])}))  # fmt: skip
    return [*layers, {"name": "prob", "type": "softmax"}]


def cells(content: Sequence[Any]) -> np.ndarray:
    """A cell array of one row."""
    found = np.empty((1, len(content)), dtype=object)
    for i, each in enumerate(content):
        found[0, i] = each
    return found


def mat5(path: Path, top: Mapping[str, Any], packed: bool = True) -> None:
    """Variables in MATLAB's version 5, or 7 where it is packed."""
    with path.open("wb") as file:
        savemat(file, dict(top), do_compression=packed, long_field_names=True)


def mat73(path: Path, top: Mapping[str, Any]) -> None:
    """Variables in MATLAB's version 7.3: HDF5 behind a header."""
    with h5py.File(path, "w", userblock_size=512) as file:
        refs = file.create_group("#refs#")
        for name, value in top.items():
            _into(file, name, value, refs)
    with path.open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")


def _into(group: h5py.Group, name: str, value: Any, refs: h5py.Group) -> None:
    if isinstance(value, Mapping):
        own = group.create_group(name)
        for field, each in value.items():
            _into(own, field, each, refs)
    elif isinstance(value, str):
        group[name] = np.array([ord(sign) for sign in value], dtype=np.uint16)[:, None]
    elif value.dtype != object:
        group.create_dataset(name, data=value.T, compression="gzip" if value.size else None)
    elif not value.size:
        group[name] = np.array(value.shape, dtype=np.uint64)
        group[name].attrs["MATLAB_empty"] = np.uint8(1)
    else:
        own = group.create_dataset(name, value.T.shape, dtype=h5py.ref_dtype)
        for i, each in enumerate(value.flat):
            key = f"r{len(refs)}"
            _into(refs, key, each, refs)
            own[i, 0] = refs[key].ref


def meta(image: Any) -> dict[str, Any]:
    """The struct around `averageImage`."""
    size = np.array([[224.0, 224.0, 3.0]])
    return {"normalization": {"imageSize": size, "averageImage": image}}


def in_colour(mean: Sequence[float]) -> np.ndarray:
    """The mean as a picture of one pixel."""
    return np.array(mean, dtype=np.float32)[None, None]


def ports(state: State, prefix: str = "") -> State:
    """Named conv_1_1 as in ports of the network for Lua's torch, which takes blue first."""
    names = {f"{n}.": f"{n}.".replace("conv", "conv_") for n in layer_names(state)}
    return {prefix + names[key[: key.index(".") + 1]] + key.rpartition(".")[2]: value
            for key, value in state.items()}  # fmt: skip


def torchvision(state: State) -> State:
    """Named features.0 to classifier.6."""
    names = [*(f"features.{i}" for i in NUMBERS), *(f"classifier.{i}" for i in (0, 3, 6))]
    renamed = dict(zip(layer_names(state), names, strict=True))
    return {f"{renamed[key.rpartition('.')[0]]}.{key.rpartition('.')[2]}": value
            for key, value in state.items()}  # fmt: skip


def unknown(state: State) -> State:
    """Names that say nothing, in the order of the network."""
    renamed = {name: f"layer{i:02}" for i, name in enumerate(layer_names(state))}
    return {f"{renamed[key.rpartition('.')[0]]}.{key.rpartition('.')[2]}": value
            for key, value in state.items()}  # fmt: skip


def refused(path: Path, match: str, network: nn.Module | None = None) -> None:
    """The file is not read, with this reason in one line."""
    with pytest.raises(StoreError, match=match) as caught:
        read_vgg_face(path, network)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{path} cannot be read: ")


def as_convolution(state: State) -> State:
    """fc6 looks at the whole of its input as a convolution."""
    weight = state["fc6.weight"]
    side = 7 if weight.shape[1] == 512 * 7 * 7 else 2
    return state | {"fc6.weight": weight.unflatten(1, (-1, side, side))}


def write(path: Path, form: str, network: nn.Module) -> str:
    """The network in one of `FORMS`; its colours in the order of the format, which is returned."""
    colours = "bgr" if form.startswith("caffe") or form in FROM_LUA else "rgb"
    FORMS[form](path, state_of(network, colours))
    return colours


def _mat5(path: Path, state: State) -> None:
    net = {"layers": cells(matconvnet(state, False)), "meta": meta(in_colour(MEAN))}
    mat5(path, {"net": net})


def _mat5_old(path: Path, state: State) -> None:
    layers = cells(matconvnet(state, True))
    mat5(path, {"net": {**meta(in_colour(MEAN)), "layers": layers}}, packed=False)


def _mat5_bare(path: Path, state: State) -> None:
    mat5(path, {"layers": cells(matconvnet(state, False)), "meta": meta(in_colour(MEAN))})


def _mat73(path: Path, state: State) -> None:
    net = {"layers": cells(matconvnet(state, False)), "meta": meta(in_colour(MEAN))}
    mat73(path, {"net": net})


def _mat73_old(path: Path, state: State) -> None:
    mat73(path, {"layers": cells(matconvnet(state, True)), **meta(in_colour(MEAN))})


def _legacy(path: Path, state: State) -> None:
    torch.save(state, path, _use_new_zipfile_serialization=False)


FORMS: dict[str, Callable[[Path, State], object]] = {
    "caffe old": lambda path, state: path.write_bytes(b"".join(caffe(state, True))),
    "caffe new": lambda path, state: path.write_bytes(b"".join(caffe(state, False))),
    "caffe doubles": lambda path, state: path.write_bytes(b"".join(caffe(state, True, doubles))),
    "mat": _mat5,
    "mat old": _mat5_old,
    "mat bare": _mat5_bare,
    "mat 7.3": _mat73,
    "mat 7.3 old": _mat73_old,
    "torch": lambda path, state: torch.save(state, path),
    "torch legacy": _legacy,
    "torch port": lambda path, state: torch.save({"state_dict": ports(state, "module.")}, path),
    "safetensors port": lambda path, state: save_file(ports(state), path),
    "torch torchvision": lambda path, state: torch.save(torchvision(state), path),
    "torch unknown": lambda path, state: torch.save(unknown(state), path),
    "torch convolution": lambda path, state: torch.save(as_convolution(state), path),
    "torch half": lambda path, state: torch.save({k: v.half() for k, v in state.items()}, path),
    "safetensors": lambda path, state: save_file(state, path),
    "safetensors torchvision": lambda path, state: save_file(torchvision(state), path),
}
FROM_LUA = ("torch port", "safetensors port")
