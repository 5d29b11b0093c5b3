"""How a network is retrained: by the default that works, or by the user's own function."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import torch
from torch import nn

from maxprune.data.samples import Splits
from maxprune.distributed.world import world
from maxprune.errors import MaxpruneError, TrainingDiverged, UsageError, first_line
from maxprune.lineage import lineage, remember
from maxprune.measure import accuracy, parameters
from maxprune.plural import kind_of
from maxprune.results import NO_CURVE, Curve
from maxprune.train import Checkpoints, Fitting, Teacher, Watch, train
from maxprune.train.waiting import Waiting
from maxprune.weights.dropout import scaled_dropout
from maxprune.weights.magnitude import hold_zeros, zero_below, zero_plan
from maxprune.weights.sharing import hold_shared, share_plan, share_values

Fit: TypeAlias = Callable[[nn.Module, Splits], nn.Module | None]
"""Trains a network in place, or gives back a trained one of the same shape."""

Tick: TypeAlias = Callable[[int, int], None]
"""Called with iterations done and iterations in all."""


@dataclass(frozen=True)
class Trainer:
    """Retrains networks on one dataset.

    Args:
        data: to train on, and to judge by.
        fitting: the default training.
        own: the user's function, used instead.
        waiting: told how long trainings wait for their data; the user's function tells nothing.
        teacher: whose answers are learned, too; not by the user's function.
        whole: parameters of the network before it was cut, with which dropout shrinks; None leaves
            it as it is, as does the user's function.
    """

    data: Splits
    fitting: Fitting
    own: Fit | None = None
    waiting: Waiting = field(default_factory=Waiting)
    teacher: Teacher | None = None
    whole: int | None = None

    def fit(
        self,
        model: nn.Module,
        seed: int,
        place: Checkpoints | None,
        tick: Tick,
        zero: float | None = None,
        shared: int | None = None,
    ) -> tuple[nn.Module, Curve]:
        """Train a network where it lives; weights that are zero stay zero.

        Args:
            model: the network.
            seed: of order, augmentation and dropout.
            place: of checkpoints; the user's own function has none.
            tick: told how far it is.
            zero: share of the parameters that go to zero as it trains; before the user's own
                function is called, all at once.
            shared: bits of the values that weights find as it trains; in the user's own function
                they keep those of k-means.

        Returns:
            The trained network in evaluation mode, and the curve of its loss; empty for the
            user's own function.

        Raises:
            UsageError: the user's function fails or gives another network.
            TrainingDiverged: the loss or a weight is not finite.
        """
        if self.own is not None:
            if zero is not None:
                zero_below(model, zero_plan(model, zero).threshold)
            if shared is not None:
                share_values(model, share_plan(model, shared))
            held = contextlib.nullcontext() if shared is None else hold_shared(model)
            with hold_zeros(model), held, torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                return self._by_hand(model, tick), NO_CURVE
        total = self.fitting.iterations
        watch = Watch(
            tick=lambda done: tick(done, total),
            judge=lambda network: accuracy(network, self.data.stopping or self.data.validation),
            waiting=self.waiting,
        )
        left = 1.0 if self.whole is None else min(1.0, parameters(model) / self.whole)
        with scaled_dropout(model, left):
            progress = train(
                model, self.data.train, self.fitting, seed, place, watch, zero,
                teacher=self.teacher, shared=shared,
            )  # fmt: skip
        model.zero_grad(set_to_none=True)  # or every network of a search would keep its own
        curve = Curve(step="", iterations=list(progress.iterations), loss=list(progress.loss))
        return model, curve

    def longer(self, times: float, fresh: bool = False) -> Trainer:
        """So many times as long and as patient.

        Random weights take at least the usual rate, and no teacher: it takes many times as long as
        a small network itself, which learns no better from it.
        """
        fitting = self.fitting
        changes = {
            "iterations": max(1, round(times * fitting.iterations)),
            "patience": max(1, round(times * fitting.patience)),
            "rate": max(fitting.rate, Fitting().rate) if fresh else fitting.rate,
        }
        teacher = None if fresh else self.teacher
        return replace(self, fitting=fitting.model_copy(update=changes), teacher=teacher)

    def milder(self) -> Trainer:
        """On pictures that are augmented half as much, where they are."""
        return replace(self, data=self.data.milder() or self.data)

    def _by_hand(self, model: nn.Module, tick: Tick) -> nn.Module:
        assert self.own is not None  # noqa: S101  (for the type checker)
        before = _outline(model)
        try:
            found = self.own(model, self.data)
        except MaxpruneError:
            raise
        except (Exception, SystemExit) as error:
            raise UsageError(
                f"your fit function failed: {type(error).__name__}: {first_line(error)}"
            ) from error
        trained = model if found is None else found
        if not isinstance(trained, nn.Module):
            raise UsageError(
                f"your fit function gives {kind_of(trained)}; it trains in place, or gives "
                "the trained network"
            )
        if _outline(trained) != before:
            raise UsageError(
                "your fit function changed the shape or the type of the weights; it only trains"
            )
        wrong = [n for n, v in trained.state_dict().items() if not bool(torch.isfinite(v).all())]
        if wrong:
            raise TrainingDiverged(f"{wrong[0]} is not finite after your fit function")
        world().equalise(trained)
        tick(1, 1)
        return remember(trained, lineage(model)).eval()

    def about(self) -> dict[str, int | float | str]:
        """How it trains, for the results."""
        if self.own is None:
            return self.fitting.about()
        return {"by": name_of(self.own)}

    def remarks(self) -> list[str]:
        """What a reader of the results has to know of the training."""
        if self.own is not None or not self.fitting.judge_every or self.data.stopping is not None:
            return []
        return [
            "The best epoch of every training was chosen on the validation data, by which it was "
            "judged, too."
        ]


def name_of(own: Fit) -> str:
    """The user's function by module and name."""
    return f"{getattr(own, '__module__', '')}:{getattr(own, '__qualname__', type(own).__name__)}"


def _outline(model: nn.Module) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
    """Shape and type of every tensor of a network."""
    return {name: (tuple(t.shape), t.dtype) for name, t in model.state_dict().items()}
