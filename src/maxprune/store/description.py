"""`model.json`: what a saved model is, with its own checksum (described in docs/format.md)."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from maxprune.errors import StoreError
from maxprune.files import parse_json
from maxprune.records import first_wrong
from maxprune.store.parts import DESCRIPTION, find_part

FORMAT = 2
_FIELD = b'"checksum": "'
_ZEROS = "0" * 64


class Description(BaseModel):
    """What stands in `model.json`.

    Args:
        format: version of this description; 2 where there is a graph.
        maxprune: version of the program that wrote it.
        factory: "package.module:function" that builds the network.
        arguments: its keyword arguments.
        plans: what was applied to it, in order.
        kept: for each cut layer, the original index of every neuron that is left.
        sha256: checksum of `model.safetensors`.
        about: free text and figures of the writer.
        graph: checksum of `graph.json`; empty where there is none.
        checksum: of `model.json` itself, with zeros in this place.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1, 2]
    maxprune: str
    factory: str
    arguments: dict[str, Any]
    plans: list[dict[str, Any]]
    kept: dict[str, list[int]]
    sha256: str
    about: dict[str, Any] = {}
    graph: str = ""
    checksum: str = _ZEROS


def sealed(description: Description) -> bytes:
    """The bytes of `model.json`; its checksum is filled in."""
    content = description.model_dump(mode="json") | {"checksum": _ZEROS}
    if not description.graph:
        del content["graph"]
    text = json.dumps(content, indent=1, allow_nan=False) + "\n"
    checksum = hashlib.sha256(text.encode()).hexdigest()
    before, _, after = text.rpartition(_ZEROS)
    return (before + checksum + after).encode()


def describe(folder: str | Path) -> Description:
    """Read and check the description of a saved model, folder or file, without its weights.

    Raises:
        StoreError: it is missing, damaged, or of another format.
    """
    place = Path(folder)
    path = place / DESCRIPTION
    content = find_part(place, DESCRIPTION)
    if content is None:
        raise StoreError(f"{folder} is not a saved model: {DESCRIPTION} does not exist")
    found = parse_json(content, path)
    version = found.get("format") if isinstance(found, dict) else None
    if isinstance(version, int) and version > FORMAT:
        raise StoreError(
            f"{path} has model format {version}, newer than this maxprune reads ({FORMAT}); "
            "update it"
        )
    if not _is_whole(content):
        raise StoreError(f"{path} is damaged or was edited: its checksum does not fit")
    try:
        return Description.model_validate(found)
    except ValidationError as error:
        raise StoreError(f"{path} is damaged: {first_wrong(error)}") from error


def _is_whole(content: bytes) -> bool:
    """Whether the checksum in the last field is that of the file with zeros in its place."""
    start = content.rfind(_FIELD) + len(_FIELD)
    given, end = content[start : start + 64], start + 64
    zeroed = content[:start] + _ZEROS.encode() + content[end:]
    return hashlib.sha256(zeroed).hexdigest().encode() == given
