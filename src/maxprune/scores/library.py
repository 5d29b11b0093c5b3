"""Scores that Torch-Pruning has, over our groups: one contract, whoever wrote the score."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_pruning.pruner import importance as torch_pruning

from maxprune.errors import StructureError, UsageError
from maxprune.modes import copied, device_of
from maxprune.plan import ChannelGroup
from maxprune.scores.readers import Scores, cuttable, run
from maxprune.scores.rows import over_mean
from maxprune.surgery.groups import library_scores


def library(
    model: nn.Module,
    groups: Sequence[ChannelGroup],
    batches: Iterable[tuple[Tensor, Tensor]],
    importance: Any,
) -> Scores:
    """What one of Torch-Pruning's importances says of every channel.

    The network is in evaluation mode and has the gradients of the mean loss over all samples.

    Args:
        model: a classifier; it is not changed.
        groups: as `channel_groups` finds them; those that cannot be cut are left out.
        batches: inputs and classes.
        importance: an importance of Torch-Pruning, for example
            `torch_pruning.importance.LAMPImportance()`.

    Returns:
        A score for each channel of each group that the importance has something to say of.

    Raises:
        UsageError: no samples.
        StructureError: the importance fails, or is not finite.
    """
    network, x = with_gradients(model, batches)
    found = {}
    for group, scores in library_scores(network, x, cuttable(groups), importance):
        if scores is None:
            continue
        if not bool(scores.isfinite().all()):
            raise StructureError(f"the score of {group.name!r} is not finite; train it again")
        found[group.name] = scores.detach().double().cpu()
    return found


def with_gradients(
    model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]
) -> tuple[nn.Module, Tensor]:
    """A copy in evaluation mode with the gradients of the mean loss, and two of the inputs.

    Raises:
        UsageError: no samples.
    """
    network = copied(model).eval().requires_grad_()
    network.zero_grad(set_to_none=True)
    inputs: list[Tensor] = []
    samples = 0
    with torch.enable_grad():
        for x, y in batches:
            inputs = inputs or [x[:2]]
            F.cross_entropy(run(network, x), y.to(device_of(network)), reduction="sum").backward()
            samples += len(y)
    if not inputs:
        raise UsageError("there are no samples to score on")
    for parameter in network.parameters():
        if parameter.grad is not None:
            parameter.grad /= samples
    return network, inputs[0]


def taylor(
    model: nn.Module, groups: Sequence[ChannelGroup], batches: Iterable[tuple[Tensor, Tensor]]
) -> Scores:
    """First order Taylor expansion of the loss (Molchanov et al. 2019), by Torch-Pruning.

    A channel has the mean of |w g| summed over the weights of each layer and norm that it has
    part in; a group's scores are divided by their mean. The gradient g is that of all samples
    together, which is nearly nothing over the whole training set: give some batches.

    The arguments and errors are those of `library`.
    """
    importance = torch_pruning.GroupTaylorImportance(normalizer=None)  # its own divides 0 by 0
    found = library(model, groups, batches, importance)
    return {name: over_mean(scores) for name, scores in found.items()}


def bn_scale(
    model: nn.Module, groups: Sequence[ChannelGroup], batches: Iterable[tuple[Tensor, Tensor]]
) -> Scores:
    """The factor that batch norm gives a channel (Liu et al. 2017), by Torch-Pruning.

    Groups without batch norm have no score. A group's scores are divided by their mean. It is
    meant for networks that were trained with a penalty on these factors.

    The arguments and errors are those of `library`.
    """
    found = library(model, groups, batches, torch_pruning.BNScaleImportance(normalizer=None))
    return {name: over_mean(scores) for name, scores in found.items()}
