"""What is measured of the network of every step, and how it becomes a line of the results."""

from __future__ import annotations

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from maxprune.data.samples import Samples
from maxprune.measure import correct, macs, nonzero, parameters, percent, randomization_test
from maxprune.networks.weighted import neurons, weighted_layers
from maxprune.results import (
    Baseline,
    Count,
    Curve,
    Details,
    LayerState,
    Percent,
    Seconds,
    Step,
    Timed,
    Wins,
)
from maxprune.surgery.dead import dead_neurons


class Measured(Timed):
    """What was measured of the network of one step, on the test set.

    `before` is the accuracy before retraining, `last` that of the last iteration's weights where
    the network is their mean over the last iterations, `wrong` the samples it gets wrong,
    `latency_ms` the time of one sample, where there is a budget for it. It is not `trained` where
    the step has kept what stood before its training.
    """

    name: str
    k: Count
    parameters: Count
    nonzero: Count
    macs: Count
    before: Percent | None
    accuracy: Percent
    last: Percent
    wrong: list[Count]
    wins: Wins | None
    layers: list[LayerState]
    curve: Curve
    latency_ms: Seconds | None = None
    trained: bool = True

    def right(self, samples: int) -> Bool[Tensor, " samples"]:
        """Which of so many samples the network gets right."""
        right = torch.ones(samples, dtype=torch.bool)
        right[torch.tensor(self.wrong, dtype=torch.long)] = False
        return right


def step_name(share: float) -> str:
    """The name of a weight-pruning step.

    Example:
        >>> step_name(0.7)
        'weights 70%'
    """
    return f"weights {100 * share:g}%"


def measure_step(
    model: nn.Module, samples: Samples, sample: Tensor | tuple[int, ...], name: str, k: int,
    curve: Curve, file: nn.Module | None = None,
) -> Measured:  # fmt: skip
    """Measure a network of a step.

    The accuracy before retraining, that of the last iteration, win counts and seconds are filled
    in by the caller.

    Args:
        model: the network.
        samples: what it is tested on.
        sample: shape of one input, without the batch, or inputs: what `macs` takes.
        name: of the step.
        k: inputs of a maxout unit, 1 without maxout.
        curve: of its training.
        file: what is made of the network's file, where that is what answers.
    """
    right = correct(model if file is None else file, samples)
    return Measured(
        name=name, k=k, parameters=parameters(model), nonzero=nonzero(model),
        macs=macs(model, sample), before=None, accuracy=percent(right), last=percent(right),
        wrong=(~right).nonzero().flatten().tolist(), seconds=0.0, wins=None,
        layers=layer_states(model, name),
        curve=curve.model_copy(update={"step": name}),
    )  # fmt: skip


def renamed(measured: Measured, name: str) -> Measured:
    """The same figures under another step's name."""
    states = [state.model_copy(update={"step": name}) for state in measured.layers]
    curve = measured.curve.model_copy(update={"step": name})
    return measured.model_copy(update={"name": name, "layers": states, "curve": curve})


def layer_states(model: nn.Module, step: str) -> list[LayerState]:
    """Inputs, neurons, neurons alive and parameters of every linear and convolution layer."""
    return [
        LayerState(
            step=step, layer=name, kind=type(layer).__name__,
            inputs=layer.weight.shape[1], neurons=neurons(layer),
            alive=int((~dead_neurons(layer)).sum()),
            parameters=parameters(layer), nonzero=nonzero(layer),
        )
        for name, layer in weighted_layers(model).items()
    ]  # fmt: skip


def as_baseline(measured: Measured, size: int) -> Baseline:
    """The network that every step is compared with; `size` in bytes of its file."""
    return Baseline(
        name=measured.name,
        parameters=measured.parameters,
        macs=measured.macs,
        bytes=size,
        accuracy=measured.accuracy,
    )


def as_step(measured: Measured, size: int, baseline: Measured, samples: int) -> Step:
    """A line of the results: `measured` beside the baseline, over that many test samples."""
    p_value = randomization_test(measured.right(samples), baseline.right(samples))
    return Step(
        name=measured.name, k=measured.k, parameters=measured.parameters,
        nonzero=measured.nonzero,
        removed=max(0.0, 1 - measured.parameters / baseline.parameters),
        zeroed=1 - measured.nonzero / measured.parameters,
        macs=measured.macs, bytes=size,
        accuracy_before_retraining=measured.before, accuracy=measured.accuracy,
        p_value=p_value, seconds=measured.seconds,
    )  # fmt: skip


def as_details(
    measured: list[Measured], environment: dict[str, str], training: dict[str, int | float | str]
) -> Details:
    """What the report shows beyond the steps."""
    return Details(
        environment=environment,
        training=training,
        wins=[m.wins for m in measured if m.wins],
        layers=[state for m in measured for state in m.layers],
        curves=[m.curve for m in measured if m.curve.loss],
        wrong={m.name: m.wrong for m in measured},
        last_iteration={m.name: m.last for m in measured},
    )
