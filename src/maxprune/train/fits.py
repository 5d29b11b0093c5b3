"""Whether a network can be trained on samples, tried before anything else."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from maxprune.data.samples import Samples
from maxprune.errors import UsageError, first_line
from maxprune.modes import device_of, evaluating
from maxprune.plural import kind_of, plural
from maxprune.state import check_finite


def _check_state(model: nn.Module) -> None:
    """Refuse a network whose state is not finite numbers alone.

    Raises:
        UsageError: it has other state, or a value is not finite.
    """
    for name, value in model.state_dict().items():
        if not isinstance(value, Tensor):
            raise UsageError(
                f"the network keeps {name!r}, {kind_of(value)}, in its state; only tensors "
                "can be saved and checked"
            )
    check_finite(model.state_dict())


def check_fits(model: nn.Module, images: Samples) -> None:
    """Refuse a network that does not give one row of outputs, one a class, for each sample.

    Raises:
        UsageError: it does not take these samples, gives something else, or has a state that is not
            finite numbers alone.
    """
    _check_state(model)
    why = refusal(model, images)
    if why is not None:
        shape = tuple(next(images.batches(1))[0].shape[1:]) if len(images) else ()
        raise UsageError(f"the network does not fit the images, of shape {shape}: {why}")


def refusal(model: nn.Module, images: Samples) -> str | None:
    """Why the network cannot classify these images, tried on two of them; None if it can."""
    if len(images) == 0:
        return "there are no images to train on"
    x, _ = next(images.batches(2, device_of(model)))
    try:
        with evaluating(model), torch.no_grad():
            out = model(x)
    except Exception as error:
        return f"{type(error).__name__}: {first_line(error)}"
    if not isinstance(out, Tensor) or out.shape[:1] != x.shape[:1] or out.dim() != 2:
        return "it does not give one row of outputs for each image"
    if out.shape[1] < images.classes:
        outputs, classes = out.shape[1], images.classes
        return f"it has {plural(outputs, 'output')} for {plural(classes, 'class', 'classes')}"
    return None
