"""Surgery: apply a plan to a network, and check that nothing else changed."""

from maxprune.surgery.apply import apply
from maxprune.surgery.audit import audit, masked
from maxprune.surgery.dead import DeadRemoval, alive_neurons, remove_dead
from maxprune.surgery.trial import channel_groups

__all__ = [
    "DeadRemoval",
    "alive_neurons",
    "apply",
    "audit",
    "channel_groups",
    "masked",
    "remove_dead",
]
