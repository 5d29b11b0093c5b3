"""Variables of MATLAB 7.3, whose files are HDF5, through h5py."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from maxprune.errors import StoreError, UsageError
from maxprune.store.hdf5 import is_here, try_hdf5
from maxprune.store.vgg_face.layers import LIMIT, MANY, check_size
from maxprune.store.vgg_face.matlab import require


class Mat73:
    """The variables of a file, to be opened with `with`; see `matlab.Variables` for the methods.

    What is asked for is read, and no more; links out of the file are not followed.

    Args:
        path: the file.

    Raises:
        UsageError: the package h5py is not installed.
    """

    def __init__(self, path: Path) -> None:
        try:
            import h5py
        except ImportError as error:
            raise UsageError(
                f"{path} is of MATLAB 7.3, which needs the package h5py: pip install h5py"
            ) from error
        try_hdf5(path)
        self.h5py, self.top = h5py, h5py.File(path, "r")
        self.read = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.top.close()

    def field(self, node: Any, name: str) -> Any:
        """A field of a struct."""
        if not isinstance(node, self.h5py.Group) or name not in node:
            return None
        if not isinstance(node.get(name, getlink=True), self.h5py.HardLink):
            raise StoreError(f"{name!r} is a link, which MATLAB does not write")
        return node[name]

    def cells(self, node: Any) -> list[Any]:
        """The elements of a cell array."""
        if node is None or "MATLAB_empty" in node.attrs:
            return []
        return [self.top[reference] for reference in self._values(node, "O", MANY).flat]

    def text(self, node: Any) -> str:
        """A row of characters."""
        if node is None or "MATLAB_empty" in node.attrs:
            return ""
        return "".join(map(chr, self._values(node, "u", MANY).flat))

    def array(self, node: Any) -> np.ndarray:
        """Numbers."""
        if "MATLAB_empty" in node.attrs:
            return np.empty((0, 0))
        return self._values(node, "fiu", LIMIT).T  # MATLAB's first axis is HDF5's last

    def _values(self, node: Any, kinds: str, most: int) -> np.ndarray:
        """The content of a dataset, once it is known to be here and of a size that can be."""
        require(isinstance(node, self.h5py.Dataset))
        self.read += node.size or 0
        check_size("the file", self.read)
        require((node.size or 0) <= most and node.dtype.kind in kinds and is_here(node))
        return np.asarray(node[()])
