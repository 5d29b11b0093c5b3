"""A verifier whose descriptors can be worked out by hand: mean brightness of four quarters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from maxprune.store.verifier import save_verifier

SIZE = 8
MARGIN = 1.1


def quarters() -> nn.Module:
    return nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten())


def pairs() -> tuple[torch.Tensor, torch.Tensor]:
    """Distances of ten pairs of one person, and of ten of two, one of each on the wrong side."""
    same = torch.tensor([0.01 * i for i in range(1, 10)] + [0.6])
    different = torch.tensor([0.05] + [0.5 + 0.01 * i for i in range(9)])
    return torch.cat([same, different]), torch.arange(20) < 10


def write_verifier(folder: Path, network: nn.Module | None = None, **settings: Any) -> Path:
    generator = torch.Generator().manual_seed(0)
    faces = torch.randint(0, 256, (4, 1, SIZE, SIZE), dtype=torch.uint8, generator=generator)
    tested, held = pairs(), pairs()
    held = (held[0] - 0.001, held[1])
    return save_verifier(
        network or quarters(), folder, faces, tested, held, MARGIN, "20 pairs", **settings
    )


def write_picture(path: Path, levels: list[int], side: int = 40) -> Path:
    """Four quarters of these grey levels."""
    values = np.array(levels, dtype=np.uint8).reshape(2, 2)
    Image.fromarray(np.kron(values, np.ones((side // 2, side // 2), np.uint8))).save(path)
    return path
