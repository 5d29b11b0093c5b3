"""A small LFW of people that anybody can tell apart, with pairs of two folds."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from maxprune.data.faces import Faces
from maxprune.data.pairs import Pairs

EACH = 4  # pictures of a person
PEOPLE = 14
TESTED = 4  # people of a fold


def portrait(person: int, number: int) -> np.ndarray:
    """(250, 250) grey: blocks that are the person's own, and noise."""
    blocks = np.random.default_rng(person).integers(60, 200, (5, 5))
    noise = np.random.default_rng(1000 * person + number).normal(0, 12, (250, 250))
    return np.clip(np.kron(blocks, np.ones((50, 50))) + noise, 0, 255).astype(np.uint8)


def name(person: int) -> str:
    return f"Person_{person:02d}"


def pairs_text() -> str:
    """Two folds: people 0 to 3, and 4 to 7."""
    lines = [f"2\t{TESTED}"]
    for fold in range(2):
        own = range(TESTED * fold, TESTED * (fold + 1))
        lines += [f"{name(p)}\t1\t2" for p in own]
        lines += [f"{name(p)}\t1\t{name(own[(i + 1) % TESTED])}\t2" for i, p in enumerate(own)]
    return "\n".join([*lines, ""])


def write_lfw(root: Path) -> Path:
    """As it is on disk, unpacked."""
    for person in range(PEOPLE):
        folder = root / "lfw" / "lfw-deepfunneled" / name(person)
        folder.mkdir(parents=True)
        for number in range(1, EACH + 1):
            content = io.BytesIO()
            Image.fromarray(portrait(person, number)).save(content, "JPEG", quality=90)
            (folder / f"{name(person)}_{number:04d}.jpg").write_bytes(content.getvalue())
    (root / "lfw" / "pairs.txt").write_text(pairs_text())
    return root


def small_faces() -> tuple[Faces, Pairs]:
    """The same in memory, 8x8, with the pairs of both folds."""
    pixels = [portrait(p, n)[13::32, 13::32] for p in range(PEOPLE) for n in range(EACH)]
    person = torch.arange(PEOPLE).repeat_interleave(EACH)
    faces = Faces(
        torch.from_numpy(np.stack(pixels))[:, None].contiguous(),
        tuple(name(p) for p in range(PEOPLE)), person,
        torch.arange(1, EACH + 1).repeat(PEOPLE),
    )  # fmt: skip
    places, same = [], []
    for fold in range(2):
        own = [TESTED * fold + i for i in range(TESTED)]
        places += [(EACH * p, EACH * p + 1) for p in own]
        places += [(EACH * p, EACH * own[(i + 1) % TESTED] + 1) for i, p in enumerate(own)]
        same += [True] * TESTED + [False] * TESTED
    fold = torch.arange(2).repeat_interleave(2 * TESTED)
    return faces, Pairs(torch.tensor(places), torch.tensor(same), fold)
