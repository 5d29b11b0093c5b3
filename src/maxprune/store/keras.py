"""Networks of Keras 2: a JSON file of the layers and an HDF5 file of the weights.

Read are plain convolutional networks as `Model.to_json` and `Model.save_weights` write them, with
the channels last: convolutions, batch norm, ReLU, sums, concatenations, pooling, linear layers. A
softmax at the end is left out, so the network gives what it is taken of.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from maxprune.errors import StoreError, UsageError, first_line
from maxprune.networks.described import INPUT, described
from maxprune.store.hdf5 import numbers, try_hdf5

Shape: TypeAlias = tuple[int, ...]  # (channels, height, width), or (features,)
Config: TypeAlias = Mapping[str, Any]

NAMES = {
    "kernel": "weight", "gamma": "weight", "beta": "bias", "bias": "bias",
    "moving_mean": "running_mean", "moving_variance": "running_var",
}  # fmt: skip


def read_keras(
    architecture: Path, weights: Path, mean: Float[Tensor, "c h w"] | None = None
) -> nn.Module:
    """A network of Keras as a torch network, in evaluation mode.

    It takes pictures with the channels first. Where Keras pads one side more than the other, a
    layer of its own does; a linear layer behind a flattening has its weights in the other order.

    Args:
        architecture: the JSON file.
        weights: the HDF5 file.
        mean: taken away from every picture first, as a part of the network.

    Raises:
        StoreError: a file is damaged, has a layer that is not known here, or they do not fit.
        UsageError: the package h5py is not installed.
    """
    try:
        return _converted(architecture, weights, mean)
    except StoreError:
        raise
    except UsageError as error:
        if isinstance(error.__cause__, ImportError):
            raise
        raise StoreError(f"{architecture.name} is no network of Keras: {error}") from error
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise StoreError(
            f"{architecture.name} is no network of Keras: {first_line(error)}"
        ) from error


def _converted(architecture: Path, weights: Path, mean: Float[Tensor, "c h w"] | None) -> nn.Module:
    """The network, without a guard against damaged files."""
    found = _Converted(_layers(architecture), mean)
    with torch.device("meta"):  # no memory for what a description alone claims
        network = described(found.layers)
    given = {f"{found.first}.mean": mean.float()} if mean is not None else {}
    arrays_of: dict[str, tuple[np.ndarray, Shape | None]] = {}
    for layer, arrays in _weights(weights).items():
        for name, array in arrays.items():
            if name not in NAMES:
                raise StoreError(f"{weights.name}: {layer!r} has {name!r}, which is not known here")
            arrays_of[f"{layer}.{NAMES[name]}"] = array, found.flattened.get(layer)
    counts = [name for name in network.state_dict() if name.endswith("num_batches_tracked")]
    given |= {name: torch.tensor(0) for name in counts}
    try:
        given |= {name: _turned(*array) for name, array in arrays_of.items()}
        wrong = [name for name, value in given.items() if not bool(value.isfinite().all())]
        if wrong:
            raise StoreError(f"{weights.name}: {wrong[0]} is not finite")
        network.load_state_dict(given, assign=True)
    except RuntimeError as error:
        why = str(error).splitlines()[-1].strip()
        raise StoreError(f"{weights.name} does not fit {architecture.name}: {why}") from error
    return network.eval()


def _layers(path: Path) -> list[dict[str, Any]]:
    """The layers of a model, functional or sequential: `kind`, `config`, `reads`."""
    try:
        config = json.loads(path.read_text())["config"]
        layers = config["layers"] if isinstance(config, dict) else config
        ends = {"inputs": [], "outputs": []} if isinstance(config, list) else {
            "inputs": config.get("input_layers", []), "outputs": config.get("output_layers", []),
        }  # fmt: skip
        for kind, several in ends.items():
            if len(several) > 1:
                raise StoreError(f"{path.name} has {len(several)} {kind}; one is read here")
        if any(entry[0] != layers[-1]["config"]["name"] for entry in ends["outputs"]):
            raise StoreError(f"{path.name}: the output is not the last layer, as is read here")
        found: list[dict[str, Any]] = []
        for layer in layers:
            nodes = layer.get("inbound_nodes", [])
            if len(nodes) > 1:
                raise StoreError(f"{path.name}: {layer['name']!r} is used several times")
            kind, own = str(layer["class_name"]), dict(layer["config"])
            if not found and kind != "InputLayer":
                shape = {"name": "input", "batch_input_shape": own["batch_input_shape"]}
                found.append({"kind": "InputLayer", "config": shape, "reads": []})
            before = [found[-1]["config"]["name"]] if found else []
            reads = [str(node[0]) for node in nodes[0]] if nodes else before
            found.append({"kind": kind, "config": own, "reads": reads})
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise StoreError(f"{path.name} is no network of Keras: {first_line(error)}") from error
    if len(found) < 2:
        raise StoreError(f"{path.name} has no layers")
    return found


def _weights(path: Path) -> dict[str, dict[str, np.ndarray]]:
    """The arrays of every layer, by their names in Keras."""
    check_h5py()
    import h5py

    found: dict[str, dict[str, np.ndarray]] = {}
    try:
        try_hdf5(path)
        with h5py.File(path, "r") as file:
            group = file.get("model_weights", file)
            for layer in map(_text, group.attrs["layer_names"]):
                for key in map(_text, group[layer].attrs["weight_names"]):
                    leaf = key.rpartition("/")[2].partition(":")[0]
                    found.setdefault(layer, {})[leaf] = numbers(group[layer][key], key)
    except (OSError, KeyError) as error:
        raise StoreError(f"{path}: no weights of Keras: {first_line(error)}") from error
    return found


def check_h5py() -> None:
    """Refuse to go on without the package that reads HDF5.

    Raises:
        UsageError: it is not installed.
    """
    try:
        import h5py  # noqa: F401
    except ImportError as error:
        raise UsageError("files of Keras need the package h5py: pip install h5py") from error


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def _turned(array: np.ndarray, flattened: Shape | None) -> Tensor:
    """Weights with the outputs first, then the inputs, then height and width."""
    value = torch.from_numpy(array).float()
    if value.dim() == 4:
        return value.permute(3, 2, 0, 1).contiguous()
    if value.dim() == 2:
        if flattened and len(flattened) == 3:
            channels, height, width = flattened
            value = value.unflatten(0, (height, width, channels)).permute(2, 0, 1, 3).flatten(0, 2)
        return value.T.contiguous()
    return value


class _Converted:
    """The layers of Keras as `described` takes them.

    Attributes:
        layers: in their order.
        first: the name of the layer that takes the mean away.
        flattened: of each linear layer behind a flattening, what was flattened.
    """

    def __init__(self, layers: Sequence[Mapping[str, Any]], mean: Tensor | None) -> None:
        self.layers: list[dict[str, Any]] = []
        self.flattened: dict[str, Shape] = {}
        self.mean, self.first = mean, ""
        self._shapes: dict[str, Shape] = {}
        self._ends: dict[
            str, str
        ] = {}  # a layer of Keras to the last layer here that is part of it
        self._flat: dict[str, Shape] = {}
        for layer in layers:
            kind, config, reads = layer["kind"], layer["config"], layer["reads"]
            name = str(config["name"])
            if kind not in KINDS:
                raise StoreError(f"layer {name!r} is a {kind}, which is not read here")
            try:
                self._ends[name] = self._ends[reads[0]] if reads else INPUT
                self._flatness(kind, name, reads)
                self._shapes[name] = KINDS[kind](self, name, config, reads)
                self._activated(name, config.get("activation", "linear"), layer is layers[-1])
            except (KeyError, TypeError, ValueError, IndexError) as error:
                raise StoreError(f"layer {name!r} cannot be read: {first_line(error)}") from error

    def _add(self, layer: str, kind: str, reads: Sequence[str], name: str = "", **own: Any) -> None:
        """One more layer here, at the end of a layer of Keras."""
        name = name or layer
        self.layers.append({"name": name, "kind": kind, "reads": list(reads), **own})
        self._ends[layer] = name

    def _of(self, reads: Sequence[str]) -> list[str]:
        return [self._ends[read] for read in reads]

    def _activated(self, name: str, activation: str, last: bool) -> None:
        """The activation that is part of a layer."""
        if activation == "relu":
            self._add(name, "relu", [self._ends[name]], f"{name}_relu")
        elif activation != "linear" and not (activation == "softmax" and last):
            raise StoreError(f"layer {name!r}: the activation {activation!r} is not read here")

    def start(self, name: str, config: Config, reads: Sequence[str]) -> Shape:
        """What comes in."""
        _, height, width, channels = config["batch_input_shape"]
        shape = (int(channels), int(height), int(width))
        if self.mean is not None:
            if tuple(self.mean.shape) != shape:
                raise StoreError(f"the mean is {tuple(self.mean.shape)}, the pictures are {shape}")
            self.first = f"{name}_mean"
            self._add(name, "subtract", [INPUT], self.first, shape=shape)
        return shape

    def convolution(self, name: str, config: Config, reads: Sequence[str]) -> Shape:
        """A convolution, with zeros around where it has them."""
        (channels, *space), end = self._shapes[reads[0]], self._of(reads)
        kernel, stride = config["kernel_size"], config["strides"]
        if list(config.get("dilation_rate", [1, 1])) != [1, 1] or _channels_first(config):
            raise StoreError(f"layer {name!r}: dilation and channels first are not read here")
        if config["padding"] == "same":
            edges = [_same(*each) for each in zip(space, kernel, stride, strict=True)]
            if any(a or b for a, b in edges):
                padding = [*edges[1], *edges[0]]  # left, right, top, bottom
                self._add(name, "pad", end, f"{name}_pad", padding=padding)
                end = [f"{name}_pad"]
            space = [n + a + b for n, (a, b) in zip(space, edges, strict=True)]
        filters = int(config["filters"])
        self._add(
            name, "convolution", end, in_channels=channels, out_channels=filters,
            kernel_size=list(kernel), stride=list(stride), bias=bool(config["use_bias"]),
        )  # fmt: skip
        return (filters, *_pooled(space, kernel, stride))

    def norm(self, name: str, config: Config, reads: Sequence[str]) -> Shape:
        """Batch norm over the channels."""
        shape = self._shapes[reads[0]]
        if not _is_last(config["axis"], shape) or not (config["scale"] and config["center"]):
            raise StoreError(f"layer {name!r}: a batch norm of another kind is not read here")
        kind = "batch norm" if len(shape) == 3 else "batch norm of a vector"
        self._add(
            name, kind, self._of(reads), num_features=shape[0],
            eps=float(config["epsilon"]), momentum=round(1 - float(config["momentum"]), 9),
        )  # fmt: skip
        return shape

    def _flatness(self, kind: str, name: str, reads: Sequence[str]) -> None:
        """Follow what was flattened: a linear layer behind it needs the order of its inputs."""
        flat = {self._flat.get(read, ()) for read in reads}
        if flat <= {()} or kind == "Dense":
            return
        if len(flat) > 1 or kind not in ("Activation", "Dropout", "Flatten", "Add"):
            raise StoreError(f"layer {name!r}: a {kind} behind a flattening is not read here")
        self._flat[name] = flat.pop()

    def nothing(self, name: str, config: Config, reads: Sequence[str]) -> Shape:
        """Nothing but the activation, which is added behind."""
        return self._shapes[reads[0]]

    def add(self, name: str, config: Config, reads: Sequence[str]) -> Shape:
        """A sum."""
        self._add(name, "add", self._of(reads))
        return self._shapes[reads[0]]

    def concatenate(self, name: str, config: Config, reads: Sequence[str]) -> Shape:
        """Channels side by side."""
        first = self._shapes[reads[0]]
        if not _is_last(config.get("axis", -1), first):
            raise StoreError(f"layer {name!r}: only channels are concatenated here")
        self._add(name, "concatenate", self._of(reads))
        return (sum(self._shapes[read][0] for read in reads), *first[1:])

    def pool(self, name: str, config: Config, reads: Sequence[str], kind: str) -> Shape:
        """Pooling without zeros around."""
        (channels, *space), size = self._shapes[reads[0]], config["pool_size"]
        if config["padding"] != "valid" or _channels_first(config):
            raise StoreError(f"layer {name!r}: pooling with padding is not read here")
        stride = config["strides"]
        self._add(name, kind, self._of(reads), kernel_size=list(size), stride=list(stride))
        return (channels, *_pooled(space, size, stride))

    def mean_of_all(self, name: str, config: Config, reads: Sequence[str]) -> Shape:
        """The mean of every map."""
        if _channels_first(config):
            raise StoreError(f"layer {name!r}: channels first are not read here")
        self._add(name, "adaptive average pool", self._of(reads), f"{name}_pool", output_size=1)
        self._add(name, "flatten", [f"{name}_pool"])
        return self._shapes[reads[0]][:1]

    def flatten(self, name: str, config: Config, reads: Sequence[str]) -> Shape:
        """All in one row."""
        shape = self._shapes[reads[0]]
        if _channels_first(config):
            raise StoreError(f"layer {name!r}: channels first are not read here")
        self._add(name, "flatten", self._of(reads))
        self._flat.setdefault(name, shape)
        return (math.prod(shape),)

    def dropout(self, name: str, config: Config, reads: Sequence[str]) -> Shape:
        """Zeros by lot in training."""
        self._add(name, "dropout", self._of(reads), p=float(config["rate"]))
        return self._shapes[reads[0]]

    def linear(self, name: str, config: Config, reads: Sequence[str]) -> Shape:
        """A linear layer."""
        (features,), units = self._shapes[reads[0]], int(config["units"])
        if reads[0] in self._flat:
            self.flattened[name] = self._flat[reads[0]]
        self._add(
            name, "linear", self._of(reads), in_features=features, out_features=units,
            bias=bool(config["use_bias"]),
        )  # fmt: skip
        return (units,)


def _is_last(axis: Any, shape: Shape) -> bool:
    """Whether an axis of Keras, the batch counted, is that of the channels."""
    return axis in (-1, len(shape), [-1], [len(shape)])


def _channels_first(config: Config) -> bool:
    return config.get("data_format") == "channels_first"


def _same(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and behind so that size / stride, rounded up, comes out; more of them behind."""
    zeros = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return zeros // 2, zeros - zeros // 2


def _pooled(space: Sequence[int], kernel: Sequence[int], stride: Sequence[int]) -> list[int]:
    return [(n - k) // s + 1 for n, k, s in zip(space, kernel, stride, strict=True)]


Handler: TypeAlias = Callable[[_Converted, str, Config, Sequence[str]], Shape]
KINDS: dict[str, Handler] = {
    "InputLayer": _Converted.start,
    "Conv2D": _Converted.convolution,
    "BatchNormalization": _Converted.norm,
    "Activation": _Converted.nothing,
    "Add": _Converted.add,
    "Concatenate": _Converted.concatenate,
    "MaxPooling2D": lambda c, name, config, reads: c.pool(name, config, reads, "max pool"),
    "AveragePooling2D": lambda c, name, config, reads: c.pool(name, config, reads, "average pool"),
    "GlobalAveragePooling2D": _Converted.mean_of_all,
    "Flatten": _Converted.flatten,
    "Dropout": _Converted.dropout,
    "Dense": _Converted.linear,
}
