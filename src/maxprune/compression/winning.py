"""Remove the least relevant neurons of maxout units: count, plan, cut, compare.

Moya Rueda, Grzeszick, Fink 2017, section 4.1: the least winning neuron of every unit goes. Other
rules are there to be compared with the paper's.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from maxprune.compression.proposal import audited
from maxprune.data.samples import Samples
from maxprune.networks.weighted import neurons
from maxprune.plan import KeepPlan
from maxprune.records import Settings
from maxprune.results import Wins
from maxprune.scores import WinCounts, count_wins
from maxprune.scores.named import every
from maxprune.scores.wins import Relevance
from maxprune.surgery import apply
from maxprune.surgery.chain import find_chain, find_layer, find_maxout
from maxprune.units import least_relevant, least_winning, most_winning


class MaxoutRule(Settings):
    """Which neurons of maxout units go; by default those of the paper.

    Args:
        relevance: of a neuron: "wins", how often it is its unit's maximum; "share", of the times
            that the unit is active; "margin", by how much, on average over all samples.
        units: "even", every unit loses its least relevant neuron; "uneven", as many go, but those
            that are least relevant over all units, of which each keeps one at least.
        one_step: all units go down to their most relevant neuron at once.
    """

    relevance: Relevance = "wins"
    units: Literal["even", "uneven"] = "even"
    one_step: bool = False

    def plan(self, layer: str, counts: WinCounts) -> KeepPlan:
        """What goes of a layer, one neuron a unit on average, or all but one."""
        found = counts.relevance(self.relevance)
        ranked = counts.wins if self.relevance == "wins" else found.scores
        method = "maxout wins" if self.relevance == "wins" else f"maxout wins by {self.relevance}"
        if self.one_step:
            return most_winning(layer, ranked, 1, f"{method}, one step", counts.sizes)
        if self.units == "even":
            return least_winning(layer, ranked, method, counts.sizes)
        total, units = sum(found.sizes), len(found.sizes)
        left = units * (-(-total // units) - 1)
        return least_relevant({layer: found}, total - left, f"{method}, over all units")


PAPER = MaxoutRule()


def without_least_winning(
    model: nn.Module, layer: str, samples: Samples, step: str = "", rule: MaxoutRule = PAPER
) -> tuple[nn.Module, Wins]:
    """The network with one neuron less in every unit of the maxout behind a layer.

    Args:
        model: the network; it is not changed.
        layer: whose neurons the units compare.
        samples: the training samples, on which wins are counted.
        step: what the cut is called in the record.
        rule: which neurons go.

    Returns:
        The smaller network, compared with the masked larger one, and the counts that decided.
    """
    batches, reduce = every(samples)
    counts = count_wins(model, layer, batches, reduce, margins=rule.relevance == "margin")
    plan = rule.plan(layer, counts)
    wins = Wins(
        step=step, layer=layer, wins=counts.rows, keep=list(plan.keep[layer]),
        positions=counts.positions,
    )  # fmt: skip
    return audited(model, plan, samples), wins


def without_last(model: nn.Module, layer: str) -> nn.Module:
    """The same without counting: for sizes, which follow from the network alone.

    Args:
        model: the network; it is not changed.
        layer: that feeds a maxout.
    """
    maxout = find_maxout(model, find_chain(model, layer).maxout or "")
    sizes = maxout.of_each(neurons(find_layer(model, layer)))
    return apply(model, least_winning(layer, torch.zeros(len(sizes), maxout.k), sizes=sizes))
