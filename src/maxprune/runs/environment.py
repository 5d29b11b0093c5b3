"""On which machine, with which versions, something was measured."""

from __future__ import annotations

import platform
from pathlib import Path

import torch

from maxprune._version import __version__
from maxprune.distributed.world import world
from maxprune.modes import best_device
from maxprune.plural import plural


def environment(threads: int) -> dict[str, str]:
    """The machine and the versions that a result depends on; no host name, no user."""
    device = best_device()
    together = {"processes": str(world().size)} if world().size > 1 else {}
    return {
        "maxprune": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else processor(),
        "threads": str(threads),
        **together,
        "system": platform.system(),
    }


def processor() -> str:
    """The name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]} ({plural(len(names), 'core')})" if names else platform.processor() or "CPU"
