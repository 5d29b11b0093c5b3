"""A verifier: a network that describes faces, with the threshold and error rates it was given.

FOLDER/verifier.onnx   a face (batch, channels, size, size) in [0, 1] to a descriptor
FOLDER/verifier.mxp    its weights, coded, where they are not in verifier.onnx
FOLDER/verifier.json   what it takes, its threshold, and distances of pairs it was tested on
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from maxprune.coding.onnx import decode_weights
from maxprune.errors import DataError, StoreError, UsageError
from maxprune.files import read_bytes, read_json
from maxprune.pictures import Unreadable, pillow, read_picture
from maxprune.records import first_wrong
from maxprune.sessions import open_session
from maxprune.verify.detect import Box, find_faces
from maxprune.verify.rates import Rates

NETWORK, WEIGHTS, ABOUT = "verifier.onnx", "verifier.mxp", "verifier.json"
DETECTORS = ("viola-jones", "none")
Detector = Literal["viola-jones", "none"]
Which = Literal["only", "largest"]
Distance = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class About(BaseModel):
    """What `verifier.json` says; format 2 where the weights are coded.

    Args:
        sha256: of `verifier.onnx`.
        weights: the same of `verifier.mxp`; empty where there is none.
        channels: 1 for grey, 3 for RGB.
        size: height and width that a face is brought to, in pixels.
        margin: side of the square that is cut out, times the side of the box that the detector
            finds around a face.
        threshold: distances up to this one are of the same person.
        tested: of what pairs the error rates are, in words.
        same: distances of pairs of one person.
        different: of two.
        held_same: distances of other pairs, on which a threshold for another rate is chosen.
        held_different: of two people, likewise.
        distance: by which descriptors are compared.
        about: what else is to be known.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1, 2] = 1
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    weights: Annotated[str, Field(pattern="^([0-9a-f]{64})?$")] = ""
    channels: Literal[1, 3]
    size: Annotated[int, Field(ge=1, le=1024)]
    margin: Annotated[float, Field(gt=0, le=10)]
    threshold: Distance
    tested: str
    same: list[Distance]
    different: list[Distance]
    held_same: list[Distance]
    held_different: list[Distance]
    distance: Literal["bray-curtis", "hellinger", "euclidean"] = "bray-curtis"
    about: dict[str, Any] = {}

    @model_validator(mode="after")
    def _check(self) -> About:
        if (self.format == 2) != bool(self.weights):
            raise ValueError("weights: their checksum stands there in format 2, and only there")
        return self

    def checksum(self) -> str:
        """Of the network: of its one file, or of both."""
        both = self.sha256 + self.weights
        return hashlib.sha256(both.encode()).hexdigest() if self.weights else self.sha256


@dataclass(frozen=True, eq=False)
class Described:
    """A face: the picture's file, where the face is in it (None: all of it), its descriptor."""

    file: str
    box: Box | None
    descriptor: Float32[np.ndarray, " features"]


@dataclass(frozen=True)
class Verification:
    """The answer for two pictures; FAR and FRR are fractions, measured at the threshold."""

    same: bool
    distance: float
    threshold: float
    far: float
    frr: float
    faces: tuple[Described, Described]


class Verifier:
    """A verifier from its folder.

    Args:
        folder: as `store.save_verifier` wrote it.
        detector: how faces are found: "viola-jones", or "none" where a picture shows a face alone.
        which: what to do with several faces in a picture: "only" refuses them, "largest" takes the
            largest.

    Raises:
        StoreError: a file is missing or damaged, of a newer format, or no verifier.
        UsageError: an unknown detector.

    Example:
        >>> from maxprune.verify import Verifier
        >>> Verifier("nowhere")
        Traceback (most recent call last):
        ...
        maxprune.errors.StoreError: nowhere/verifier.json is not there
    """

    def __init__(
        self, folder: str | Path, detector: Detector = "viola-jones", which: Which = "only"
    ) -> None:
        if detector not in DETECTORS:
            raise UsageError(f"a detector is {' or '.join(DETECTORS)}, not {detector!r}")
        self.folder, self.detector, self.which = Path(folder), detector, which
        self.about = _read_about(self.folder)
        content = _checked(self.folder / NETWORK, self.about.sha256)
        weights = None
        if self.about.weights:
            weights = decode_weights(_checked(self.folder / WEIGHTS, self.about.weights))
        self._session = open_session(content, self.folder / NETWORK, threads=1, weights=weights)
        self.threshold = self.about.threshold

    def apart(
        self, a: Float32[np.ndarray, " features"], b: Float32[np.ndarray, " features"]
    ) -> float:
        """How far apart two descriptors are, by the distance that the threshold is of."""
        return _FORMULAS[self.about.distance](a, b)

    @cached_property
    def rates(self) -> Rates:
        """On the pairs it was tested on."""
        return Rates(np.array(self.about.same), np.array(self.about.different))

    def at_far(self, far: float) -> float:
        """Take the threshold that other pairs give for a false acceptance rate, a fraction.

        Returns:
            The threshold, which is in force from now on.

        Raises:
            UsageError: those pairs cannot show such a rate.
        """
        other = Rates(np.array(self.about.held_same), np.array(self.about.held_different))
        self.threshold = other.threshold(far)
        return self.threshold

    def verify(self, first: str | Path, second: str | Path) -> Verification:
        """Whether two pictures show the same person.

        Raises:
            DataError: a file is no picture, or shows no face, or several.
        """
        faces = self.describe(first), self.describe(second)
        apart = self.apart(faces[0].descriptor, faces[1].descriptor)
        far, frr = self.rates.at(self.threshold)
        return Verification(apart <= self.threshold, apart, self.threshold, far, frr, faces)

    def describe(self, file: str | Path) -> Described:
        """The face in a picture.

        Raises:
            DataError: the file is no picture, or shows no face, or several.
        """
        try:
            with pillow():
                picture = read_picture(Path(file))
        except Unreadable as error:
            raise DataError(f"{file} cannot be read: {error}") from error
        box = None if self.detector == "none" else self._box(picture, file)
        face = cut_out(picture, box, self.about)
        (row,) = self._session.run(None, {"input": face[None].astype(np.float32) / 255})[0]
        return Described(str(file), box, np.asarray(row, dtype=np.float32))

    def _box(self, picture: UInt8[np.ndarray, "c h w"], file: str | Path) -> Box:
        found = find_faces(picture)
        if not found:
            raise DataError(
                f"{file}: no face was found; where the picture shows nothing but a face, say "
                "--detector none"
            )
        if len(found) > 1 and self.which == "only":
            boxes = ", ".join(map(str, found))
            raise DataError(
                f"{file}: {len(found)} faces were found: {boxes}; say --face largest, or cut the "
                "picture"
            )
        return found[0]


