"""Files that HDF5's library does not survive are found out by another process."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from maxprune.errors import StoreError
from maxprune.store import hdf5, hdf5_trial

CORPUS = Path(__file__).parents[1] / "fuzz/corpus/keras-hdf5"
ENDLESS, GREEDY, FATAL = (CORPUS / f"{name}.h5" for name in ("endless", "greedy", "crash"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A whole file, with an attribute, a group and a dataset."""
    path = tmp_path / "whole.h5"
    with h5py.File(path, "w") as file:
        file.attrs["names"] = ["a", "b"]
        file.create_group("a").create_dataset("b", data=np.ones(3, np.float32))
    return path


def test_a_whole_file_is_tried_and_nothing_said(path: Path) -> None:
    hdf5.try_hdf5(path)


def test_a_file_that_keeps_the_library_busy_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hdf5, "SECONDS", 3.0)
    with pytest.raises(StoreError, match="HDF5's library does not end"):
        hdf5.try_hdf5(ENDLESS)


def test_a_file_at_which_the_library_ends_the_process() -> None:
    with pytest.raises(StoreError, match="HDF5's library cannot read it"):
        hdf5.try_hdf5(FATAL)


def test_an_attribute_that_takes_far_more_than_the_file() -> None:
    with pytest.raises(StoreError, match="HDF5's library cannot read it"):
        hdf5.try_hdf5(GREEDY)


def test_a_file_that_ends_the_other_process(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dies.py").write_text("import os\nos.abort()\n")
    monkeypatch.setattr(hdf5, "_TRIAL", tmp_path / "dies.py")
    with pytest.raises(StoreError, match="HDF5's library cannot read it"):
        hdf5.try_hdf5(path)


def test_what_python_is_told_of_is_no_matter(tmp_path: Path) -> None:
    (tmp_path / "none.h5").write_bytes(b"no such file")
    hdf5.try_hdf5(tmp_path / "none.h5")


def test_a_group_in_itself(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hdf5_trial, "MOST", 50)
    assert hdf5_trial.read(str(path)) == 0
    with h5py.File(path, "r+") as file:
        file["a/again"] = file["a"]
    assert hdf5_trial.read(str(path)) == 1


def test_numbers_that_are_not_in_the_file(path: Path, tmp_path: Path) -> None:
    """Neither those of another file, nor zeros that take no room in this one."""
    (tmp_path / "secret").write_bytes(bytes(12))
    with h5py.File(path, "r+") as file:
        file.create_dataset("far", (3,), "f4", external=[(str(tmp_path / "secret"), 0, 12)])
        layout = h5py.VirtualLayout((3,), "f4")
        layout[:] = h5py.VirtualSource("other.h5", "x", (3,))
        file.create_virtual_dataset("virtual", layout)
        file.create_dataset("vast", (1 << 40,), "f4", chunks=(1,))
        file["text"] = "text"
        assert hdf5.numbers(file["a/b"], "b").tolist() == [1, 1, 1]
        for name in ("far", "virtual", "vast", "text", "a"):
            with pytest.raises(StoreError, match=f"'{name}' is damaged"):
                hdf5.numbers(file[name], name)
