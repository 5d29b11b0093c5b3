"""Viola-Jones on real pictures."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maxprune.data.lfw_files import in_archive
from maxprune.pictures import read_picture
from maxprune.verify import Box, find_faces
from maxprune.verify.detect import _grey

LFW = Path(os.environ.get("MAXPRUNE_DATA", "nowhere")) / "lfw" / "lfw-deepfunneled.tgz"
COUNT = 40


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    if not LFW.is_file():
        pytest.skip("needs lfw-deepfunneled.tgz in MAXPRUNE_DATA/lfw")
    found = []
    for _, _, file, _ in in_archive(LFW):
        found.append(read_picture(file))
        if len(found) == COUNT:
            break
    return found


def test_the_face_in_the_middle(pictures: list[np.ndarray]) -> None:
    """Pictures of LFW are 2.2 times what a Viola-Jones cascade found."""
    found = [find_faces(picture) for picture in pictures]
    middle = [boxes[0] for boxes in found if boxes]
    assert len(middle) >= COUNT - 2
    assert np.median([box.side for box in middle]) == pytest.approx(250 / 2.2, abs=6)
    for edge in ("left", "top"):
        centre = np.median([getattr(box, edge) + box.side / 2 for box in middle])
        assert centre == pytest.approx(125, abs=5)


def test_size_and_place_follow_the_picture(pictures: list[np.ndarray]) -> None:
    image = Image.fromarray(pictures[0].transpose(1, 2, 0)).resize((1500, 1500))
    canvas = Image.new("RGB", (3000, 2000), "gray")
    canvas.paste(image, (1400, 300))
    (box,) = find_faces(np.asarray(canvas).transpose(2, 0, 1))
    assert box.side == pytest.approx(6 * 114, rel=0.15)
    assert box.left + box.side / 2 == pytest.approx(1400 + 750, abs=60)
    assert box.top + box.side / 2 == pytest.approx(300 + 750, abs=60)


def test_several_faces_the_largest_first(pictures: list[np.ndarray]) -> None:
    one, other = (Image.fromarray(p.transpose(1, 2, 0)) for p in pictures[:2])
    canvas = Image.new("RGB", (600, 260), "gray")
    canvas.paste(one.resize((200, 200)), (10, 10))
    canvas.paste(other, (300, 0))
    boxes = find_faces(np.asarray(canvas).transpose(2, 0, 1))
    assert len(boxes) == 2
    assert boxes[0].side > boxes[1].side
    assert boxes[0].left > 300


def test_no_face() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (3, 200, 300), dtype=np.uint8)
    assert find_faces(noise) == []
    assert find_faces(np.zeros((1, 30, 3), np.uint8)) == []


def test_grey_is_pillows() -> None:
    colours = np.random.default_rng(0).integers(0, 256, (3, 20, 30), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(colours.transpose(1, 2, 0)).convert("L"))
    assert np.array_equal(_grey(colours), expected)
    file = io.BytesIO()
    Image.fromarray(expected).save(file, "PNG")
    assert np.array_equal(_grey(read_picture(file)), expected)


def test_a_box_in_words() -> None:
    assert str(Box(3, 4, 20)) == "20x20 at (3, 4)"
