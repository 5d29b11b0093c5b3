"""Read all of an HDF5 file and keep nothing: a program for `maxprune.store.hdf5`, run by itself.

It ends with 1 where there is too much in the file to look at; what Python is told of is no matter.
"""

import contextlib
import sys
from collections.abc import Iterable
from typing import Any

MOST = 100_000  # groups and datasets; VGG-Face has some 200
BYTES = 2 << 30  # of one dataset
ATTRIBUTE = 64 << 20  # bytes that one may take; a damaged length took 900 MB
DEFLATED = 1100  # as in `maxprune.store.hdf5`, which this does not import


def read(path: str) -> int:
    """Read everything that lies in the file itself."""
    import h5py

    with h5py.File(path, "r") as file:
        left: list[Any] = [file]
        seen = 0
        while left:
            node, seen = left.pop(), seen + 1
            if seen > MOST:
                return 1
            for name in _names(node.attrs):
                before = _peak()
                with contextlib.suppress(Exception):
                    _ = node.attrs[name]
                if _peak() - before > ATTRIBUTE:
                    return 1
            if isinstance(node, h5py.Dataset):
                with contextlib.suppress(Exception):
                    _look(node)
                continue
            for name in _names(node):
                with contextlib.suppress(Exception):
                    if isinstance(node.get(name, getlink=True), h5py.HardLink):
                        left.append(node[name])
    return 0


def _peak() -> int:
    """The most memory of this process so far, in bytes; 0 where the system does not tell.

    Linux says what a process has taken itself in `VmHWM`; in what `getrusage` has is that of the
    process which started it.
    """
    try:
        with open("/proc/self/status", encoding="ascii") as status:
            most = next(line for line in status if line.startswith("VmHWM"))
        return 1024 * int(most.split()[1])
    except (OSError, StopIteration, ValueError):
        pass
    try:
        import resource
    except ModuleNotFoundError:
        return 0
    each = 1 if sys.platform == "darwin" else 1024
    return each * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _names(of: Iterable[str]) -> list[str]:
    """The names of attributes or of what is in a group; none where they are damaged."""
    try:
        return list(of)
    except Exception:
        return []


def _look(node: Any) -> None:
    """The numbers of a dataset, if they are here."""
    here = not node.external and not node.is_virtual and node.nbytes <= BYTES
    if here and node.nbytes <= DEFLATED * node.id.get_storage_size():
        _ = node[()]


if __name__ == "__main__":
    try:
        sys.exit(read(sys.argv[1]))
    except OSError:
        sys.exit(0)  # Python was told that it is no such file, and will be told again
