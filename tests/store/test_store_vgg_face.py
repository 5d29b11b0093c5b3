"""Published weights of VGG-Face: every format gives the same network, and damage is refused."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
import vgg_face_files as files
from safetensors.torch import save_file
from torch import Tensor, nn

import maxprune
from maxprune.data.images import Images
from maxprune.data.samples import Pictures
from maxprune.errors import StoreError, UsageError
from maxprune.networks import vgg, vgg_face
from maxprune.store.vgg_face import Converted, read_vgg_face

PUBLISHED = (129.1863, 104.7624, 93.5940)
DAMAGED = "a variable of MATLAB is damaged, or not of the kind that MatConvNet writes"


@pytest.fixture(scope="module")
def original() -> nn.Module:
    return files.published()


@pytest.fixture(scope="module")
def pictures() -> Tensor:
    """Red, green and blue in [0, 1], in squares of eight pixels."""
    squares = torch.rand(5, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    return squares.repeat_interleave(8, 2).repeat_interleave(8, 3)


def check_same(
    converted: Converted, original: nn.Module, pictures: Tensor, mean: tuple[float, ...]
) -> None:
    """The converted network on [0, 1] gives what the original gives on 0..255."""
    with torch.no_grad():
        expected = original(pictures * 255 - torch.tensor(mean)[:, None, None])
        found = converted.model(pictures - torch.tensor(converted.mean)[:, None, None])
    assert expected.std(0).min() > 0.01  # the pictures do matter
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def refused(path: Path, match: str, network: nn.Module | None = None) -> None:
    with pytest.raises(StoreError, match=match) as caught:
        read_vgg_face(path, network)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{path} cannot be read: ")


@pytest.mark.parametrize("form", [form for form in files.FORMS if form != "torch half"])
def test_every_format_gives_the_published_network(
    form: str, original: nn.Module, pictures: Tensor, tmp_path: Path
) -> None:
    path = tmp_path / "weights.bin"  # the format is told by the content
    colours = files.write(path, form, original)
    before = torch.random.get_rng_state()
    converted = read_vgg_face(path)
    assert torch.equal(torch.random.get_rng_state(), before)
    mean = files.MEAN if form.startswith("mat") else PUBLISHED
    assert converted.mean == pytest.approx([each / 255 for each in mean])
    kind = {"caffe": "Caffe", "mat": "MatConvNet"}.get(form.split()[0], form.split()[0])
    origin = "averageImage" if form.startswith("mat") else "published"
    assert converted.about == {
        "format": kind, "colours": colours, "file": "weights.bin", "mean": origin,
    }  # fmt: skip
    assert not converted.model.training
    assert [*converted.model.state_dict()] == [*original.state_dict()]
    check_same(converted, original, pictures, mean)


def test_half_precision_is_read_as_single(
    original: nn.Module, pictures: Tensor, tmp_path: Path
) -> None:
    path = tmp_path / "net.pth"
    files.write(path, "torch half", original)
    halved = files.published()
    halved.load_state_dict({k: v.half().float() for k, v in original.state_dict().items()})
    converted = read_vgg_face(path)
    assert {value.dtype for value in converted.model.parameters()} == {torch.float32}
    check_same(converted, halved, pictures, PUBLISHED)


@pytest.mark.parametrize("form", ["torch", "mat", "safetensors"])
def test_blue_first_on_request(
    form: str, original: nn.Module, pictures: Tensor, tmp_path: Path
) -> None:
    """The mean of the file is in the order of its network, too."""
    path = tmp_path / "weights.bin"
    files.FORMS[form](path, files.state_of(original, "bgr"))
    converted = read_vgg_face(path, colours="bgr")
    mean = files.MEAN[::-1] if form == "mat" else PUBLISHED
    assert converted.about["colours"] == "bgr"
    check_same(converted, original, pictures, mean)


def test_red_first_on_request(original: nn.Module, pictures: Tensor, tmp_path: Path) -> None:
    path = tmp_path / "net.caffemodel"
    path.write_bytes(b"".join(files.caffe(files.state_of(original), old=True)))
    check_same(read_vgg_face(path, colours="rgb"), original, pictures, PUBLISHED)
    with pytest.raises(UsageError, match="colours are 'rgb' or 'bgr', not 'gbr'"):
        read_vgg_face(path, colours="gbr")  # type: ignore[arg-type]


def test_pictures_take_its_mean_and_it_is_saved(original: nn.Module, tmp_path: Path) -> None:
    files.write(tmp_path / "net.mat", "mat", original)
    converted = read_vgg_face(tmp_path / "net.mat")
    shape = (4, 3, files.SIZE, files.SIZE)
    raw = torch.randint(0, 256, shape, dtype=torch.uint8)
    samples = Pictures(Images(raw, torch.zeros(4, dtype=torch.long), 7), mean=converted.mean)
    ((x, _),) = samples.batches(4)
    maxprune.save(converted.model, tmp_path / "saved", about={**converted.about})
    with torch.no_grad():
        expected = original(raw.float() - torch.tensor(files.MEAN)[:, None, None])
        found = maxprune.load(tmp_path / "saved")(x)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert json.loads((tmp_path / "saved/model.json").read_text())["about"] == converted.about
    with pytest.raises(UsageError, match=r"is part of a saved model; open it with maxprune\.load"):
        read_vgg_face(tmp_path / "saved/model.safetensors")


@pytest.mark.parametrize(("image", "mean", "origin"), [
    (np.array([files.MEAN]), files.MEAN, "averageImage"),
    (np.array([[1, 0, 255]], dtype=np.uint8), (1, 0, 255), "averageImage"),
    (np.zeros((0, 0)), PUBLISHED, "published"),
    (None, PUBLISHED, "published"),
    (
        np.broadcast_to(files.in_colour(files.MEAN), (4, 6, 3)) + np.arange(4.0)[:, None, None],
        tuple(each + 1.5 for each in files.MEAN),
        "averageImage, a picture whose pixels differ by up to 3.0 of 255",
    ),
])  # fmt: skip
@pytest.mark.parametrize("writer", [files.mat5, files.mat73])
def test_the_mean_of_matconvnet(
    image: np.ndarray | None, mean: tuple[float, ...], origin: str,
    writer: Callable[..., None], original: nn.Module, tmp_path: Path,
) -> None:  # fmt: skip
    path = tmp_path / "net.mat"
    layers = files.cells(files.matconvnet(files.state_of(original), fields=False))
    if image is not None and not image.size and writer is files.mat73:
        image = np.empty((0, 0), dtype=object)  # written as MATLAB writes what is empty
    own = {} if image is None else files.meta(image)
    writer(path, {"net": {"layers": layers, "meta": {"sets": np.ones((1, 1)), **own}}})
    converted = read_vgg_face(path)
    assert converted.mean == pytest.approx([each / 255 for each in mean], abs=1e-6)
    assert converted.about["mean"] == origin


@pytest.mark.parametrize(
    "image", [np.full((1, 3), 256.0), np.full((1, 3), np.nan), np.ones((1, 2)), np.ones((3, 4, 4))]
)
def test_a_mean_that_cannot_be(image: np.ndarray, original: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "net.mat"
    layers = files.cells(files.matconvnet(files.state_of(original), fields=False))
    files.mat5(path, {"layers": layers, **files.meta(image)})
    refused(path, "its averageImage has no three means in 0 to 255")


def test_it_fills_a_given_network(original: nn.Module, pictures: Tensor, tmp_path: Path) -> None:
    path = tmp_path / "net.caffemodel"
    files.write(path, "caffe old", original)
    network = vgg_face(files.BLOCKS, files.HIDDEN, files.SIZE, 3, files.IDENTITIES)
    weight = network.fc8.weight
    converted = read_vgg_face(path, network)
    assert converted.model is network
    assert network.fc8.weight is weight
    assert network.training
    network.eval()
    check_same(converted, original, pictures, PUBLISHED)
    with torch.device("meta"):
        outline = vgg_face(files.BLOCKS, files.HIDDEN, files.SIZE, 3, files.IDENTITIES).eval()
    check_same(read_vgg_face(path, outline), original, pictures, PUBLISHED)


@pytest.mark.parametrize("named", [files.ports, files.unknown])
def test_another_arrangement_of_layers(
    named: Callable[[files.State], files.State], tmp_path: Path
) -> None:
    """Two blocks and one hidden layer, which only the given network can tell."""
    torch.manual_seed(0)
    small = vgg_face([[4], [3, 5]], [6], 8, identities=2).eval()
    torch.save(named(small.state_dict()), tmp_path / "net.pt")
    converted = read_vgg_face(
        tmp_path / "net.pt", vgg_face([[4], [3, 5]], [6], 8, identities=2).eval()
    )
    x = torch.rand(2, 3, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(converted.model(x / 255), small(x))
    refused(tmp_path / "net.pt", "it has no layer conv1_2|5 layers with weights, expected 16")


@pytest.mark.parametrize(("network", "reason"), [
    (lambda: vgg_face(((2, 3), (3, 4), *files.BLOCKS[2:]), (5, 6), 64, 3, 7),
     r"conv2_2 has weights \(2, 3, 3, 3\), expected \(4, 3, 3, 3\)"),
    (lambda: vgg_face(files.BLOCKS, (5, 6), 96, 3, 7),
     r"fc6 has weights \(5, 16\), expected \(5, 36\)"),
    (lambda: vgg_face(files.BLOCKS, (5, 6), 64, 3, 8),
     r"fc8 has weights \(7, 6\), expected \(8, 6\)"),
    (lambda: vgg_face(files.BLOCKS, (5, 6), 64, 1, 7),
     r"conv1_1 has weights \(2, 3, 3, 3\), expected \(2, 1, 3, 3\)"),
    (lambda: vgg_face(files.BLOCKS[:4], (5, 6), 64, 3, 7), "it has no layer fc5"),
    (lambda: vgg_face((*files.BLOCKS[:4], (2, 2, 4, 4)), (5, 6), 64, 3, 7),
     "it has no layer conv5_4"),
    (lambda: vgg_face((*files.BLOCKS[:4], (2, 4)), (5, 6), 64, 3, 7),
     "it has a layer 'conv5_3', which the network has not"),
    (lambda: vgg(files.BLOCKS, (5, 6), 64, 3, 7),
     "the network has norm1_1.weight, which VGG-Face has not"),
    (lambda: without_a_bias(), r"the network has no conv3_1\.bias"),
    (lambda: with_a_norm(), "the network has 8.weight, which VGG-Face has not"),
    (lambda: nn.Sequential(nn.ReLU()), "16 layers with weights, expected 0"),
])  # fmt: skip
def test_a_network_that_does_not_fit_is_left_alone(
    network: Callable[[], nn.Module], reason: str, original: nn.Module, tmp_path: Path
) -> None:
    files.write(tmp_path / "net.mat", "mat", original)
    given = network()
    before = {name: value.clone() for name, value in given.state_dict().items()}
    refused(tmp_path / "net.mat", reason, given)
    assert all(torch.equal(value, before[name]) for name, value in given.state_dict().items())


def without_a_bias() -> nn.Module:
    network = files.published()
    network.conv3_1.bias = None
    return network


def with_a_norm() -> nn.Module:
    network = files.published()
    network.append(nn.BatchNorm1d(7))
    name = str(len(network) - 1)
    network._modules["8"] = network._modules.pop(name)
    return network


def changed(state: files.State, change: str) -> files.State:
    """A state dict with one thing wrong."""
    if change.startswith("without"):
        return {k: v for k, v in state.items() if not k.startswith(change.split()[1])}
    if change == "swapped":
        names = [*state]
        order = [*names[2:4], *names[:2], *names[4:]]
        return {f"x.{name}" if "fc8" in name else name: state[name] for name in order}
    return (
        state
        | {
            "nan": {"fc7.weight": state["fc7.weight"] * float("nan")},
            "infinite": {"conv4_2.bias": state["conv4_2.bias"] / 0},
            "huge": {"conv1_1.weight": torch.full((2, 3, 3, 3), 3e38)},
            "one more": {"conv5_4.weight": torch.ones(4, 4, 3, 3), "conv5_4.bias": torch.ones(4)},
            "flat": {"conv2_1.weight": state["conv2_1.weight"].flatten(1)},
            "wide": {"conv2_1.weight": torch.ones(3, 4, 3, 3)},
            "kernel": {"conv2_1.weight": torch.ones(3, 3, 5, 5)},
            "long": {"conv2_1.weight": torch.ones(3, 3, 9, 1)},
            "biases": {"fc8.bias": torch.ones(8)},
            "no square": {"fc6.weight": torch.ones(5, 12)},
            "no picture": {"fc6.weight": torch.ones(5, 3)},
            "odd fc6": {"fc6.weight": torch.ones(5, 4, 4, 1)},
            "inputs": {"fc7.weight": torch.ones(6, 4)},
            "grey": {"conv1_1.weight": torch.ones(2, 1, 3, 3)},
        }[change]
    )


WRONG = [
    ("without conv1_1", "no layer conv1_1"),
    ("without conv3_2", "no layer conv3_2"),
    ("without conv5_3", "no layer conv5_3"),
    ("without fc8", "no layer fc8"),
    ("nan", "fc7 has weights that are not finite"),
    ("infinite", "conv4_2 has biases that are not finite"),
    ("huge", "conv1_1.weight times 255 has numbers that are not finite"),
    ("one more", "it has a layer 'conv5_4', which the network has not"),
    ("wide", r"conv2_1 has weights \(3, 4, 3, 3\), expected \(3, 3, 3, 3\)"),
    ("kernel", r"conv2_1 has weights \(3, 3, 5, 5\), expected \(3, 3, 3, 3\)"),
    ("long", r"conv2_1 has weights \(3, 3, 9, 1\), expected \(3, 3, 3, 3\)"),
    ("biases", "fc8 has 8 biases for 7 outputs"),
    ("inputs", r"fc7 has weights \(6, 4(, 1, 1)?\), expected \(6, 5\)"),
    ("grey", r"conv1_1 has weights \(2, 1, 3, 3\), expected \(2, 3, 3, 3\)"),
]


@pytest.mark.parametrize("form", ["caffe old", "caffe new", "mat", "mat 7.3", "torch"])
@pytest.mark.parametrize(("change", "reason"), WRONG)
def test_what_is_wrong_is_named(
    form: str, change: str, reason: str, original: nn.Module, tmp_path: Path
) -> None:
    path = tmp_path / "weights.bin"
    files.FORMS[form](path, changed(files.state_of(original), change))
    refused(path, reason)


@pytest.mark.parametrize(("change", "reason"), [
    ("flat", r"conv2_1 has weights \(3, 27\), expected \(3, 3, 3, 3\)"),
    ("swapped", "it has the layer conv1_2 where conv1_1 is expected"),
    ("no square", "fc6 takes 12 numbers, which is no square of 4 channels"),
    ("no picture", "fc6 takes 3 numbers, which is no square of 4 channels"),
    ("odd fc6", r"fc6 has weights \(5, 4, 4, 1\), expected \(5, 16\)"),
])  # fmt: skip
def test_what_is_wrong_in_a_state_dict(
    change: str, reason: str, original: nn.Module, tmp_path: Path
) -> None:
    state = changed(files.state_of(original), change)
    if change == "swapped":  # with one name that is not known, the order of the file counts
        state = {k.replace("x.fc8", "last"): v for k, v in state.items()}
    torch.save(state, tmp_path / "net.pt")
    refused(tmp_path / "net.pt", reason)


def test_a_last_layer_of_another_name(
    original: nn.Module, pictures: Tensor, tmp_path: Path
) -> None:
    """As fine-tuned networks of Caffe have it; the others stand where they belong."""
    state = {k.replace("fc8", "fc8_lfw"): v for k, v in files.state_of(original).items()}
    torch.save(state, tmp_path / "net.pt")
    check_same(read_vgg_face(tmp_path / "net.pt"), original, pictures, PUBLISHED)
    save_file(state, tmp_path / "net.safetensors")
    refused(tmp_path / "net.safetensors", "'fc8_lfw' is no layer of VGG-Face, and safetensors keep")


@pytest.mark.parametrize(("entries", "reason"), [
    ({"norm.running_mean": torch.ones(3)}, "'norm.running_mean' is not the weights or biases"),
    ({"fc6.weight": torch.ones(5, 16, dtype=torch.int64)}, "'fc6.weight' is not the weights"),
    ({"fc6.weight": torch.ones(5, 16, dtype=torch.cfloat)}, "'fc6.weight' is not the weights"),
    ({"fc6.weight": torch.ones(5, 16).to_sparse()}, "'fc6.weight' is not the weights"),
    ({"fc6.weight": torch.ones(5, 16, device="meta")}, "'fc6.weight' is not the weights"),
    ({"fc6.weight": [1.0]}, "'fc6.weight' is not the weights or biases"),
    ({"fc9.weight": torch.ones(5, 16)}, "'fc9' has only a weight, not a weight and a bias"),
    ({"fc6.weight": torch.ones(1).expand(1 << 40, 1)}, "1099511627776 numbers|[0-9]+ numbers"),
    ({"fc6.weight": torch.ones(0, 16)}, r"fc6 has weights \(0, 16\), expected two or four axes"),
    ({"fc6.weight": torch.ones(5)}, r"fc6 has weights \(5,\), expected two or four axes"),
    ({"a.fc6.weight": torch.ones(5, 16), "a.fc6.bias": torch.ones(5)}, "have the same name"),
])  # fmt: skip
def test_entries_that_a_state_dict_must_not_have(
    entries: dict[str, Any], reason: str, original: nn.Module, tmp_path: Path
) -> None:
    torch.save(files.state_of(original) | entries, tmp_path / "net.pt")
    refused(tmp_path / "net.pt", reason)


@pytest.mark.parametrize("content", [[1, 2], {1: torch.ones(2)}, torch.ones(3)])
def test_what_is_no_state_dict(content: Any, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "net.pt")
    refused(tmp_path / "net.pt", "it holds no state dict")


class Harmful:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("form", ["plain", "torch", "legacy"])
def test_code_in_a_file_is_not_run(form: str, tmp_path: Path) -> None:
    path, made = tmp_path / "net.pth", tmp_path / "made"
    if form == "plain":
        path.write_bytes(pickle.dumps({"fc6.weight": Harmful(made)}, 2))
    else:
        zipped = form == "torch"
        torch.save({"fc6.weight": Harmful(made)}, path, _use_new_zipfile_serialization=zipped)
    refused(path, "it is damaged, or no state dict that can be read safely")
    assert not made.exists()
    if form == "plain":
        pickle.loads(path.read_bytes())  # noqa: S301  (the file does what it should not)
        assert made.exists()


@pytest.mark.parametrize("old", [True, False])
def test_numbers_of_caffe_that_are_not_packed(
    old: bool, original: nn.Module, tmp_path: Path
) -> None:
    path = tmp_path / "net.caffemodel"
    path.write_bytes(b"".join(files.caffe(files.state_of(original), old, files.unpacked)))
    refused(path, "an array of 'conv1_1' has no numbers, or none that are packed")


@pytest.mark.parametrize(("blob", "reason"), [
    (files.packed(np.ones(9)) + files.entry(7, files.entry(1, b"\x09\x02")), "has 9 numbers, not"),
    (files.packed(np.ones(9)) + files.entry(7, b""), r"has 9 numbers, not \(\)"),
    (files.packed(np.ones(9)), r"has 9 numbers, not \(0, 0, 0, 0\)"),
    (files.packed(np.ones(9)) + files.entry(7, files.entry(1, b"\x01" * 90000)), "has 9 numbers"),
    (files.entry(5, b"12345") + files.entry(7, files.entry(1, b"\x01")), "damaged .buffer size"),
    (files.entry(7, files.entry(1, b"\xff" * 8 + b"\x7f" + b"\x02")), "has no numbers"),
])  # fmt: skip
def test_arrays_of_caffe_that_cannot_be(blob: bytes, reason: str, tmp_path: Path) -> None:
    layer = files.entry(4, b"conv1_1") + files.entry(5, 4) + files.entry(6, blob) * 2
    (tmp_path / "net.caffemodel").write_bytes(files.entry(2, layer))
    refused(tmp_path / "net.caffemodel", reason)


@pytest.mark.parametrize(("layer", "reason"), [
    (files.entry(4, b"norm1") + files.entry(5, 15), "'norm1' is a layer of the kind 15 with 0 arr"),
    (files.entry(4, b"conv9") + files.entry(5, 4), "'conv9' is a Convolution with 0 arrays"),
    (files.entry(4, b"relu1") + files.entry(5, 18) + files.entry(6, files.packed(np.ones(1))),
     "'relu1' is a ReLU with 1 array"),
])  # fmt: skip
def test_layers_of_caffe_that_vgg_face_has_not(
    layer: bytes, reason: str, original: nn.Module, tmp_path: Path
) -> None:
    fields = files.caffe(files.state_of(original), old=True)
    (tmp_path / "net.caffemodel").write_bytes(b"".join([*fields, files.entry(2, layer)]))
    refused(tmp_path / "net.caffemodel", reason)


def test_two_generations_of_caffe_in_one_file(original: nn.Module, tmp_path: Path) -> None:
    both = [field for old in (True, False) for field in files.caffe(files.state_of(original), old)]
    (tmp_path / "net.caffemodel").write_bytes(b"".join(both))
    refused(tmp_path / "net.caffemodel", "layers of both generations of Caffe")


@pytest.mark.parametrize(("layer", "reason"), [
    ({"name": "norm1", "type": "lrn"}, "'norm1' is a lrn with 0 arrays"),
    ({"name": "conv9", "type": "conv"}, "'conv9' is a conv with 0 arrays"),
    ({"name": "conv9", "type": "conv", "filters": np.ones((3, 3))}, "a conv with 1 array"),
    ({"name": "conv9", "type": "conv", "weights": files.cells([np.ones((3, 3, 3, 3))] * 3)},
     "'conv9' is a conv with 3 arrays"),
    ({"name": "conv9", "type": "conv", "weights": files.cells(["text", "text"])},
     f"{DAMAGED}|has 4 biases for 1"),
    ({"name": "conv9", "type": "conv", "weights": np.ones((3, 3))}, DAMAGED),
    ({"name": "conv9", "type": "conv", "weights": files.cells([np.ones((1,) * 4 + (2,))] * 2)},
     r"conv9 has weights \(1, 1, 1, 1, 2\), expected four axes"),
    ({"name": np.ones((1, 1)), "type": "relu"}, DAMAGED),
    ({"type": "tanh"}, "'' is a tanh with 0 arrays"),
])  # fmt: skip
@pytest.mark.parametrize("writer", [files.mat5, files.mat73])
def test_layers_of_matconvnet_that_vgg_face_has_not(
    layer: dict[str, Any], reason: str, writer: Callable[..., None], tmp_path: Path
) -> None:
    writer(tmp_path / "net.mat", {"net": {"layers": files.cells([layer])}})
    refused(tmp_path / "net.mat", reason)


@pytest.mark.parametrize("top", [{"x": np.ones((1, 1))}, {"net": np.ones((1, 1))}])
@pytest.mark.parametrize("writer", [files.mat5, files.mat73])
def test_variables_of_matlab_without_a_network(
    top: dict[str, Any], writer: Callable[..., None], tmp_path: Path
) -> None:
    writer(tmp_path / "net.mat", top)
    refused(tmp_path / "net.mat", "it has no variable net with layers, and no variable layers")


def test_one_identity_leaves_matlab_without_the_last_axis(tmp_path: Path) -> None:
    network = vgg_face(files.BLOCKS, files.HIDDEN, files.SIZE, 3, 1).eval()
    layers = files.matconvnet(network.state_dict(), fields=True)
    assert layers[-3]["name"] == "fc8"
    layers[-3]["filters"] = layers[-3]["filters"][..., 0]
    files.mat5(tmp_path / "net.mat", {"layers": files.cells(layers)})
    found = read_vgg_face(tmp_path / "net.mat").model
    assert torch.equal(found.fc8.weight, network.fc8.weight)


def linked(file: h5py.File) -> None:
    file["layers"] = h5py.ExternalLink("other.mat", "/layers")


def borrowed(file: h5py.File) -> None:
    outside = [("other.bin", 0, 8)]
    file.create_dataset("layers", (1,), h5py.ref_dtype, external=outside)


def vast(file: h5py.File) -> None:
    file.create_dataset("layers", (1 << 40, 1), h5py.ref_dtype, chunks=(1, 1))


def long(file: h5py.File) -> None:
    file.create_dataset("layers", (5000, 1), h5py.ref_dtype)


def round_about(file: h5py.File) -> None:
    file.create_dataset("layers", (1, 1), h5py.ref_dtype)[0, 0] = file.ref


@pytest.mark.parametrize(("make", "reason"), [
    (linked, "'layers' is a link, which MATLAB does not write"),
    (borrowed, DAMAGED),
    (vast, "the file has 1099511627776 numbers, which is too many for VGG-Face"),
    (long, DAMAGED),
    (round_about, "'' is a  with 0 arrays"),
])  # fmt: skip
def test_hdf5_that_matlab_does_not_write(
    make: Callable[[h5py.File], None], reason: str, original: nn.Module, tmp_path: Path
) -> None:
    files.write(tmp_path / "other.mat", "mat 7.3 old", original)  # where the link would lead
    (tmp_path / "other.bin").write_bytes(b"12345678")
    with h5py.File(tmp_path / "net.mat", "w") as file:
        make(file)
    refused(tmp_path / "net.mat", reason)


def test_without_h5py(original: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "net.mat"
    files.write(path, "mat 7.3", original)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(UsageError, match="needs the package h5py: pip install h5py"):
        read_vgg_face(path)
    files.write(path, "mat", original)
    assert read_vgg_face(path).about["format"] == "MatConvNet"


def test_files_that_are_not_there_or_of_no_format(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.mat"):
        with pytest.raises(UsageError, match=f"cannot read {path}"):
            read_vgg_face(path)
    (tmp_path / "empty").touch()
    refused(tmp_path / "empty", "it has no layers with weights")
    (tmp_path / "text").write_text("These are not weights, but words. " * 30)
    refused(tmp_path / "text", "no whole model of Caffe, nor of MatConvNet, torch or safetensors")
    with (tmp_path / "vast").open("wb") as file:
        file.truncate((2 << 30) + 1)
    refused(tmp_path / "vast", "it has 2147483649 bytes, VGG-Face has 580 million")
