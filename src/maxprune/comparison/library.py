"""What Torch-Pruning's own pruner removes, as our plan: the same cut, chosen by it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch_pruning
from torch import nn
from torch.nn.modules.conv import _ConvNd

from maxprune.data.samples import Splits
from maxprune.modes import copied
from maxprune.plan import ChannelGroup, KeepPlan
from maxprune.planner import cut_plan
from maxprune.scores.library import with_gradients
from maxprune.scores.named import BATCH, BATCHES, some

IMPORTANCES: dict[str, Callable[[], Any]] = {
    "torch-pruning-magnitude": lambda: torch_pruning.importance.GroupMagnitudeImportance(p=2),
    "torch-pruning-taylor": torch_pruning.importance.GroupTaylorImportance,
}
MOST = 0.95  # of the channels of a group
LAYERS = (nn.Linear, _ConvNd)


class Pruner:
    """Torch-Pruning's pruner on one network: global ranking, its own scores.

    Args:
        method: a key of `IMPORTANCES`.
        model: the network; it is not changed.
        groups: the groups that may be cut.
        data: to take gradients on.
        seed: of the samples for these.
    """

    def __init__(
        self, method: str, model: nn.Module, groups: Sequence[ChannelGroup], data: Splits, seed: int
    ) -> None:
        self.method, self.groups = method, groups
        self.network, self.x = with_gradients(model, some(data.train, BATCH, BATCHES, seed))

    def plan(self, share: float) -> KeepPlan | None:
        """What it removes if it is asked for this share of the channels; None for nothing."""
        network = copied(self.network)
        for mine, its in zip(self.network.parameters(), network.parameters(), strict=True):
            its.grad = None if mine.grad is None else mine.grad.clone()
        names = {module: name for name, module in network.named_modules()}
        free = {layer for group in self.groups for layer in group.layers}
        ignored = [m for m, n in names.items() if isinstance(m, LAYERS) and n not in free]
        pruner = torch_pruning.pruner.BasePruner(
            network, (self.x,), importance=IMPORTANCES[self.method](), global_pruning=True,
            pruning_ratio=share, max_pruning_ratio=MOST, ignored_layers=ignored,
        )  # fmt: skip
        gone: dict[str, set[int]] = {}
        for chosen in pruner.step(interactive=True):
            layer = names[chosen[0].dep.target.module]
            for group in self.groups:
                own = [m for m in group.members if (m.name, m.side) == (layer, "out")]
                if own:
                    gone[group.name] = {i - own[0].start for i in chosen[0].idxs}
        keep = {
            group.name: [i for i in range(group.channels) if i not in gone[group.name]]
            for group in self.groups
            if gone.get(group.name)
        }
        return cut_plan(self.groups, keep, self.method) if keep else None
