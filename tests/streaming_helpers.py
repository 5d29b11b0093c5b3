"""Small folders of pictures of which no two are alike, and the same pictures in tar shards."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image


def picture(seed: int, size: tuple[int, int] = (8, 8), mode: str = "RGB") -> Image.Image:
    """Noise; `size` is (width, height)."""
    draw = np.random.default_rng(seed)
    shape = (*size[::-1], 3) if mode == "RGB" else size[::-1]
    return Image.fromarray(draw.integers(0, 256, shape, dtype=np.uint8))


def write_folder(root: Path, each: int = 12, classes: int = 3, **how: object) -> Path:
    """train/, val/ and test/ with so many pictures of each class to train on, and fewer others."""
    for start, split, count in ((0, "train", each), (500, "val", 4), (900, "test", 3)):
        for label in range(classes):
            folder = root / split / f"class{label}"
            folder.mkdir(parents=True)
            for number in range(count):
                name = folder / f"{number:03}.{'jpg' if number % 2 else 'png'}"
                picture(start + 100 * label + number, **how).save(name)
    return root


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def write_shards(folder: Path, root: Path, each: int = 25, numbered: bool = True) -> Path:
    """The pictures of a folder in shards, so many in each; as key.jpg with key.cls, or by class."""
    root.mkdir(parents=True, exist_ok=True)
    for split in ("train", "val", "test"):
        paths = sorted((folder / split).glob("*/*"))
        for number, start in enumerate(range(0, len(paths), each)):
            with tarfile.open(root / f"{split}-{number:04}.tar", "w") as archive:
                for place, path in enumerate(paths[start : start + each], start):
                    label = path.parent.name
                    if numbered:
                        add(archive, f"{place:06}{path.suffix}", path.read_bytes())
                        add(archive, f"{place:06}.cls", label.removeprefix("class").encode())
                    else:
                        add(archive, f"{label}/{path.name}", path.read_bytes())
    return root
