"""How much memory is free, as far as the system tells."""

from __future__ import annotations

import os
import re
from pathlib import Path

_SYSTEM = Path("/proc/meminfo")
_GROUP = Path("/sys/fs/cgroup")  # of a container; version 2


def free() -> int | None:
    """Bytes that a program may still take without swapping; None where nobody tells.

    On Linux what is available, and no more than the container may still have; elsewhere the free
    pages.
    """
    found = [count for count in (_available(), _left_to_group()) if count is not None]
    return min(found) if found else _pages()


def _available() -> int | None:
    try:
        text = _SYSTEM.read_text(encoding="ascii")
    except OSError:
        return None
    line = re.search(r"^MemAvailable:\s+(\d+) kB$", text, re.MULTILINE)
    return int(line[1]) * 1024 if line else None


def _left_to_group() -> int | None:
    try:
        most, used = (
            (_GROUP / name).read_text(encoding="ascii").strip()
            for name in ("memory.max", "memory.current")
        )
    except OSError:
        return None
    return max(0, int(most) - int(used)) if most.isdigit() and used.isdigit() else None


def _pages() -> int | None:
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None
