"""One thread: the networks here are so small that several only wait for each other.

This file also puts the folder on the path, so that every test finds `small_networks`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import torch
from torch import nn

import maxprune
from maxprune.data import Dataset
from maxprune.measure import accuracy
from maxprune.networks import lenet5
from maxprune.runs import parallel
from maxprune.train import Fitting

torch.set_num_threads(1)
os.environ.setdefault("OMP_NUM_THREADS", "1")  # also of the processes that tests start


@pytest.fixture(scope="module")
def in_this_process() -> Iterator[None]:
    """Pieces of work without processes of their own, each of which imports torch for seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "maxprune.runs.parallel._side_by_side",
            lambda pieces, folder, _, heard: parallel._together(pieces, folder, heard),
        )
        yield


@pytest.fixture(scope="session")
def data() -> Dataset:
    return maxprune.data.load("digits")


@pytest.fixture(scope="session")
def trained(data: Dataset) -> nn.Module:
    """A small network that knows the digits; it is changed by no test."""
    torch.manual_seed(0)
    net = lenet5(fc=32, conv=(4, 8))
    maxprune.train(net, data.train, Fitting.of_epochs(8, len(data.train), batch=32))
    assert accuracy(net, data.test) > 85
    return net
