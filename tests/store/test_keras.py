"""Networks of Keras, beside an evaluation in numpy with the channels last, as Keras has them."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

import maxprune
from maxprune.errors import StoreError, UsageError
from maxprune.measure import macs
from maxprune.store.keras import read_keras

RANDOM = np.random.default_rng(0)
KERNEL = {"kernel_size": [3, 3], "strides": [2, 2], "padding": "same", "use_bias": True}
POINT = {"kernel_size": [1, 1], "strides": [1, 1], "padding": "same", "use_bias": False}
NORM = {"axis": -1, "epsilon": 0.001, "momentum": 0.99, "scale": True, "center": True}
POOL = {"pool_size": [2, 2], "strides": [2, 2], "padding": "valid"}
Layer = tuple[str, str, dict[str, Any], list[str]]

LAYERS: list[Layer] = [
    ("InputLayer", "in", {"batch_input_shape": [None, 7, 6, 2]}, []),
    ("Conv2D", "a", {**KERNEL, "filters": 3, "activation": "relu"}, ["in"]),
    ("BatchNormalization", "norm", NORM, ["a"]),
    ("Activation", "relu", {"activation": "relu"}, ["norm"]),
    ("Conv2D", "b", {**POINT, "filters": 3, "activation": "linear"}, ["relu"]),
    ("Add", "sum", {}, ["a", "b"]),
    ("Concatenate", "both", {"axis": -1}, ["sum", "relu"]),
    ("MaxPooling2D", "pool", {**POOL, "strides": [2, 1]}, ["both"]),
    ("Flatten", "flat", {}, ["pool"]),
    ("Dropout", "drop", {"rate": 0.5}, ["flat"]),
    ("Dense", "out", {"units": 4, "use_bias": True, "activation": "softmax"}, ["drop"]),
]
ARRAYS = {
    "a": {"kernel": (3, 3, 2, 3), "bias": (3,)},
    "norm": {"gamma": (3,), "beta": (3,), "moving_mean": (3,), "moving_variance": (3,)},
    "b": {"kernel": (1, 1, 3, 3)},
    "out": {"kernel": (2 * 2 * 6, 4), "bias": (4,)},
}
VALUES = {
    layer: {n: RANDOM.uniform(0.2, 1.2, shape) - (n == "kernel") * 0.7 for n, shape in own.items()}
    for layer, own in ARRAYS.items()
}


def written(
    folder: Path, layers: list[Layer], values: dict[str, dict[str, np.ndarray]], **top: Any
) -> tuple[Path, Path]:
    """The two files, as Keras 2.1 writes them."""
    model = [
        {
            "class_name": kind, "name": name, "config": {"name": name, **config},
            "inbound_nodes": [[[read, 0, 0, {}] for read in reads]] if reads else [],
        }
        for kind, name, config, reads in layers
    ]  # fmt: skip
    text = folder / "net.json"
    text.write_text(json.dumps({"class_name": "Model", "config": {"layers": model}, **top}))
    with h5py.File(folder / "net.h5", "w") as file:
        file.attrs["layer_names"] = [name.encode() for _, name, _, _ in layers]
        for _, name, _, _ in layers:
            group, own = file.create_group(name), values.get(name, {})
            group.attrs["weight_names"] = [f"{name}_1/{leaf}:0".encode() for leaf in own]
            for leaf, value in own.items():
                group[f"{name}_1/{leaf}:0"] = value.astype(np.float32)
    return text, folder / "net.h5"


def convolved(
    x: np.ndarray, kernel: np.ndarray, rows: int, columns: int, stride: int
) -> np.ndarray:
    """Window by window; x is already padded."""
    size = kernel.shape[0]
    out = np.empty((len(x), rows, columns, kernel.shape[3]))
    for i in range(rows):
        for j in range(columns):
            window = x[:, i * stride : i * stride + size, j * stride : j * stride + size]
            out[:, i, j] = np.tensordot(window, kernel, 3)
    return out


def evaluated(x: np.ndarray) -> np.ndarray:
    """Before the softmax; 7 rows get a zero on both sides, 6 columns one behind."""
    v = VALUES
    x = np.pad(x, ((0, 0), (1, 1), (0, 1), (0, 0)))
    a = np.maximum(convolved(x, v["a"]["kernel"], 4, 3, 2) + v["a"]["bias"], 0)
    norm = v["norm"]
    scaled = (a - norm["moving_mean"]) / np.sqrt(norm["moving_variance"] + 0.001)
    relu = np.maximum(scaled * norm["gamma"] + norm["beta"], 0)
    total = a + convolved(relu, v["b"]["kernel"], 4, 3, 1)
    both = np.concatenate([total, relu], 3)
    pooled = np.stack(
        [np.stack([both[:, i : i + 2, j : j + 2].max((1, 2)) for j in (0, 1)], 1) for i in (0, 2)],
        1,
    )
    return pooled.reshape(len(x), -1) @ v["out"]["kernel"] + v["out"]["bias"]


def test_it_gives_what_keras_gives(tmp_path: Path) -> None:
    x = RANDOM.standard_normal((5, 7, 6, 2))
    mean = RANDOM.standard_normal((7, 6, 2))
    files = written(tmp_path, LAYERS, VALUES)
    turned = torch.from_numpy(x).float().permute(0, 3, 1, 2)
    with torch.no_grad():
        plain = read_keras(*files)(turned)
        less = read_keras(*files, torch.from_numpy(mean).permute(2, 0, 1))(turned)
    np.testing.assert_allclose(plain.numpy(), evaluated(x), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(less.numpy(), evaluated(x - mean), rtol=1e-4, atol=1e-5)
    assert read_keras(*files).norm.momentum == 0.01


def test_it_is_saved_and_cut_like_any_other(tmp_path: Path) -> None:
    net = read_keras(*written(tmp_path, LAYERS, VALUES), torch.rand(2, 7, 6))
    maxprune.save(net, tmp_path / "saved")
    x = torch.rand(3, 2, 7, 6)
    with torch.no_grad():
        assert torch.equal(maxprune.load(tmp_path / "saved")(x), net(x))
    groups = maxprune.channel_groups(net, x)
    assert [group.name for group in groups] == ["a", "out"]
    maxprune.export_onnx(net, tmp_path / "net.onnx", x)


def test_a_sequential_model_and_a_file_of_the_whole_model(tmp_path: Path) -> None:
    layers = [
        {"class_name": "Flatten", "config": {"name": "f", "batch_input_shape": [None, 2, 3, 1]}},
        {"class_name": "Dense", "config": {"name": "d", "units": 2, "use_bias": False,
                                           "activation": "linear"}},
    ]  # fmt: skip
    (tmp_path / "net.json").write_text(json.dumps({"config": layers}))
    kernel = RANDOM.standard_normal((6, 2)).astype(np.float32)
    with h5py.File(tmp_path / "net.h5", "w") as file:
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = ["f", "d"]
        group.create_group("f").attrs["weight_names"] = []
        group.create_group("d").attrs["weight_names"] = ["d/kernel:0"]
        group["d/d/kernel:0"] = kernel
    net = read_keras(tmp_path / "net.json", tmp_path / "net.h5")
    x = RANDOM.standard_normal((4, 2, 3, 1)).astype(np.float32)
    found = net(torch.from_numpy(x).permute(0, 3, 1, 2)).detach().numpy()
    np.testing.assert_allclose(found, x.reshape(4, 6) @ kernel, rtol=1e-5)


def test_global_pooling_is_the_mean_of_every_map(tmp_path: Path) -> None:
    layers: list[Layer] = [LAYERS[0], ("GlobalAveragePooling2D", "mean", {}, ["in"])]
    x = torch.rand(2, 2, 7, 6)
    torch.testing.assert_close(read_keras(*written(tmp_path, layers, {}))(x), x.mean((2, 3)))


def changed(name: str, **config: Any) -> list[Layer]:
    return [(k, n, {**c, **config} if n == name else c, r) for k, n, c, r in LAYERS]


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([LAYERS[0], ("Lambda", "z", {}, ["in"])], "layer 'z' is a Lambda, which is not read here"),
        (changed("a", dilation_rate=[2, 2]), "layer 'a': dilation and channels first"),
        (changed("a", data_format="channels_first"), "layer 'a': dilation and channels first"),
        (changed("a", activation="selu"), "layer 'a': the activation 'selu' is not read here"),
        (changed("relu", activation="softmax"), "layer 'relu': the activation 'softmax'"),
        (changed("norm", axis=1), "layer 'norm': a batch norm of another kind"),
        (changed("norm", scale=False), "layer 'norm': a batch norm of another kind"),
        (changed("both", axis=1), "layer 'both': only channels are concatenated"),
        (changed("flat", data_format="channels_first"), "layer 'flat': channels first"),
        (
            [*LAYERS[:9], ("BatchNormalization", "late", NORM, ["flat"])],
            "layer 'late': a BatchNormalization behind a flattening is not read here",
        ),
        (changed("pool", padding="same"), "layer 'pool': pooling with padding"),
        (changed("a", filters=None), "layer 'a' cannot be read"),
        (changed("out", units=5), "net.h5 does not fit net.json"),
        (
            [*LAYERS[:1], ("Conv2D", "a", LAYERS[1][2], ["gone"])],
            "layer 'a' cannot be read: 'gone'",
        ),
    ],
)
def test_what_is_not_read_is_named(tmp_path: Path, layers: list[Layer], message: str) -> None:
    with pytest.raises(StoreError, match=message) as caught:
        read_keras(*written(tmp_path, layers, VALUES))
    assert "\n" not in str(caught.value)


def test_files_that_are_none_are_refused(tmp_path: Path) -> None:
    text, weights = written(tmp_path, LAYERS, VALUES)
    with pytest.raises(StoreError, match="No such file"):
        read_keras(tmp_path / "no.json", weights)
    with pytest.raises(StoreError, match="no weights of Keras"):
        read_keras(text, text)
    with pytest.raises(StoreError, match=r"net\.h5 is no network of Keras"):
        read_keras(weights, weights)
    (tmp_path / "odd.json").write_text('{"config": 3}')
    with pytest.raises(StoreError, match=r"odd\.json is no network of Keras"):
        read_keras(tmp_path / "odd.json", weights)
    with pytest.raises(StoreError, match=r"the mean is \(2, 6, 7\), the pictures are \(2, 7, 6\)"):
        read_keras(text, weights, torch.zeros(2, 6, 7))
    missing = {name: own for name, own in VALUES.items() if name != "b"}
    with pytest.raises(StoreError, match=r"net\.h5 does not fit net\.json"):
        read_keras(*written(tmp_path, LAYERS, missing))
    with pytest.raises(StoreError, match="'b' has 'gain', which is not known here"):
        read_keras(*written(tmp_path, LAYERS, {**VALUES, "b": {"gain": np.ones(3)}}))


def test_a_layer_that_is_used_twice_is_refused(tmp_path: Path) -> None:
    text, weights = written(tmp_path, LAYERS, VALUES)
    model = json.loads(text.read_text())
    model["config"]["layers"][1]["inbound_nodes"] *= 2
    text.write_text(json.dumps(model))
    with pytest.raises(StoreError, match="'a' is used several times"):
        read_keras(text, weights)


def test_what_reads_the_input_itself_reads_it(tmp_path: Path) -> None:
    layers: list[Layer] = [
        LAYERS[0],
        ("Activation", "r", {"activation": "relu"}, ["in"]),
        ("Add", "sum", {}, ["in", "r"]),
        ("Concatenate", "both", {"axis": [3]}, ["sum", "in"]),
    ]
    x = torch.randn(2, 2, 7, 6)
    files = written(tmp_path, layers, {})
    expected = torch.cat([x + x.relu(), x], 1)
    torch.testing.assert_close(read_keras(*files)(x), expected)
    mean = torch.randn(2, 7, 6)
    torch.testing.assert_close(read_keras(*files, mean)(x + mean), expected, atol=1e-5, rtol=1e-5)


def test_the_order_of_a_flattening_is_followed_through_an_activation(tmp_path: Path) -> None:
    kernel = RANDOM.standard_normal((12, 3)).astype(np.float32)
    layers: list[Layer] = [
        ("InputLayer", "in", {"batch_input_shape": [None, 2, 3, 2]}, []),
        ("Flatten", "flat", {}, ["in"]),
        ("Activation", "r", {"activation": "relu"}, ["flat"]),
        ("Dense", "d", {"units": 3, "use_bias": False, "activation": "linear"}, ["r"]),
        ("BatchNormalization", "norm", NORM, ["d"]),
    ]
    numbers = {"gamma": 2.0, "beta": 1.0, "moving_mean": 0.0, "moving_variance": 0.999}
    norm = {name: np.full(3, value) for name, value in numbers.items()}
    net = read_keras(*written(tmp_path, layers, {"d": {"kernel": kernel}, "norm": norm}))
    x = RANDOM.standard_normal((4, 2, 3, 2)).astype(np.float32)
    found = net(torch.from_numpy(x).permute(0, 3, 1, 2)).detach().numpy()
    np.testing.assert_allclose(found, np.maximum(x.reshape(4, 12), 0) @ kernel * 2 + 1, rtol=1e-4)


def test_a_kernel_of_another_length_is_refused(tmp_path: Path) -> None:
    values = {**VALUES, "out": {**VALUES["out"], "kernel": np.ones((23, 4))}}
    with pytest.raises(StoreError, match=r"net\.h5 does not fit net\.json"):
        read_keras(*written(tmp_path, LAYERS, values))


@pytest.mark.parametrize(
    ("top", "message"),
    [
        ({"input_layers": [["in", 0, 0], ["b", 0, 0]]}, "has 2 inputs; one is read here"),
        ({"output_layers": [["a", 0, 0], ["out", 0, 0]]}, "has 2 outputs; one is read here"),
        ({"output_layers": [["a", 0, 0]]}, "the output is not the last layer"),
    ],
)
def test_one_input_and_the_last_layer_as_output(
    tmp_path: Path, top: dict[str, Any], message: str
) -> None:
    text, weights = written(tmp_path, LAYERS, VALUES)
    model = json.loads(text.read_text())
    model["config"] |= top
    text.write_text(json.dumps(model))
    with pytest.raises(StoreError, match=message):
        read_keras(text, weights)


def test_without_the_package_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = written(tmp_path, LAYERS, VALUES)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(UsageError, match="pip install h5py"):
        read_keras(*files)


AUTHORS = {0: 116_826_752, 4: 81_437_312, 8: 53_992_064}


@pytest.mark.parametrize("iteration", AUTHORS)
def test_the_networks_of_the_authors_of_pls_pruning(iteration: int) -> None:
    folder = Path(os.environ.get("MAXPRUNE_DATA", "")) / "resnet56-pls"
    if not folder.is_dir():
        pytest.skip("MAXPRUNE_DATA has no resnet56-pls/")
    net = read_keras(folder / f"iteration{iteration}.json", folder / f"iteration{iteration}.h5")
    assert macs(net, (3, 32, 32)) == AUTHORS[iteration]
    groups = maxprune.channel_groups(net, torch.rand(2, 3, 32, 32))
    inner = [group for group in groups if len(group.layers) == 1 and not group.reason]
    assert len(inner) == 27


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("config", "layers"), []),
        (("config",), []),
        (("config", "layers", 1, "config", "strides"), [0, 0]),
        (("config", "layers", 1, "config", "filters"), -1),
        (("config", "layers", 1, "config", "name"), "out"),
        (("config", "layers", 1, "config"), None),
    ],
)
def test_a_damaged_description_is_refused(
    tmp_path: Path, where: tuple[str | int, ...], value: Any
) -> None:
    text, weights = written(tmp_path, LAYERS, VALUES)
    model = json.loads(text.read_text())
    part = model
    for key in where[:-1]:
        part = part[key]
    part[where[-1]] = value
    text.write_text(json.dumps(model))
    with pytest.raises(StoreError, match=r"net\.json|layer 'norm'"):
        read_keras(text, weights)


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    kernel = VALUES["out"]["kernel"].copy()
    kernel[0] = np.nan
    values = {**VALUES, "out": {**VALUES["out"], "kernel": kernel}}
    with pytest.raises(StoreError, match=r"out\.weight is not finite"):
        read_keras(*written(tmp_path, LAYERS, values))
