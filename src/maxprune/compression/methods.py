"""The method that the settings name, and what it would try."""

from __future__ import annotations

from torch import nn

from maxprune.compression.maxouts import MaxoutMethod, places
from maxprune.compression.proposal import Method
from maxprune.compression.scored import ScoreMethod, check_score
from maxprune.compression.settings import Compression
from maxprune.compression.sizes import measure_sizes
from maxprune.data.samples import Splits
from maxprune.errors import UsageError
from maxprune.networks.weighted import neurons, weighted_layers
from maxprune.plural import plural
from maxprune.runs.workspace import Memory, Space
from maxprune.scores.named import SCORES


def make_method(
    settings: Compression, data: Splits, model: nn.Module, space: Space | None = None
) -> Method:
    """The method that the settings name, for this network.

    Args:
        settings: what is wanted.
        data: what is scored on.
        model: the network at the start.
        space: where scores are kept; None keeps them nowhere.

    Raises:
        UsageError: `layers` or `skip` names something that is no layer or cannot be cut.
        StructureError: nothing can be cut.
    """
    if settings.method == "maxout":
        if settings.heads:
            raise UsageError("heads are cut by a score, not by a maxout: name another method")
        return MaxoutMethod(settings, data, places(settings, model, data.example))
    return ScoreMethod(settings, data, model, space or Memory())


def planned(settings: Compression, data: Splits, model: nn.Module) -> list[str]:
    """What a search would try, in lines; trains and scores nothing.

    Raises:
        UsageError: a layer is named that is not there or cannot be cut.
        StructureError: nothing can be cut.
    """
    start = measure_sizes(model, data.example)
    lines = [
        f"{plural(start.parameters, 'parameter')}, {plural(start.macs, 'MAC')}, "
        f"{plural(start.bytes, 'byte')}"
    ]
    if settings.method == "maxout":
        for i, place in enumerate(places(settings, model, data.example), 1):
            count = neurons(weighted_layers(model)[place.layer])
            ks = " or ".join(f"k = {k} (to {-(-count // k):,})" for k in place.ks)
            lines.append(f"{i}. a maxout behind {place.layer}, {plural(count, 'neuron')}: {ks}")
        return lines
    found = check_score(settings, model, data)
    free = found.groups
    channels = sum(group.channels for group in free)
    lines.append(
        f"{plural(len(free), 'group')} of {plural(channels, 'channel')}; a step removes up to "
        f"{int(settings.share * channels):,}: {SCORES[settings.method].about}"
    )
    named = [layer for group in free for layer in group.layers if layer in settings.layers]
    lines.append(f"cut are {', '.join(named or [group.name for group in free])}")
    return [*lines, *found.notes]
