"""Distillation: a network in training learns from the answers of another one.

Hinton, Vinyals, Dean 2015, section 2: the larger network's answers, softened by a temperature T,
say more of a sample than its class does.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from maxprune.errors import UsageError
from maxprune.modes import device_of, evaluating
from maxprune.plural import kind_of

SHARE, TEMPERATURE = 0.9, 4.0


@dataclass(frozen=True)
class Teacher:
    """A trained network that another one learns from.

    Args:
        network: gives a row of outputs, before the softmax, for each sample; it is not changed.
        share: of the loss that comes from its answers, in (0, 1]; the rest is the training's own.
        temperature: by which both networks' outputs are divided, T.

    Raises:
        UsageError: the share or the temperature is out of its range.
    """

    network: nn.Module
    share: float = SHARE
    temperature: float = TEMPERATURE

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise UsageError(f"a teacher's share of the loss is in (0, 1], not {self.share:g}")
        if not 0 < self.temperature < float("inf"):
            raise UsageError(f"a temperature is above 0 and finite, not {self.temperature:g}")

    def loss(
        self, outputs: Float[Tensor, "b classes"], x: Tensor, own: Float[Tensor, ""]
    ) -> Float[Tensor, ""]:
        """The loss of what a network answers.

        share * T^2 * KL(softmax(teacher / T), softmax(outputs / T)) + (1 - share) * own, the mean
        over the samples. T^2 keeps the size of the gradients (section 2).

        Args:
            outputs: of the network that learns.
            x: the samples, which the teacher is shown.
            own: the training's own loss of these outputs.

        Raises:
            UsageError: the teacher answers in another shape, or gives no tensor.
        """
        with torch.no_grad(), evaluating(self.network):
            first = next(self.network.parameters(), outputs)
            kind = first.dtype if x.is_floating_point() else x.dtype
            answers = self.network(x.to(device_of(self.network), kind))
        if not isinstance(answers, Tensor):
            raise UsageError(f"the teacher gives {kind_of(answers)}, not a row of outputs a sample")
        answers = answers.to(outputs)
        if answers.shape != outputs.shape:
            raise UsageError(
                f"the teacher gives outputs of shape {tuple(answers.shape[1:])}, the network in "
                f"training {tuple(outputs.shape[1:])}"
            )
        t = self.temperature
        soft = F.log_softmax(outputs / t, 1), F.log_softmax(answers / t, 1)
        apart = F.kl_div(*soft, reduction="none", log_target=True).sum(1).mean()
        return self.share * t * t * apart + (1 - self.share) * own

    @cached_property
    def about(self) -> dict[str, float | str]:
        """What it is: a checkpoint is resumed with the same teacher only."""
        state = self.network.state_dict()
        digest = hashlib.sha256()
        for name, tensor in state.items():
            digest.update(name.encode())
            digest.update(
                tensor.detach().cpu().reshape(-1).contiguous().view(torch.uint8).numpy().tobytes()
            )
        return {
            "weights": digest.hexdigest(), "share": self.share, "temperature": self.temperature,
        }  # fmt: skip
