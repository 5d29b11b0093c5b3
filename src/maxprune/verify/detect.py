"""Find faces in a picture with a Viola-Jones cascade (Viola and Jones, IJCV 2004).

The cascade is the one for upright frontal faces that OpenCV brings along.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import UInt8

from maxprune.errors import UsageError

LARGEST = 1024  # pixels of the longer side of the picture that the cascade looks at
SMALLEST = (0.2, 0.06)  # of the shorter side: a face; the second where the first finds none
STEP, NEIGHBOURS = 1.15, 4  # of the cascade: growth of its window, windows that have to agree

_CASCADE = "haarcascade_frontalface_default.xml"


@dataclass(frozen=True, order=True)
class Box:
    """A square in a picture, in pixels: its left and upper edge, its side."""

    left: int
    top: int
    side: int

    def __str__(self) -> str:
        return f"{self.side}x{self.side} at ({self.left}, {self.top})"


def find_faces(picture: UInt8[np.ndarray, "c h w"]) -> list[Box]:
    """The faces in a picture, the largest first.

    Small ones, under a fifth of the picture's shorter side, are looked for only where there is no
    larger one.

    Args:
        picture: grey or RGB, 0 to 255.

    Raises:
        UsageError: OpenCV, or its cascade, is not installed.
    """
    grey = _grey(picture)
    height, width = grey.shape
    scale = min(1.0, LARGEST / max(height, width))
    cv2 = _opencv()
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    even = cv2.equalizeHist(grey)
    found: Any = ()
    for share in SMALLEST:
        least = max(24, round(share * min(grey.shape)))
        found = _cascade().detectMultiScale(
            even, scaleFactor=STEP, minNeighbors=NEIGHBOURS, minSize=(least, least)
        )
        if len(found):
            break
    boxes = [Box(*(round(int(v) / scale) for v in (x, y, side))) for x, y, side, _ in found]
    return sorted(boxes, key=lambda box: (-box.side, box.left, box.top))


def _grey(picture: UInt8[np.ndarray, "c h w"]) -> UInt8[np.ndarray, "h w"]:
    """Luminance (ITU-R 601), as Pillow takes it."""
    if len(picture) == 1:
        return np.ascontiguousarray(picture[0])
    weights = np.array([19595, 38470, 7471], dtype=np.int64)  # of 65,536
    grey = (np.tensordot(weights, picture.astype(np.int64), 1) + 0x8000) >> 16
    return np.ascontiguousarray(grey.astype(np.uint8))


def _opencv() -> Any:
    try:
        import cv2
    except ImportError as error:
        raise UsageError(
            "finding faces needs OpenCV: pip install 'maxprune[verify]'; or give pictures that "
            "show a face alone with --detector none"
        ) from error
    return cv2


@lru_cache(maxsize=1)
def _cascade() -> Any:
    cv2 = _opencv()
    if not hasattr(cv2, "CascadeClassifier"):
        raise UsageError(
            f"OpenCV {cv2.__version__} has no Viola-Jones cascade any more: "
            "pip install 'opencv-python-headless<5'"
        )
    cascade = cv2.CascadeClassifier(cv2.data.haarcascades + _CASCADE)
    if cascade.empty():
        raise UsageError(f"OpenCV {cv2.__version__} does not bring {_CASCADE} along")
    return cascade
