"""Damaged files of VGG-Face: one line of refusal, or weights that are numbers; never more."""

from __future__ import annotations

import resource
import zipfile
from pathlib import Path

import pytest
import torch
import vgg_face_files as files
from hypothesis import given, settings
from hypothesis import strategies as st

from maxprune.errors import StoreError, UsageError
from maxprune.store.vgg_face import layers, read_vgg_face

FORMS = (
    "caffe old",
    "caffe new",
    "mat",
    "mat old",
    "mat 7.3",
    "torch",
    "torch legacy",
    "safetensors",
)


TRIED = ("mat 7.3",)  # a process of its own each; tests/fuzz damages more of them without


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The content of a whole file of each form."""
    path, network = tmp_path_factory.mktemp("whole") / "weights.bin", files.published()
    content = {}
    for form in FORMS:
        files.write(path, form, network)
        content[form] = path.read_bytes()
    return content


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("damaged") / "weights.bin"


def outcome(path: Path, content: bytes) -> str:
    """What is said about this content, in one line; "" where it is read."""
    path.write_bytes(content)
    try:
        model = read_vgg_face(path).model
    except (StoreError, UsageError) as error:
        said = str(error)
    else:
        said = ""
        assert all(bool(value.isfinite().all()) for value in model.state_dict().values())
    assert not said or (str(path) in said and "\n" not in said)
    return said


@pytest.mark.parametrize("form", FORMS)
def test_a_truncated_file_is_refused(form: str, whole: dict[str, bytes], path: Path) -> None:
    content = whole[form]
    assert outcome(path, content) == ""
    # Behind the last weights a file of Caffe has a layer more, and one of HDF5 unused bytes.
    last = {"caffe old": len(content) - 40, "caffe new": len(content) - 40}.get(form, len(content))
    steps = 5 if form in TRIED else 30
    for end in [*range(0, last, last // steps), last - 1]:
        assert "cannot be read" in outcome(path, content[:end]), end


DAMAGE = st.lists(
    st.tuples(
        st.one_of(st.floats(0, 1, exclude_max=True), st.integers(0, 2000)),
        st.one_of(st.sampled_from([0, 1, 127, 128, 255]), st.integers(0, 255)),
    ),
    min_size=1,
    max_size=6,
)


@pytest.mark.parametrize("form", FORMS)
def test_other_bytes_are_refused_or_read_as_numbers(
    form: str, whole: dict[str, bytes], path: Path
) -> None:
    refusals = set()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    examples = 12 if form in TRIED else 60

    @settings(deadline=None, max_examples=examples, derandomize=True, database=None)
    @given(DAMAGE)
    def damaged(changes: list[tuple[float, int]]) -> None:
        content = bytearray(whole[form])
        for place, byte in changes:
            content[int(place * len(content)) if isinstance(place, float) else place] = byte
        refusals.add(outcome(path, bytes(content)))

    damaged()
    assert len(refusals - {""}) > 1
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 300_000  # KiB on Linux; a file has twenty thousand bytes


def test_an_archive_is_not_unpacked_to_more_than_it_may(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layers, "LIMIT", 1 << 20)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/0", bytes(1 << 22))
    assert path.stat().st_size < 10_000
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("it was unpacked"))
    with pytest.raises(StoreError, match="the file has 1048576 numbers, which is too many"):
        read_vgg_face(path)