def cut_out(
    picture: UInt8[np.ndarray, "c h w"], box: Box | None, about: About
) -> UInt8[np.ndarray, "channels size size"]:
    """The face as the network takes it.

    The square around the middle of the box, or the largest in the middle of the picture, brought to
    its size by Pillow's antialiased Lanczos filter. Where it reaches out of the picture, the
    picture's edge is repeated.
    """
    height, width = picture.shape[1:]
    if box is None:
        side = float(min(height, width))
        left, top = (width - side) / 2, (height - side) / 2
    else:
        side = about.margin * box.side
        left, top = (edge + (box.side - side) / 2 for edge in (box.left, box.top))
    reach = [
        max(0, int(np.ceil(out))) for out in (-top, top + side - height, -left, left + side - width)
    ]
    padded = np.pad(picture, ((0, 0), tuple(reach[:2]), tuple(reach[2:])), mode="edge")
    left, top = left + reach[2], top + reach[0]
    image = Image.fromarray(padded[0] if len(padded) == 1 else padded.transpose(1, 2, 0))
    image = image.convert("L" if about.channels == 1 else "RGB")
    values = np.asarray(
        image.resize(
            (about.size, about.size), Image.Resampling.LANCZOS,
            box=(left, top, left + side, top + side),
        )
    )  # fmt: skip
    return values.reshape(about.size, about.size, about.channels).transpose(2, 0, 1)


def bray_curtis(a: Float32[np.ndarray, " features"], b: Float32[np.ndarray, " features"]) -> float:
    """The sum of |a - b| over the sum of |a + b|; 0 for two descriptors of nothing but zeros."""
    one, other = a.astype(np.float64), b.astype(np.float64)
    apart, together = np.abs(one - other).sum(), np.abs(one + other).sum()
    return float(apart / together) if apart else 0.0


def hellinger(a: Float32[np.ndarray, " features"], b: Float32[np.ndarray, " features"]) -> float:
    """As `measure.distances` defines it; 0 for two descriptors of nothing but zeros."""
    if not (a.any() and b.any()):
        return float(a.any() or b.any())
    one, other = (np.sqrt(row / row.sum(dtype=np.float64)) for row in (a, b))
    return float(np.linalg.norm(one - other) / 2**0.5)


def euclidean(a: Float32[np.ndarray, " features"], b: Float32[np.ndarray, " features"]) -> float:
    """The root of the sum of (a - b)^2."""
    return float(np.linalg.norm(a.astype(np.float64) - b.astype(np.float64)))


_FORMULAS = {"bray-curtis": bray_curtis, "hellinger": hellinger, "euclidean": euclidean}


def _checked(path: Path, checksum: str) -> bytes:
    content = read_bytes(path)
    if hashlib.sha256(content).hexdigest() != checksum:
        raise StoreError(f"{path} is damaged: its checksum is not the one in {ABOUT}")
    return content


def _read_about(folder: Path) -> About:
    path = folder / ABOUT
    if not path.exists():
        raise StoreError(f"{path} is not there")
    content = read_json(path)
    if not isinstance(content, dict) or content.get("format") not in (1, 2):
        found = content.get("format") if isinstance(content, dict) else None
        raise StoreError(f"{path} has verifier format {found!r}; this maxprune reads 1 and 2")
    try:
        return About.model_validate(content)
    except ValidationError as error:
        raise StoreError(f"{path} is not a verifier: {first_wrong(error)}") from error
