"""The datasets: pictures and labels in memory, checked, from where they are found.

`load` gives a dataset by its name; `Images` and `Dataset` hold it. `read_folder` reads the user's
own pictures from folders.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from maxprune.data.cifar10 import cifar10
from maxprune.data.digits import digits
from maxprune.data.folder import Folder, read_folder
from maxprune.data.images import Dataset, Images
from maxprune.data.mnist import mnist
from maxprune.errors import UsageError

__all__ = [
    "NAMES",
    "Dataset",
    "Folder",
    "Images",
    "cifar10",
    "digits",
    "load",
    "mnist",
    "read_folder",
]

_LOADERS: dict[str, Callable[[Path | None], Dataset]] = {
    "digits": lambda root: digits(),
    "mnist": mnist,
    "cifar10": cifar10,
}

NAMES = tuple(_LOADERS)
"""What `load` knows."""


def load(name: str, root: str | Path | None = None) -> Dataset:
    """A dataset by its name.

    Args:
        name: one of `NAMES`: "digits" (always there, no network), "mnist" or "cifar10".
        root: the folder that has a folder `name`; when None, `$MAXPRUNE_DATA`, then the cache,
            then a download. "digits" needs none and does not look at it.

    Raises:
        UsageError: no dataset has this name.
        DataError: it is missing, cannot be downloaded, or is damaged.
        OutputError: the cache cannot be written for a download.

    Examples:
        >>> len(load("digits").test)
        360
    """
    if name not in _LOADERS:
        raise UsageError(f"there is no dataset {name!r}; choose one of {', '.join(NAMES)}")
    return _LOADERS[name](None if root is None else Path(root))
