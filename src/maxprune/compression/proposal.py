"""What a method proposes, and what is asked of a method.

A method proposes; it never trains and never judges. All that it decides follows from the network,
the training data and the answers, so a search that is killed can be gone through again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torch import nn

from maxprune.data.samples import Samples, first_inputs
from maxprune.distributed.world import world
from maxprune.plan import KeepPlan
from maxprune.runs.identity import of_network
from maxprune.store.quantized import Mode
from maxprune.surgery import apply, audit


@dataclass(frozen=True)
class Proposal:
    """Something to try.

    Args:
        title: what it is, in a few words.
        base: the network that is cut.
        make: cuts the network and gives it back, not yet retrained.
        k: inputs of a maxout unit that is left; 1 where there is none.
        zero: share of the parameters that go to zero while it is retrained; None for none.
        bits: of the values that weights share after it; the network is coded then. None for none.
        int8: how it is brought to 8 bits, in a file of its own; it is not retrained then.
        times: as long as how many retrainings it is trained.
        better: whether it is taken only if it is right more often than `base`, where nothing is cut
            but the network only trained.
        fresh: whether its weights were drawn anew.
        mild: whether the pictures it is trained on are augmented half as much.
        last: whether it may be what the user gets, as no training follows that is for all.
        remark: what the reader has to know of it; empty for nothing.
    """

    title: str
    base: nn.Module
    make: Callable[[], nn.Module]
    k: int = 1
    zero: float | None = None
    bits: int | None = None
    int8: Mode | None = None
    times: float = 1.0
    better: bool = False
    fresh: bool = False
    mild: bool = False
    last: bool = False
    remark: str = ""


class Method(Protocol):
    """Proposes one smaller network after the other.

    Attributes:
        notes: what the user has to know of what is cut and what is not.
        why: why there is nothing left to try, once that is so and not what was asked for.
    """

    notes: tuple[str, ...]
    why: str

    def propose(self, model: nn.Module) -> Proposal | None:
        """What to try next on the network so far; None when there is nothing left to try."""

    def answer(self, model: nn.Module, good: bool, easily: bool = True) -> nn.Module:
        """Take note of what became of the proposal, and say from which network to go on.

        Args:
            model: the retrained proposal if it was good, else the network it was made from.
            good: whether it was taken.
            easily: whether it took no longer training than usual.
        """


def audited(model: nn.Module, plan: KeepPlan, samples: Samples) -> nn.Module:
    """The smaller network, compared with the masked larger one on real samples.

    The plan is that of the first process, and all have cut alike.

    Raises:
        AuditError: the smaller network does not give what the masked larger one gives.
        MaxpruneError: the processes have cut differently.
    """
    plan = KeepPlan.model_validate(world().told(plan.model_dump(mode="json")))
    smaller = apply(model, plan)
    audit(model, smaller, plan, first_inputs(samples, 64))
    if world().size > 1:
        world().agree("network after a cut", of_network(smaller).encode())
    return smaller
