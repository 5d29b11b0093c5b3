"""How much memory a description may ask for."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
import torch
from store_helpers import rewrite, small
from torch import nn

from maxprune.errors import StoreError
from maxprune.networks import lenet5
from maxprune.store import load, save
from maxprune.store.bounded import FOR_ONE, FREE, Bounded
from maxprune.store.state import load_state


def test_as_many_numbers_as_the_bound_and_no_more() -> None:
    kept = {"a": torch.zeros(10)}
    with torch.device("meta"), Bounded(kept):
        nn.Parameter(torch.empty(FREE))
        torch.zeros(FOR_ONE * 10)
        with pytest.raises(StoreError, match="far larger than its weights"):
            torch.empty(1)


def test_a_network_far_larger_than_its_weights(tmp_path: Path) -> None:
    """Refused, unless the user gives the function that builds it; then the weights do not fit."""
    folder = save(small(), tmp_path / "m")
    rewrite(folder, lambda content: content["arguments"].update(fc=2 * 10**7))
    with pytest.raises(StoreError, match="far larger than its weights"):
        load(folder)
    with pytest.raises(StoreError, match="do not fit the network"):
        load(folder, factory=lambda fc, conv: lenet5(fc=9, conv=conv))


def test_what_is_random_is_as_without_the_bound() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    with Bounded({}):
        assert torch.equal(torch.rand(3), expected)


def test_a_packed_archive_is_not_unpacked(tmp_path: Path) -> None:
    state = io.BytesIO()
    torch.save({"a": torch.zeros(1000)}, state)
    path = tmp_path / "state.pt"
    path.write_bytes(state.getvalue())
    assert load_state(path)["a"].shape == (1000,)
    with zipfile.ZipFile(state) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    with pytest.raises(StoreError, match="it is packed"):
        load_state(path)
