"""Several processes that train and score one network together, on one machine or on many."""

from maxprune.distributed.launch import launched
from maxprune.distributed.world import World, world

__all__ = ["World", "launched", "world"]
