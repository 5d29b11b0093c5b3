import hashlib

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits

from maxprune.data import Dataset, digits
from maxprune.data.digits import enlarge


@pytest.fixture(scope="module")
def data() -> Dataset:
    return digits()


def test_there_are_1437_and_360_pictures_of_mnists_size(data: Dataset) -> None:
    assert (data.name, data.classes, data.input_shape) == ("digits", 10, (1, 28, 28))
    assert (len(data.train), len(data.test)) == (1437, 360)


def test_the_split_is_stratified_and_the_same_on_every_machine(data: Dataset) -> None:
    counts = torch.bincount(data.test.labels)
    whole = counts + torch.bincount(data.train.labels)
    assert (counts - whole * 360 / 1797).abs().max() < 1
    digest = hashlib.sha256(data.test.pixels.numpy().tobytes()).hexdigest()
    assert digest == "b7147e5480fa6e245789051f6390fec0bc494e7256a5e26764859ef0b6ef38d2"


def test_every_source_picture_is_there_once(data: Dataset) -> None:
    source = enlarge(load_digits().images.astype(np.int64)).reshape(1797, -1)
    ours = torch.cat([data.train.pixels, data.test.pixels]).numpy().reshape(1797, -1)
    order, source_order = np.lexsort(ours.T), np.lexsort(source.T)
    assert np.array_equal(ours[order], source[source_order])
    labels = torch.cat([data.train.labels, data.test.labels]).numpy()
    assert np.array_equal(labels[order], load_digits().target[source_order])


def test_enlarging_agrees_with_torchs_bilinear_interpolation() -> None:
    small = load_digits().images[:200]
    large = F.interpolate(
        torch.from_numpy(small)[:, None] * 255 / 16, size=(20, 20), mode="bilinear"
    )
    ours = enlarge(small.astype(np.int64))
    assert np.abs(ours[:, 4:24, 4:24] - large[:, 0].numpy()).max() <= 0.5 + 1e-9


def test_the_border_is_black_and_a_full_picture_is_white() -> None:
    ours = enlarge(np.full((1, 8, 8), 16))
    assert (ours[:, 4:24, 4:24] == 255).all()
    ours[:, 4:24, 4:24] = 0
    assert not ours.any()
