"""How much memory this process has had at its highest, on Linux and elsewhere."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import re
import resource
import sys
from pathlib import Path

_STATUS, _REFERENCES = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_PEAK = "5"  # man 5 proc: VmHWM becomes what is resident now


def peak() -> int:
    """Bytes that this process had resident at its highest, since `reset` where that works."""
    found = _status("VmHWM")
    if found is not None:
        return found
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def resident() -> int:
    """Bytes that it has resident now; its peak where nobody tells."""
    found = _status("VmRSS")
    return peak() if found is None else found


def reset() -> bool:
    """Begin anew with the peak; False where the system does not allow it."""
    with contextlib.suppress(OSError):
        _REFERENCES.write_text(_RESET_PEAK, encoding="ascii")
        return True
    return False


def give_back() -> None:
    """Give what is freed back to the system, so that it is not counted with what is used."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # another C library has no such function
        ctypes.CDLL(None).malloc_trim(0)


def _status(field: str) -> int | None:
    try:
        text = _STATUS.read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.search(rf"^{field}:\s+(\d+) kB$", text, re.MULTILINE)
    return None if found is None else int(found[1]) * 1024
