"""scikit-learn's digits in the shape of MNIST: there on every machine, with no network."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Int64, UInt8

from maxprune.data.images import Dataset, Images
from maxprune.data.splits import stratified

TEST = 360  # pictures, about 36 of each digit
SEED = 2017
BOX, SIDE = 20, 28  # MNIST's digits fill a box of 20x20 in 28x28


def digits() -> Dataset:
    """1,797 handwritten digits: 1,437 to train, 360 to test, 28x28 bytes, 10 classes.

    They are the 8x8 pictures of scikit-learn, enlarged; easier than MNIST, and no figure of theirs
    says anything about MNIST. The test pictures are the same on every machine.

    Examples:
        >>> data = digits()
        >>> data.input_shape, len(data.train), len(data.test)
        ((1, 28, 28), 1437, 360)
    """
    from sklearn.datasets import load_digits  # slow to import, so only where it is needed

    source = load_digits()
    pixels = torch.from_numpy(enlarge(source.images.astype(np.int64)))[:, None]
    images = Images(pixels, torch.from_numpy(source.target.astype(np.int64)), classes=10)
    rest, chosen = stratified(images.labels, TEST, SEED)
    return Dataset("digits", images.subset(rest), images.subset(chosen))


def enlarge(small: Int64[np.ndarray, "n 8 8"]) -> UInt8[np.ndarray, "n 28 28"]:
    """Enlarge 8x8 pictures of values 0 to 16 to 20x20, centred in 28x28, values 0 to 255.

    Bilinear, in whole numbers, so that every machine gets the same bytes: output pixel i of 20 lies
    at 0.4 i - 0.3 of the 8, and each of its two neighbours weighs a whole number of tenths.
    """
    tenths = np.clip(4 * np.arange(BOX) - 3, 0, 70)
    low, part = np.divmod(tenths, 10)
    weights = np.zeros((BOX, 8), dtype=np.int64)
    np.add.at(weights, (np.arange(BOX), low), 10 - part)
    np.add.at(weights, (np.arange(BOX), np.minimum(low + 1, 7)), part)
    hundredths = weights @ small @ weights.T
    full = 16 * 100
    enlarged = ((hundredths * 255 + full // 2) // full).astype(np.uint8)
    border = (SIDE - BOX) // 2
    return np.pad(enlarged, ((0, 0), (border, border), (border, border)))
