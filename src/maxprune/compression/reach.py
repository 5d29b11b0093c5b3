"""How small a network can be made at all, and whether it is small enough as it is.

Both follow from the network alone, so they are known before any training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torch import nn

from maxprune.compression.maxouts import DryMaxouts, places
from maxprune.compression.scored import chosen_groups
from maxprune.compression.settings import Compression
from maxprune.compression.sizes import Sizes, measure_sizes
from maxprune.data.samples import Splits
from maxprune.errors import UsageError
from maxprune.modes import best_device, copied
from maxprune.planner import single_plan
from maxprune.plural import plural
from maxprune.surgery import apply

UNITS = {"parameters": "parameter", "macs": "MAC", "bytes": "byte"}


def way_down(settings: Compression, data: Splits, model: nn.Module) -> Iterator[nn.Module]:
    """Ever smaller networks, the last as small as the method makes it where every step is taken.

    A score leaves one channel in each part of every group that it may cut; maxouts go on as long
    as one can stand, or for so many rounds.

    Raises:
        UsageError: a layer is named that is not there or cannot be cut.
        StructureError: nothing can be cut.
    """
    if settings.method != "maxout":
        while plan := single_plan(chosen_groups(settings, model, data.example)):
            model = apply(model, plan)
            yield model
        return
    method = DryMaxouts(settings, data, places(settings, model, data.example))
    while proposal := method.propose(model):
        model = method.answer(proposal.make(), good=True)
        yield model


def smallest_sizes(
    settings: Compression, data: Splits, model: nn.Module, fits: Callable[[Sizes], bool]
) -> Sizes | None:
    """The sizes of the first network on the way down that fits, or of the last.

    Args:
        settings: method, layers, rounds.
        data: an input to run on.
        model: the network.
        fits: whether sizes are small enough.

    Returns:
        The sizes; None where nobody knows, since a network on the way does not run: a forward
        function may fail with a single channel, which the search may never come to.
    """
    found = None
    try:
        for smaller in way_down(settings, data, model):
            found = measure_sizes(smaller, data.example)
            if fits(found):
                break
    except Exception:  # whatever a forward function raises
        return None
    return found


def check_reach(settings: Compression, data: Splits, model: nn.Module) -> None:
    """Refuse a budget below what the method can reach, whatever it costs.

    Milliseconds are not judged here, for they do not follow from the network alone; nor is
    anything where single weights are to be zeroed, since dead neurons then go as well, nor bytes
    where there will be a coded file.

    Raises:
        UsageError: such a budget; the message has the smallest that can be reached.
    """
    known = [name for name in UNITS if name != "bytes" or settings.bits is None]
    budgets = {name: most for name, most in settings.budgets().items() if name in known}
    if settings.zero is not None or not measure_sizes(model, data.example).over(budgets):
        return
    sizes = smallest_sizes(settings, data, model, lambda found: not found.over(budgets))
    if sizes is None or not sizes.over(budgets):
        return
    missed = [
        f"{plural(round(budgets[name]), UNITS[name])} ({getattr(sizes, name):,} at least)"
        for name in sizes.over(budgets)
    ]
    raise UsageError(
        f"{settings.method} cannot bring the network down to {' and '.join(missed)}, however much "
        "it cuts"
    )


def is_met(settings: Compression, data: Splits, model: nn.Module) -> bool:
    """Whether there are budgets, and nothing needs to be cut for them."""
    budgets = settings.budgets()
    if not budgets or settings.zero is not None:
        return False
    latency = "latency_ms" in budgets
    model = copied(model).to(best_device()) if latency else model
    return not measure_sizes(model, data.example, latency).over(budgets)
