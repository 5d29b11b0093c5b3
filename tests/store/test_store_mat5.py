"""Files that MATLAB itself wrote, beside what SciPy reads in them; they come with SciPy's tests."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io.matlab
from scipy.io import loadmat, savemat
from scipy.sparse import csc_array

from maxprune.errors import StoreError
from maxprune.store.vgg_face import layers, mat5
from maxprune.store.vgg_face.layers import MANY
from maxprune.store.vgg_face.mat5 import Mat5

REAL = Path(scipy.io.matlab.__file__).parent / "tests/data"
DAMAGED = "a variable of MATLAB is damaged, or not of the kind that MatConvNet writes"
KINDS = [
    "double",
    "string",
    "unicode",
    "cell",
    "cellnest",
    "struct",
    "structnest",
    "3dmatrix",
    "emptycell",
    "minus",
]
VERSIONS = ("6.1_SOL2", "6.5.1_GLNX86", "7.1_GLNX86", "7.4_GLNX86", "5.3_SOL2")


def compare(mat: Mat5, expected: Any, node: Any) -> int:
    """How many arrays and texts were found to be equal."""
    if expected.dtype.names:
        found = [(expected[name].item(), mat.field(node, name)) for name in expected.dtype.names]
    elif expected.dtype == object:
        found = list(zip(expected.flat, mat.cells(node), strict=True))
    else:
        if expected.dtype.kind == "c":
            with pytest.raises(StoreError, match="a variable of MATLAB is damaged"):
                mat.array(node)
        elif expected.dtype.kind == "U":
            assert mat.text(node) == "".join(expected.flat)
        else:
            np.testing.assert_array_equal(mat.array(node), expected)
            assert mat.array(node).dtype.kind in "fiu"
        return 1
    return sum(compare(mat, own, part) for own, part in found)


@pytest.mark.skipif(not REAL.is_dir(), reason="SciPy is installed without its tests")
@pytest.mark.parametrize("kind", KINDS)
def test_what_matlab_wrote(kind: str) -> None:
    paths = [path for v in VERSIONS if (path := REAL / f"test{kind}_{v}.mat").exists()]
    assert len(paths) >= 2
    for path in paths:
        mat, variables = Mat5(path), loadmat(path)
        (name,) = (name for name in variables if not name.startswith("__"))
        assert compare(mat, variables[name], mat.top[name]) >= (kind != "emptycell")
        assert mat.field(mat.top, name) is mat.top[name]
        assert mat.field(mat.top, "other") is None


@pytest.mark.skipif(not REAL.is_dir(), reason="SciPy is installed without its tests")
@pytest.mark.parametrize("order", ["big", "little"])
def test_both_orders_of_bytes(order: str) -> None:
    path = REAL / f"{order}_endian.mat"
    mat, variables = Mat5(path), loadmat(path)
    names = [name for name in variables if not name.startswith("__")]
    assert names
    for name in names:
        assert compare(mat, variables[name], mat.top[name])


@pytest.mark.skipif(not REAL.is_dir(), reason="SciPy is installed without its tests")
@pytest.mark.parametrize("name", ["corrupted_zlib_data", "corrupted_zlib_checksum", "malformed1"])
def test_what_scipy_refuses_in_its_tests(name: str) -> None:
    with pytest.raises((StoreError, zlib.error), match=r"damaged|Error -3"):
        Mat5(REAL / f"{name}.mat")


def written(path: Path, packed: bool = False, **variables: Any) -> bytearray:
    """The content of a file of SciPy's."""
    savemat(path, variables, do_compression=packed)
    return bytearray(path.read_bytes())


def refused(path: Path, content: bytes, read: str, name: str = "x") -> None:
    """One of the methods refuses the variable."""
    path.write_bytes(content)
    mat = Mat5(path)
    with pytest.raises(StoreError, match=DAMAGED):
        getattr(mat, read)(mat.top[name])


FLAGS = 128 + 8 + 8  # behind the header and the tags of the variable and of its flags


def test_an_array_that_is_only_said_to_be_complex(tmp_path: Path) -> None:
    """One byte; reading on for the imaginary part ends the process in SciPy 1.17."""
    content = written(tmp_path / "x.mat", x=np.ones((2, 3), np.float32))
    content[FLAGS + 1] = 0xFF
    refused(tmp_path / "x.mat", content, "array")


