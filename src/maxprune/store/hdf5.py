"""HDF5 files of other people, which its library is first let loose on in a process of its own.

One damaged byte can keep that library busy for ever (seen with HDF5 2.0, in the names of an
attribute), and Python cannot interrupt it. So all of a file is read once elsewhere, in bounded
time; what that process survives is then read here, and numbers only where they are in the file.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from maxprune.errors import StoreError

DEFLATED = 1100  # times that zlib, the usual filter, can make numbers smaller (1,032), rounded up
SECONDS = 30.0  # for a small file, most of them to start Python on a busy machine
A_SECOND = 2 << 20  # bytes of a large one
_TRIAL = Path(__file__).with_name("hdf5_trial.py")


def try_hdf5(path: Path) -> None:
    """Read all of a file in another process.

    Raises:
        StoreError: HDF5's library crashes or takes too long.
    """
    limit = SECONDS + path.stat().st_size / A_SECOND
    places = os.pathsep.join(place for place in sys.path if place)
    command = [sys.executable, "-P", str(_TRIAL), str(path)]
    try:
        done = subprocess.run(
            command, env={**os.environ, "PYTHONPATH": places}, stdin=subprocess.DEVNULL,
            capture_output=True, timeout=limit, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise StoreError(f"{path} is damaged: HDF5's library does not end") from error
    except OSError as error:
        raise StoreError(f"cannot try {path}: {error.strerror or error}") from error
    if done.returncode:
        raise StoreError(f"{path} is damaged: HDF5's library cannot read it")


def is_here(node: Any) -> bool:
    """Whether the numbers of a dataset are in its file, and are not many more than its bytes."""
    here = not node.external and not node.is_virtual
    return here and bool(node.nbytes <= DEFLATED * node.id.get_storage_size())


def numbers(node: Any, name: str) -> np.ndarray:
    """The numbers of a dataset.

    Raises:
        StoreError: it is something else, or they are not in the file.
    """
    import h5py

    if not isinstance(node, h5py.Dataset) or node.dtype.kind not in "fiu" or not is_here(node):
        raise StoreError(f"{name!r} is damaged: no numbers, or not in the file")
    return np.asarray(node[()])
