"""State dicts that torch saved, without pickle's powers and without memory that they only claim."""

from __future__ import annotations

import mmap
import zipfile
from pathlib import Path
from typing import Any

import torch

from maxprune.errors import StoreError

WRAPPERS = ("state_dict", "model_state_dict", "model")
"""Names under which training programs keep a state dict among other things."""

_MAKES_MEMORY = b"bytearray"
"""The one name that `weights_only=True` calls with a size of the file's choice."""


def load_state(path: Path) -> Any:
    """What a file of `torch.save` holds, or the state dict in it; nothing in it is called.

    Raises:
        StoreError: it is packed, or makes memory out of a number.
        Exception: whatever torch raises where it is damaged.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                raise StoreError("it is packed, as torch does not write it")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if content.find(_MAKES_MEMORY) >= 0:
            raise StoreError("it has a bytearray in it, which no state dict needs")
    found = torch.load(path, map_location="cpu", weights_only=True)
    for key in WRAPPERS:
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    return found
