"""What Torch-Pruning's own pruner removes, as our plan: the same cut, chosen by it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch_pruning
from torch import nn
from torch.nn.modules.conv import _ConvNd

from maxprune.data.samples import Splits
from maxprune.errors import StructureError
from maxprune.modes import copied
from maxprune.plan import ChannelGroup, KeepPlan
from maxprune.planner import cut_plan
from maxprune.scores.library import with_gradients
from maxprune.scores.named import BATCH, BATCHES, drawn

IMPORTANCES: dict[str, Callable[[], Any]] = {
    "torch-pruning-magnitude": lambda: torch_pruning.importance.GroupMagnitudeImportance(p=2),
    "torch-pruning-taylor": torch_pruning.importance.GroupTaylorImportance,
    "torch-pruning-lamp": lambda: torch_pruning.importance.LAMPImportance(p=2),
    "torch-pruning-fpgm": lambda: torch_pruning.importance.FPGMImportance(p=2),
}
"""Not its Hessian, which keeps the gradients of the last sample alone (torch-pruning 1.6), nor that
of batch norms, which is for networks trained with a penalty on them."""

LAYERS = (nn.Linear, _ConvNd, nn.RNNBase, nn.RNNCellBase)


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
        self.network, self.x = with_gradients(model, drawn(data.train, BATCH * BATCHES, seed))

    def plan(self, share: float) -> KeepPlan | None:
        """What it removes if it is asked for this share of the channels; None for nothing.

        Raises:
            StructureError: it removes channels that are no group of ours.
        """
        network = copied(self.network)
        for mine, its in zip(self.network.parameters(), network.parameters(), strict=True):
            its.grad = None if mine.grad is None else mine.grad.clone()
        names = {module: name for name, module in network.named_modules()}
        free = {layer for group in self.groups for layer in group.layers}
        ignored = [m for m, n in names.items() if isinstance(m, LAYERS) and n not in free]
        pruner = torch_pruning.pruner.BasePruner(
            network, (self.x,), importance=IMPORTANCES[self.method](), global_pruning=True,
            pruning_ratio=share, ignored_layers=ignored,
            in_channel_groups={}, out_channel_groups={},  # its defaults are shared between calls
        )  # fmt: skip
        gone: dict[str, set[int]] = {}
        for chosen in pruner.step(interactive=True):
            group, start = self._found(names[chosen[0].dep.target.module])
            gone[group.name] = {index - start for index in chosen[0].idxs}
        keep = {
            group.name: [i for i in range(group.channels) if i not in gone[group.name]]
            for group in self.groups
            if gone.get(group.name)
        }
        return cut_plan(self.groups, keep, self.method) if keep else None

    def _found(self, layer: str) -> tuple[ChannelGroup, int]:
        """The group whose channels a layer makes, and where they begin there."""
        for group in self.groups:
            for member in group.members:
                if (member.name, member.side, member.each) == (layer, "out", 1):
                    return group, member.start
        raise StructureError(f"Torch-Pruning cuts {layer!r}, whose channels are no group of ours")
