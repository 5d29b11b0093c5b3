"""A gallery: the descriptors of people who are known, in one file.

A safetensors file with the descriptors, (faces, features) float32, whose metadata name the people
and the verifier; a gallery of one verifier says nothing to another.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from safetensors import SafetensorError
from safetensors.numpy import load, save

from maxprune.errors import StoreError, UsageError
from maxprune.files import read_bytes, safetensors_header, write_bytes
from maxprune.verify.verifier import Described, Verifier

FORMAT = "1"
_CHECKSUM = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Match:
    """A person of the gallery and the smallest distance of one of that person's faces."""

    person: str
    distance: float


@dataclass
class Gallery:
    """The faces of people who are known.

    Args:
        model: checksum of the verifier that described them.
        people: whose each descriptor is.
        descriptors: a row for each.
    """

    model: str
    people: list[str] = field(default_factory=list)
    descriptors: list[Float32[np.ndarray, " features"]] = field(default_factory=list)

    def enroll(self, person: str, face: Described) -> None:
        """Add a face of a person.

        Raises:
            UsageError: the person has no name.
        """
        if not person.strip() or not person.isprintable():
            raise UsageError(f"a person needs a name, not {person!r}")
        self.people.append(person)
        self.descriptors.append(face.descriptor)

    def identify(self, face: Described, verifier: Verifier) -> list[Match]:
        """Everybody in the gallery, the nearest first, by the distance of its verifier.

        Raises:
            UsageError: the gallery is empty.
        """
        if not self.people:
            raise UsageError("the gallery is empty; enroll somebody first")
        nearest: dict[str, float] = {}
        for person, known in zip(self.people, self.descriptors, strict=True):
            apart = verifier.apart(face.descriptor, known)
            nearest[person] = min(apart, nearest.get(person, apart))
        found = (Match(person, apart) for person, apart in nearest.items())
        return sorted(found, key=lambda match: (match.distance, match.person))

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all.

        Raises:
            OutputError: it cannot be written.
        """
        about = {"format": FORMAT, "model": self.model, "people": json.dumps(self.people)}
        rows = np.stack(self.descriptors) if self.descriptors else np.zeros((0, 0), np.float32)
        write_bytes(path, save({"descriptors": np.ascontiguousarray(rows)}, about))

    @classmethod
    def read(cls, path: Path, verifier: Verifier) -> Gallery:
        """Open a gallery of this verifier.

        Raises:
            StoreError: the file is missing, damaged, no gallery, or that of another verifier.
        """
        content = read_bytes(path)
        try:
            rows = load(content)["descriptors"]
            about = safetensors_header(content)[0]["__metadata__"]
            people = json.loads(about["people"])
            model = about["model"]
        except (SafetensorError, KeyError, ValueError, TypeError) as error:
            raise StoreError(f"{path} is not a gallery, or damaged") from error
        fits = rows.ndim == 2 and rows.dtype == np.float32 and bool(np.isfinite(rows).all())
        if not fits or not isinstance(people, list) or len(people) != len(rows):
            raise StoreError(f"{path} is damaged: its people do not fit its descriptors")
        if not _CHECKSUM.fullmatch(model):
            raise StoreError(f"{path} is damaged: it does not say whose gallery it is")
        if model != verifier.about.checksum():
            raise StoreError(
                f"{path} was made with another verifier ({model[:12]}...; this one is "
                f"{verifier.about.checksum()[:12]}...); enroll the people again"
            )
        return cls(model, [str(person) for person in people], list(rows))
