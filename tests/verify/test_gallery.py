"""A gallery in one file: who it knows, and whose verifier it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from verify_helpers import quarters, write_picture, write_verifier

from maxprune.errors import StoreError, UsageError
from maxprune.verify import Gallery, Verifier


@pytest.fixture(scope="module")
def verifier(tmp_path_factory: pytest.TempPathFactory) -> Verifier:
    return Verifier(write_verifier(tmp_path_factory.mktemp("verifier")), "none")


@pytest.fixture
def known(verifier: Verifier, tmp_path: Path) -> Gallery:
    gallery = Gallery(verifier.about.checksum())
    for person, levels in (
        ("Ada", [9, 9, 9, 240]),
        ("Ben", [240, 9, 9, 9]),
        ("Ada", [9, 9, 99, 99]),
    ):
        picture = write_picture(tmp_path / "face.png", levels)
        gallery.enroll(person, verifier.describe(picture))
    return gallery


def test_the_nearest_person(known: Gallery, verifier: Verifier, tmp_path: Path) -> None:
    face = verifier.describe(write_picture(tmp_path / "who.png", [9, 9, 110, 90]))
    matches = known.identify(face, verifier)
    assert [match.person for match in matches] == ["Ada", "Ben"]
    assert matches[0].distance < 0.1 < matches[1].distance


def test_what_is_written_is_read(known: Gallery, verifier: Verifier, tmp_path: Path) -> None:
    known.write(tmp_path / "gallery")
    again = Gallery.read(tmp_path / "gallery", verifier)
    assert again.people == ["Ada", "Ben", "Ada"]
    assert np.array_equal(np.stack(again.descriptors), np.stack(known.descriptors))


def test_the_gallery_of_another_verifier(known: Gallery, tmp_path: Path) -> None:
    known.write(tmp_path / "gallery")
    from torch import nn

    other = nn.Sequential(quarters(), nn.ReLU(), nn.Threshold(0.1, 0.0))
    another = Verifier(write_verifier(tmp_path / "other", other), "none")
    with pytest.raises(StoreError, match="made with another verifier"):
        Gallery.read(tmp_path / "gallery", another)


def test_an_empty_gallery(verifier: Verifier, tmp_path: Path) -> None:
    face = verifier.describe(write_picture(tmp_path / "who.png", [9, 9, 9, 9]))
    empty = Gallery(verifier.about.checksum())
    empty.write(tmp_path / "gallery")
    with pytest.raises(UsageError, match="the gallery is empty"):
        Gallery.read(tmp_path / "gallery", verifier).identify(face, verifier)
    with pytest.raises(UsageError, match="needs a name"):
        empty.enroll(" ", face)


def test_a_checksum_that_is_none(verifier: Verifier, tmp_path: Path) -> None:
    """What a damaged file says is not printed: it may be a terminal's control character."""
    path = tmp_path / "gallery"
    Gallery("51\x7f" + 61 * "0", ["Ada"], [np.ones(4, np.float32)]).write(path)
    with pytest.raises(StoreError, match="it does not say whose gallery it is"):
        Gallery.read(path, verifier)


@settings(deadline=None, max_examples=150, derandomize=True)
@given(draw=st.data())
def test_damaged_bytes_are_refused_or_harmless(
    draw: st.DataObject, verifier: Verifier, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("damaged") / "gallery"
    gallery = Gallery(verifier.about.checksum(), ["Ada", "Ben"], list(np.ones((2, 4), np.float32)))
    gallery.write(path)
    content = bytearray(path.read_bytes())
    if draw.draw(st.booleans()):
        del content[draw.draw(st.integers(0, len(content) - 1)) :]
    else:
        content[draw.draw(st.integers(0, len(content) - 1))] = draw.draw(st.integers(0, 255))
    path.write_bytes(bytes(content))
    try:
        found = Gallery.read(path, verifier)
    except StoreError as error:
        assert str(error).isprintable()  # noqa: PT017
    else:
        assert len(found.people) == len(found.descriptors) == 2