@pytest.mark.parametrize(("value", "read"), [
    (np.ones((2, 3)), "cells"), (np.ones((2, 3)), "text"), ("letters", "array"),
    ("letters", "cells"), ({"a": 1.0}, "array"), ({"a": 1.0}, "cells"), ("x" * (MANY + 1), "text"),
    (np.full((1, MANY + 1), None, dtype=object), "cells"), (1j, "array"),
    (csc_array(np.eye(3)), "array"),
])  # fmt: skip
def test_variables_of_another_kind_or_too_long(value: Any, read: str, tmp_path: Path) -> None:
    if isinstance(value, np.ndarray) and value.dtype == object:
        value = np.array([[np.ones(1)] * (MANY + 1), [None] * (MANY + 1)], dtype=object)[:1]
    content = written(tmp_path / "x.mat", x=value)
    refused(tmp_path / "x.mat", content, read)


def test_many_cells_may_stand_beside_the_network(tmp_path: Path) -> None:
    """As the names of the 2,622 identities do; they are not asked for."""
    names = np.array([["name"] * 2622], dtype=object)
    written(tmp_path / "x.mat", meta={"names": names, "size": 224.0}, sparse=csc_array(np.eye(3)))
    mat = Mat5(tmp_path / "x.mat")
    assert mat.array(mat.field(mat.top["meta"], "size")) == 224


@pytest.mark.parametrize("packed", [False, True])
def test_numbers_that_are_kept_as_whole_ones(packed: bool, tmp_path: Path) -> None:
    """MATLAB keeps 0 and 1 of a double array as bytes; the array is not writable, nor copied."""
    content = written(tmp_path / "x.mat", packed, x=np.array([[1, 2, 3]], dtype=np.uint8))
    if not packed:
        content[FLAGS] = 6  # double
        (tmp_path / "x.mat").write_bytes(content)
    mat = Mat5(tmp_path / "x.mat")
    found = mat.array(mat.top["x"])
    np.testing.assert_array_equal(found, [[1, 2, 3]])
    assert found.dtype == np.uint8
    assert not found.flags.writeable


def test_a_struct_of_several_has_no_field(tmp_path: Path) -> None:
    several = np.array([[(1.0,), (2.0,)]], dtype=[("a", object)])
    written(tmp_path / "x.mat", x=several, y=several[:, :1])
    mat = Mat5(tmp_path / "x.mat")
    assert mat.field(mat.top["x"], "a") is None
    assert mat.array(mat.field(mat.top["y"], "a")) == 1
    assert mat.field(mat.top["y"], "b") is None


def test_too_many_variables(tmp_path: Path) -> None:
    content = written(tmp_path / "x.mat", x=1.0)
    whole = bytes(content[:128]) + bytes(content[128:]) * (MANY + 1)
    (tmp_path / "x.mat").write_bytes(whole)
    with pytest.raises(StoreError, match=DAMAGED):
        Mat5(tmp_path / "x.mat")
    (tmp_path / "x.mat").write_bytes(whole[: -len(content[128:])])
    assert [*Mat5(tmp_path / "x.mat").top] == ["x"]


def test_what_zlib_unpacks_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Per variable, and over all of them."""
    monkeypatch.setattr(mat5, "LIMIT", 1 << 19)
    noise = np.random.default_rng(0).integers(0, 256, (1, 1 << 20), np.uint8)
    for long in (noise, np.zeros_like(noise)):
        written(tmp_path / "x.mat", True, x=long)
        with pytest.raises(StoreError, match=DAMAGED):
            Mat5(tmp_path / "x.mat")
    written(tmp_path / "x.mat", True, x=np.zeros(1 << 18, "u1"), y=np.zeros(1 << 18, "u1"))
    assert {*Mat5(tmp_path / "x.mat").top} == {"x", "y"}
    monkeypatch.setattr(layers, "LIMIT", 1 << 19)
    with pytest.raises(StoreError, match=r"the file has [0-9]+ numbers, which is too many"):
        Mat5(tmp_path / "x.mat")
