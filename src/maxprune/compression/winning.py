"""Remove the least winning neuron of every unit: count, plan, cut, compare.

Moya Rueda, Grzeszick, Fink 2017, section 4.1.
"""

from __future__ import annotations

from torch import nn

from maxprune.compression.proposal import audited
from maxprune.data.samples import Samples
from maxprune.plan import least_winning
from maxprune.results import Wins
from maxprune.scores import count_wins
from maxprune.scores.named import every


def without_least_winning(
    model: nn.Module, layer: str, samples: Samples, step: str = ""
) -> tuple[nn.Module, Wins]:
    """The network with one neuron less in every unit of the maxout behind a layer.

    Args:
        model: the network; it is not changed.
        layer: whose neurons the units compare.
        samples: the training samples, on which wins are counted.
        step: what the cut is called in the record.

    Returns:
        The smaller network, compared with the masked larger one, and the counts that decided.
    """
    counts = count_wins(model, layer, *every(samples))
    plan = least_winning(layer, counts.wins)
    wins = Wins(
        step=step, layer=layer, wins=counts.wins.tolist(), keep=list(plan.keep[layer]),
        positions=counts.positions,
    )  # fmt: skip
    return audited(model, plan, samples), wins
