"""The datasets: pictures and labels in memory, checked, from where they are found.

`load` gives a dataset by its name; `Images` and `Dataset` hold it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from maxprune.data.digits import digits
from maxprune.data.images import Dataset, Images
from maxprune.data.mnist import mnist
from maxprune.errors import UsageError

__all__ = ["NAMES", "Dataset", "Images", "digits", "load", "mnist"]

_LOADERS: dict[str, Callable[[Path | None], Dataset]] = {
    "digits": lambda root: digits(),
    "mnist": mnist,
}

NAMES = tuple(_LOADERS)
"""What `load` knows."""


def load(name: str, root: str | Path | None = None) -> Dataset:
    """A dataset by its name.

    Args:
        name: one of `NAMES`: "digits" (always there, no network) or "mnist".
        root: the folder that has a folder `name`; when None, `$MAXPRUNE_DATA`, then the cache,
            then a download. "digits" needs none and does not look at it.

    Raises:
        UsageError: no dataset has this name.
        DataError: it is missing, cannot be downloaded, or is damaged.
        OutputError: the download cache cannot be written.

    Examples:
        >>> len(load("digits").test)
        360
    """
    if name not in _LOADERS:
        raise UsageError(f"there is no dataset {name!r}; choose one of {', '.join(NAMES)}")
    return _LOADERS[name](None if root is None else Path(root))
