"""What networks cost while they run: time, memory and bytes, several side by side."""

from maxprune.runtime.engines import Source
from maxprune.runtime.records import Bench, Benched, Sized, Timing
from maxprune.runtime.side_by_side import bench

__all__ = ["Bench", "Benched", "Sized", "Source", "Timing", "bench"]
