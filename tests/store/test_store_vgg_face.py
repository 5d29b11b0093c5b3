"""Published weights of VGG-Face: every format gives the same network, and damage is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import vgg_face_files as files
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn
from vgg_face_files import refused

import maxprune
from maxprune.data.images import Images
from maxprune.data.samples import Pictures
from maxprune.errors import UsageError
from maxprune.networks import vgg_face
from maxprune.store import read_vgg_face
from maxprune.store.vgg_face import Converted

PUBLISHED = (129.1863, 104.7624, 93.5940)


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
    own = torch.tensor(converted.mean or (0.0, 0.0, 0.0))[:, None, None]
    with torch.no_grad():
        expected = original(pictures * 255 - torch.tensor(mean)[:, None, None])
        found = converted.model(pictures - own)
    assert expected.std(0).min() > 0.01  # the pictures do matter
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


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
    assert converted.mean == ()
    own = converted.model.mean.mean
    assert own.flatten().tolist() == pytest.approx([each / 255 for each in mean])
    kind = {"caffe": "Caffe", "mat": "MatConvNet"}.get(form.split()[0], form.split()[0])
    origin = "averageImage" if form.startswith("mat") else "published"
    assert converted.about == {
        "format": kind, "colours": colours, "file": "weights.bin", "mean": origin,
    }  # fmt: skip
    assert not converted.model.training
    assert [*converted.model.state_dict()] == ["mean.mean", *original.state_dict()]
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


def test_from_pictures_to_descriptors(original: nn.Module, tmp_path: Path) -> None:
    """Of wide pictures in a folder the middle is taken, and less the mean; also once saved."""
    files.write(tmp_path / "net.mat", "mat", original)
    values = np.random.default_rng(0).integers(0, 256, (3, files.SIZE, files.SIZE + 20, 3))
    for i, each in enumerate(values.astype(np.uint8)):
        place = tmp_path / f"pictures/train/person{i}/0.png"
        place.parent.mkdir(parents=True)
        Image.fromarray(each).save(place)
    images = maxprune.data.read_folder(tmp_path / "pictures", (3, files.SIZE, files.SIZE)).train
    converted = read_vgg_face(tmp_path / "net.mat")
    maxprune.save(converted.model, tmp_path / "saved", about={**converted.about})
    middle = torch.from_numpy(values[:, :, 10:-10]).permute(0, 3, 1, 2).float()
    with torch.no_grad():
        expected = original[:-1](middle - torch.tensor(files.MEAN)[:, None, None])
    assert expected.shape == (3, files.HIDDEN[1])
    for model in (converted.model, maxprune.load(tmp_path / "saved")):
        found = maxprune.measure.descriptors(model, "relu7", images.batches(2))
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert json.loads((tmp_path / "saved/model.json").read_text())["about"] == converted.about
    with pytest.raises(UsageError, match=r"is part of a saved model; open it with maxprune\.load"):
        read_vgg_face(tmp_path / "saved/model.safetensors")


def test_pictures_less_the_mean_for_a_network_that_keeps_it(
    original: nn.Module, tmp_path: Path
) -> None:
    files.write(tmp_path / "net.mat", "mat", original)
    network = vgg_face(files.BLOCKS, files.HIDDEN, files.SIZE, 3, files.IDENTITIES).eval()
    converted = read_vgg_face(tmp_path / "net.mat", network)
    assert converted.mean == pytest.approx([each / 255 for each in files.MEAN])
    raw = torch.randint(0, 256, (4, 3, files.SIZE, files.SIZE), dtype=torch.uint8)
    samples = Pictures(Images(raw, torch.zeros(4, dtype=torch.long), 7), mean=converted.mean)
    ((x, _),) = samples.batches(4)
    with torch.no_grad():
        expected = original(raw.float() - torch.tensor(files.MEAN)[:, None, None])
        torch.testing.assert_close(network(x), expected, rtol=1e-4, atol=1e-5)


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
    own = converted.model.mean.mean.flatten().tolist()
    assert own == pytest.approx([each / 255 for each in mean], abs=1e-6)
    assert converted.about["mean"] == origin


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
    assert converted.mean
    check_same(converted, original, pictures, PUBLISHED)
    with torch.device("meta"):
        outline = vgg_face(files.BLOCKS, files.HIDDEN, files.SIZE, 3, files.IDENTITIES).eval()
    check_same(read_vgg_face(path, outline), original, pictures, PUBLISHED)
    own = vgg_face(files.BLOCKS, files.HIDDEN, files.SIZE, 3, files.IDENTITIES, mean=(0, 0, 0))
    assert read_vgg_face(path, own.eval()).mean == ()
    check_same(Converted(own, (), {}), original, pictures, PUBLISHED)


@pytest.mark.parametrize("named", [files.ports, files.unknown])
def test_another_arrangement_of_layers(
    named: Callable[[files.State], files.State], tmp_path: Path
) -> None:
    """Two blocks and one hidden layer, which only the given network can tell."""
    torch.manual_seed(0)
    small = vgg_face([[4], [3, 5]], [6], 8, identities=2).eval()
    torch.save(named(small.state_dict()), tmp_path / "net.pt")
    network = vgg_face([[4], [3, 5]], [6], 8, identities=2).eval()
    converted = read_vgg_face(tmp_path / "net.pt", network, colours="rgb")
    x = torch.rand(2, 3, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(converted.model(x / 255), small(x))
    refused(tmp_path / "net.pt", "it has no layer conv1_2|5 layers with weights, expected 16")


def test_a_last_layer_of_another_name(
    original: nn.Module, pictures: Tensor, tmp_path: Path
) -> None:
    """As fine-tuned networks of Caffe have it; the others stand where they belong."""
    state = {k.replace("fc8", "fc8_lfw"): v for k, v in files.state_of(original).items()}
    torch.save(state, tmp_path / "net.pt")
    check_same(read_vgg_face(tmp_path / "net.pt"), original, pictures, PUBLISHED)
    save_file(state, tmp_path / "net.safetensors")
    refused(tmp_path / "net.safetensors", "'fc8_lfw' is no layer of VGG-Face, and safetensors keep")


@pytest.mark.parametrize("form", ["safetensors", "safetensors torchvision", "mat"])
def test_a_network_whose_layers_have_no_names(
    form: str, original: nn.Module, pictures: Tensor, tmp_path: Path
) -> None:
    """The names in the file tell their order."""
    files.write(tmp_path / "net", form, original)
    network = nn.Sequential(*files.published().children()).eval()
    converted = read_vgg_face(tmp_path / "net", network)
    mean = files.MEAN if form == "mat" else PUBLISHED
    check_same(converted, original, pictures, mean)


@pytest.mark.parametrize("writer", [files.mat5, files.mat73])
def test_layers_of_matlab_whose_weights_are_an_empty_array(
    writer: Callable[..., None], original: nn.Module, tmp_path: Path
) -> None:
    """As `[]` in place of `{}`."""
    layers = files.matconvnet(files.state_of(original), fields=False)
    empty = np.empty((0, 0), dtype=object if writer is files.mat73 else float)
    writer(tmp_path / "net.mat", {"layers": files.cells([*layers, layers[1] | {"weights": empty}])})
    found = read_vgg_face(tmp_path / "net.mat").model
    assert torch.equal(found.fc8.weight, original.fc8.weight)


def test_one_identity_leaves_matlab_without_the_last_axis(tmp_path: Path) -> None:
    network = vgg_face(files.BLOCKS, files.HIDDEN, files.SIZE, 3, 1).eval()
    layers = files.matconvnet(network.state_dict(), fields=True)
    assert layers[-3]["name"] == "fc8"
    layers[-3]["filters"] = layers[-3]["filters"][..., 0]
    files.mat5(tmp_path / "net.mat", {"layers": files.cells(layers)})
    found = read_vgg_face(tmp_path / "net.mat").model
    assert torch.equal(found.fc8.weight, network.fc8.weight)
