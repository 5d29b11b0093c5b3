"""The networks for faces, and what is left of them to describe a face."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from torch import nn

from maxprune import load, save
from maxprune.errors import UsageError
from maxprune.lineage import lineage
from maxprune.measure import parameters
from maxprune.networks import (
    Discriminant,
    Mirrored,
    descriptor_network,
    lenet5,
    vgg_face,
    vgg_face_small,
)
from maxprune.networks.describer import Describer
from maxprune.plan import maxout_plan
from maxprune.store.coded import as_coded, open_coded
from maxprune.surgery import apply
from maxprune.units import least_winning

LATER = ("fc2", "fc2_norm", "fc2_relu", "output")
SMALL = {"blocks": [[4], [8]], "hidden": [16, 8], "size": 16}


def shorter(network: nn.Module, layer: str, count: int) -> nn.Module:
    """With a maxout over four, and again without it."""
    network = apply(network, maxout_plan(layer, 4))
    for k in (4, 3, 2):
        network = apply(network, least_winning(layer, torch.zeros(count // 4, k).long()))
    return network


@pytest.mark.parametrize(
    ("layer", "neurons", "expected"),
    [
        # fc1 loses 384 of 512 rows with their norm, fc2 as many columns
        ("fc1", 512, 1_606_480 - 384 * (2048 + 2) - 384 * 512),
        # conv4_2 loses 96 of 128 filters with their norm, fc1 16 columns for each
        ("conv4_2", 128, 1_606_480 - 96 * (128 * 9 + 2) - 96 * 16 * 512),
    ],
)
def test_what_three_of_four_neurons_leave(layer: str, neurons: int, expected: int) -> None:
    body = descriptor_network(shorter(vgg_face_small(), layer, neurons))
    assert parameters(body) == expected


@pytest.mark.parametrize("build", [vgg_face, vgg_face_small])
def test_a_descriptor_is_what_the_output_layer_reads(build: object, tmp_path: Path) -> None:
    torch.manual_seed(0)
    colours = 3 if build is vgg_face else 1
    whole = shorter(build(**SMALL, identities=5), "fc1" if colours == 1 else "fc3", 16)  # type: ignore[operator]
    body = descriptor_network(whole).eval()
    x = torch.rand(3, colours, 16, 16)
    read: list[torch.Tensor] = []
    whole.eval()[-1].register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))  # type: ignore[index]
    whole(x)
    assert torch.equal(body(x), read[0])
    assert body(x).shape == (3, 8)
    assert (body(x) >= 0).all()
    again = load(save(body, tmp_path / "body"))
    assert torch.equal(again(x), body(x))
    assert [n for n, _ in again.named_children()] == [n for n, _ in whole.named_children()][:-1]


def test_another_network_has_no_descriptor() -> None:
    with pytest.raises(UsageError, match="no output layer to do without"):
        descriptor_network(vgg_face_small(**SMALL, identities=0))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"a network for faces is wanted, not one of .*lenet5"):
        descriptor_network(lenet5())


def test_sizes_that_cannot_be() -> None:
    with pytest.raises(UsageError, match="cannot be halved"):
        vgg_face_small(size=8)
    with pytest.raises(UsageError, match="at least 1"):
        vgg_face_small(identities=-1)


def test_a_face_and_its_mirror_image() -> None:
    torch.manual_seed(0)
    body = descriptor_network(vgg_face_small(**SMALL, identities=5)).eval()  # type: ignore[arg-type]
    both, x = Mirrored(body), torch.rand(3, 1, 16, 16)
    assert torch.allclose(both(x), (body(x) + body(x.flip(3))) / 2, atol=1e-6)
    assert torch.allclose(both(x), both(x.flip(3)), atol=1e-6)
    assert not torch.allclose(body(x), body(x.flip(3)), atol=1e-3)
    assert (both.training, parameters(both)) == (False, parameters(body))
    assert lineage(both) == lineage(body)


def with_discriminant(model: nn.Module) -> nn.Module:
    """With one that knows nothing."""
    return descriptor_network(
        model, lambda network: Discriminant(network(torch.zeros(2, 1, 16, 16)).shape[1], 5)
    ).eval()


@pytest.mark.parametrize("layer", ["fc1", "conv2_1"])
def test_a_discriminant_reads_two_layers(layer: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    whole = vgg_face_small(**SMALL, identities=5).eval()  # type: ignore[arg-type]
    between = apply(whole, maxout_plan(layer, 4))
    body, x = with_discriminant(between), torch.rand(3, 1, 16, 16)
    assert lineage(body).factory == ""  # nothing builds a network with a maxout in it
    read = dict(body.named_children())
    pooled = nn.Sequential(*list(between)[:4])(x)  # type: ignore[arg-type]
    hidden = nn.Sequential(*[m for n, m in between.named_children() if n not in LATER])(x)
    expected = read["discriminant"](torch.cat([pooled.flatten(1), hidden], 1))
    assert torch.allclose(body(x), expected)
    cut = shorter(whole, layer, 16 if layer == "fc1" else 8)
    body = with_discriminant(cut)
    for again in (load(save(body, tmp_path / "body")), open_coded(as_coded(body))):
        assert isinstance(again, Describer)
        assert torch.allclose(again(x), body(x), atol=1e-6)


def test_a_discriminant_is_for_the_small_network() -> None:
    with pytest.raises(UsageError, match="a network for faces is wanted"):
        with_discriminant(vgg_face(**SMALL, identities=5))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="reads the first of several hidden layers"):
        with_discriminant(vgg_face_small(**{**SMALL, "hidden": [16]}, identities=5))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="a network with outputs gives no descriptors"):
        vgg_face_small(dimensions=4)
    with pytest.raises(UsageError, match="there is no layer 'b' to read"):
        Describer(OrderedDict(a=nn.Flatten()), ["b"])
