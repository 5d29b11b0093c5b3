"""A network in 8-bit integers, measured beside what it was."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor, nn

from maxprune.compression.coding import AS_IT_WAS, CodingStep
from maxprune.data.samples import Samples, Splits
from maxprune.errors import AuditError, StructureError, UsageError
from maxprune.measure import answers, parameters, percent, randomization_test
from maxprune.modes import best_device, copied
from maxprune.naming import called, giving
from maxprune.records import Checked
from maxprune.store.onnx import exported
from maxprune.store.quantized import MODES, Mode, QuantizedNetwork, quantized
from maxprune.store.same import relative

SAMPLES = 512
"""Training samples that the ranges of the activations are taken from."""

BATCH = 100  # samples that are read at a time to choose them from


class QuantizingStep(CodingStep):
    """A network on the way into its file.

    Args:
        difference: the largest of an output from the network's own, relative to the largest
            output; on all samples that the accuracies are of, without data on the inputs that
            the file was checked on.
        integers: weights that are in 8 bits, in the file.
    """

    difference: float | None = None
    integers: int | None = None


class Quantizing(Checked):
    """What 8 bits cost a network, and what they brought.

    Args:
        mode: of the file: "static" or "dynamic".
        parameters: of the network.
        calibrated: training samples that the ranges of the activations were taken from.
        tested: what the accuracies are of.
        samples: how many of them.
        steps: the network as it was, and what ONNX Runtime makes of its 8-bit files.
        notes: why there is no file of the other mode, where there is none.
    """

    mode: Mode
    parameters: int
    calibrated: int
    tested: Literal["test", "validation", ""]
    samples: int
    steps: tuple[QuantizingStep, ...]
    notes: tuple[str, ...] = ()


def int8_name(mode: Mode) -> str:
    """The name of a step that brings a network to 8 bits.

    Example:
        >>> int8_name("static")
        'int8, static'
    """
    return f"int8, {mode}"


def calibration(train: Samples, count: int = SAMPLES, seed: int = 0) -> Iterator[Tensor]:
    """Training inputs as they are judged, not augmented, spread evenly over all.

    They are the same in every pass, of a user's loader as far as it follows torch's seed; what
    that loader does to its inputs is done here, too.

    Args:
        train: the training samples.
        count: how many at most.
        seed: torch's, for a loader.

    Yields:
        Batches (b, ...).
    """
    seen = given = 0
    with torch.random.fork_rng(devices=[]):
        step = max(1, len(train) // count)  # of a loader this is a pass
        torch.manual_seed(seed)
        for x, _ in train.batches(BATCH):
            chosen = x[-seen % step :: step][: count - given]
            seen, given = seen + len(x), given + len(chosen)
            if len(chosen):
                yield chosen
            if given == count:
                return


def quantize_network(
    model: nn.Module, inputs: Tensor, data: Splits | None = None, mode: Mode = "static",
    samples: int = SAMPLES, seed: int = 0, opset: int | None = None,
) -> tuple[QuantizedNetwork, Quantizing]:  # fmt: skip
    """Bring a network to 8 bits, and measure it.

    With data both modes are measured; the one that was not asked for may fail. Nothing is
    chosen by the measurement.

    Args:
        model: a trained network; it is not changed.
        inputs: at least two real inputs, to check the file on.
        data: to calibrate with (training samples) and to test with; without them nothing is
            measured but bytes, and the mode has to be "dynamic".
        mode: of the file. "static": weights and activations of all layers; "dynamic": linear
            layers alone, whose inputs are brought to 8 bits as they come.
        samples: training samples for the calibration, at most.
        seed: of a loader's order.
        opset: version of ONNX's operators; None for the exporter's own.

    Returns:
        The network of that mode, and what was measured.

    Raises:
        UsageError: an unknown mode, "static" without data, no samples, or inputs that do not fit.
        StructureError: torch cannot export the network, or nothing of it can be in 8 bits.
        AuditError: the file does not give what it should; see `quantize_onnx`.
    """
    check_asked(mode, samples, measured=data is not None)
    content = exported(model, inputs, opset)
    found: dict[Mode, QuantizedNetwork] = {}
    notes: list[str] = []
    for each in MODES if data is not None else (mode,):
        batches = None
        if data is not None and each == "static":
            batches = calibration(data.train, samples, seed)
        try:
            found[each] = quantized(content, inputs, batches)
        except (StructureError, AuditError) as error:
            if each == mode:
                raise
            notes.append(f"There is no {each} one: {error}.")
    told = Quantizing(
        mode=mode, parameters=parameters(model),
        calibrated=0 if data is None else min(samples, len(data.train)),
        tested="" if data is None else "validation" if data.test is None else "test",
        samples=0 if data is None else len(data.tested),
        steps=_steps(model, len(content), found, data, mode), notes=tuple(notes),
    )  # fmt: skip
    return found[mode], told


def check_asked(mode: str, samples: int, measured: bool) -> Mode:
    """The mode, where it is one and can be had.

    Args:
        mode: of the file.
        samples: to calibrate with.
        measured: whether there are data.

    Raises:
        UsageError: it is none, there are no samples, or static 8 bits are to do without data.
    """
    found = next((known for known in MODES if known == mode), None)
    if found is None:
        raise UsageError(f"{called('mode')} is {' or '.join(MODES)}, not {mode!r}")
    if samples < 1:
        raise UsageError(f"{called('samples')} is at least 1, not {samples}")
    if found == "static" and not measured:
        raise UsageError(
            f"static 8 bits take ranges from training samples: give {called('data')}, or say "
            f"{giving('mode', 'dynamic')}"
        )
    return found


def _steps(
    model: nn.Module, size: int, found: dict[Mode, QuantizedNetwork], data: Splits | None,
    taken: Mode,
) -> tuple[QuantizingStep, ...]:  # fmt: skip
    """The network as it was and in 8 bits, measured where there are data."""
    networks = {int8_name(mode): (mode, one) for mode, one in found.items()}
    if data is None:
        first = QuantizingStep(name=AS_IT_WAS, bytes=size)
        return first, *(
            QuantizingStep(
                name=name,
                bytes=len(one.content),
                difference=one.difference,
                integers=one.integers,
                taken=mode == taken,
            )
            for name, (mode, one) in networks.items()
        )
    expected, right = answers(copied(model).to(best_device()), data.tested)
    steps = [QuantizingStep(name=AS_IT_WAS, bytes=size, accuracy=percent(right))]
    for name, (mode, one) in networks.items():
        outputs, own = answers(one.opened(), data.tested)
        steps.append(
            QuantizingStep(
                name=name, bytes=len(one.content), integers=one.integers,
                difference=relative(expected, outputs, "the 8-bit file's"), accuracy=percent(own),
                p_value=randomization_test(own, right), taken=mode == taken,
            )
        )  # fmt: skip
    return tuple(steps)
