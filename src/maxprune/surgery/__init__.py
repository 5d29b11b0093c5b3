"""Surgery: apply a plan to a network, and check that nothing else changed."""

from maxprune.surgery.apply import apply
from maxprune.surgery.audit import audit, masked
from maxprune.surgery.dead import DeadRemoval, alive_neurons, remove_dead

__all__ = ["DeadRemoval", "alive_neurons", "apply", "audit", "masked", "remove_dead"]
