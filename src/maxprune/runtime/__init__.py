"""What networks cost while they run: time, memory and bytes, several side by side."""

from maxprune.runtime.bench import bench
from maxprune.runtime.records import Bench, Benched, Sized, Timing

__all__ = ["Bench", "Benched", "Sized", "Timing", "bench"]
