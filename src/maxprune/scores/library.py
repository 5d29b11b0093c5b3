"""The scores of Torch-Pruning over our groups: one contract, whoever wrote the score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from maxprune.errors import StructureError
from maxprune.plan import ChannelGroup
from maxprune.plural import plural
from maxprune.scores.readers import Batches, Scores, cuttable, differentiable, gradients, labelled
from maxprune.surgery.groups import library_scores


def library(
    model: nn.Module, groups: Sequence[ChannelGroup], batches: Batches, importance: Any
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
        UsageError: no samples, or classes that are none.
        StructureError: the importance fails, or is not finite, or the groups are those of another
            network.
    """
    free = cuttable(model, groups)
    network, x = with_gradients(model, batches)
    found = {}
    for group, scores in library_scores(network, x, free, importance):
        if scores is None:
            continue
        if tuple(scores.shape) != (group.channels,) or not bool(scores.isfinite().all()):
            raise StructureError(
                f"{type(importance).__name__} gives {group.name!r} no finite number for each of "
                f"its {plural(group.channels, 'channel')}"
            )
        found[group.name] = scores.detach().double().cpu()
    return found


def with_gradients(model: nn.Module, batches: Batches) -> tuple[nn.Module, Tensor]:
    """A copy in evaluation mode with the gradients of the mean loss, and two of the inputs.

    Raises:
        UsageError: no samples, or classes that are none.
    """
    network = differentiable(model, frozen=False)
    inputs: list[Tensor] = []

    def seen() -> Batches:
        for x, y in labelled(batches):
            inputs[:] = inputs or [x[:2]]
            yield x, y

    samples = 0
    wanted = [p for p in network.parameters() if p.requires_grad]
    for found, count in gradients(network, seen(), wanted):
        for parameter, gradient in zip(wanted, found, strict=True):
            if gradient is not None:
                before = parameter.grad
                parameter.grad = gradient if before is None else before + gradient
        samples += count
    for parameter in wanted:
        if parameter.grad is not None:
            parameter.grad /= samples
    return network, inputs[0]
