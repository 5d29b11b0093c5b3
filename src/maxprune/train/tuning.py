"""Train a part of a network and leave the rest as it is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from torch import nn

from maxprune.errors import UsageError


@contextlib.contextmanager
def tuning(model: nn.Module, tuned: Sequence[str]) -> Iterator[None]:
    """Only the named modules learn; afterwards every parameter asks for gradients as it did.

    The other modules are in evaluation mode: their batch norms keep their means, and they drop
    nothing out. What stands in front of the first tuned module takes no backward pass.

    Args:
        model: in the mode that the tuned modules shall have.
        tuned: names of modules, with all that is in them; () for the whole network.

    Raises:
        UsageError: there is no module of a name, or the named ones have no parameters to train.
    """
    asked = [(p, p.requires_grad) for p in model.parameters()]
    try:
        if tuned:
            _freeze(model, tuned)
        if not any(p.requires_grad for p in model.parameters()):
            where = f" in {', '.join(tuned)}" if tuned else ""
            raise UsageError(f"the network has no parameters to train{where}")
        yield
    finally:
        for parameter, wanted in asked:
            parameter.requires_grad_(wanted)


def _freeze(model: nn.Module, tuned: Sequence[str]) -> None:
    """Everything but the named modules, and what they stand in."""
    modules = dict(model.named_modules())
    unknown = [name for name in tuned if name not in modules]
    if unknown:
        raise UsageError(f"there is no module {unknown[0]!r} in the network that could be tuned")
    learning = {id(p) for name in tuned for p in modules[name].parameters()}
    for parameter in model.parameters():
        parameter.requires_grad_(parameter.requires_grad and id(parameter) in learning)
    for name, module in modules.items():
        inside = any(name == one or name.startswith(f"{one}.") for one in tuned)
        around = not name or any(one.startswith(f"{name}.") for one in tuned)
        if not inside and not around:
            module.training = False
