"""Few values for the weights, trained, and the network in a coded file (Han, Mao, Dally 2015)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from torch import nn

from maxprune.compression.fit import Fit, Tick, Trainer
from maxprune.data.samples import Splits
from maxprune.files import write_bytes
from maxprune.lineage import lineage
from maxprune.measure import accuracy, correct, nonzero, parameters, percent, randomization_test
from maxprune.modes import best_device, copied, device_of
from maxprune.plural import plural
from maxprune.records import Checked
from maxprune.state import check_finite
from maxprune.store.coded import as_coded, open_coded
from maxprune.store.model import bytes_of
from maxprune.store.opening import check_factory
from maxprune.surgery import apply
from maxprune.train import Checkpoints, Fitting
from maxprune.weights.dropout import same_dropout, scaled_dropout
from maxprune.weights.sharing import (
    BITS,
    hold_shared,
    round_to_bytes,
    round_to_halves,
    share_plan,
    share_values,
    unshared,
)

AS_IT_WAS = "as it was"
IN_BYTES = 4  # bits, up to which the values themselves are of 8 bits
RATE = 0.01  # of SGD while weights find their values
T = TypeVar("T")


@dataclass(frozen=True)
class CodedNetwork(Generic[T]):
    """A network that shares few values, and its file.

    Attributes:
        model: the network; all its numbers are in the file.
        content: the bytes of the file.
        told: what the training gave.
    """

    model: nn.Module
    content: bytes
    told: T

    def opened(self) -> nn.Module:
        """What the decoder makes of the file: the network to be measured."""
        return open_coded(self.content).to(device_of(self.model))

    def write(self, path: str | Path) -> None:
        """Write the file, by custom `*.mxp`, whole or not at all."""
        write_bytes(Path(path), self.content)


def coded_name(bits: int, before: str = "coded") -> str:
    """The name of a step that codes the network of the step before.

    Example:
        >>> coded_name(5), coded_name(1, "weights 90%")
        ('coded, 5 bits', '90%, 1 bit')
    """
    return f"{before.removeprefix('weights ')}, {plural(bits, 'bit')}"


def code(
    model: nn.Module,
    bits: int,
    fit: Callable[[nn.Module], tuple[nn.Module, T]],
    held: bool = True,
) -> CodedNetwork[T]:
    """Share values, train them, round them, and code the network.

    Args:
        model: the network; it is not changed.
        bits: 2^bits values for the weights of each layer. They are rounded to 8 bits where they are
            at most 16, and so are the biases; else to 16.
        fit: trains the network in place or gives back a trained one of the same shape, and says
            something of it. The network's dropout is less meanwhile, by the share of weights that
            are not zero (Han et al. 2015).
        held: whether the weights get the values of k-means before, and only these are trained;
            else they find their values by `fit`.

    Raises:
        UsageError: the bits are out of range, or the network's factory is not known.
        StructureError: a layer is parametrized.
    """
    shared = copied(model)
    left = nonzero(shared) / parameters(shared)
    with scaled_dropout(shared, left):
        if held:
            share_values(shared, share_plan(shared, bits))
        with hold_shared(shared) if held else contextlib.nullcontext():
            shared, told = fit(shared)
    same_dropout(shared, model)
    share_values(shared, share_plan(shared, bits))  # where a user's own training has parted them
    round_to_halves(shared)
    if bits <= IN_BYTES:
        round_to_bytes(shared)
    shared = apply(shared, share_plan(shared, bits))  # shared already; the lineage says so
    return CodedNetwork(shared, as_coded(shared), told)


class CodingStep(Checked):
    """A network on the way into its file.

    Args:
        name: what was done to it.
        bytes: of its file; a safetensors one at first.
        accuracy: in percent; None without data.
        p_value: of the paired randomization test against the network as it was.
        taken: whether this one is in the file.
    """

    name: str
    bytes: int
    accuracy: float | None = None
    p_value: float | None = None
    taken: bool = False


class Coding(Checked):
    """What coding a network cost, and what it brought.

    Args:
        bits: of the values that the weights of a layer share.
        parameters: of the network.
        nonzero: of these.
        tested: what the accuracies are of.
        samples: how many of them.
        steps: the network as it was, with values from k-means, and with trained ones.
        unshared: weights that keep their values, as they are of no linear or convolution layer.
    """

    bits: int
    parameters: int
    nonzero: int
    tested: Literal["test", "validation", ""]
    samples: int
    steps: tuple[CodingStep, ...]
    unshared: tuple[str, ...] = ()


def code_network(
    model: nn.Module, bits: int = BITS, data: Splits | None = None,
    fit: Fitting | Fit | None = None, seed: int = 0, part: Path | None = None,
    tick: Tick = lambda *_: None,
) -> CodedNetwork[Coding]:  # fmt: skip
    """Code a network and measure it on the way.

    Where the trained values are no better on the validation data, those of k-means are taken.

    Args:
        model: a trained network, best with many zeros; it is not changed.
        bits: 2^bits values for the weights of each layer.
        data: to train the values on and to test with; without it they are those of k-means.
        fit: how they are trained; None for 3 epochs. By a `Fitting` the weights find their values
            as they are trained, in a function of one's own they keep those of k-means.
        seed: of order and augmentation.
        part: where the training keeps its checkpoint, so that it goes on after a kill.
        tick: told (iterations done, iterations in all).

    Raises:
        UsageError: the bits; the network's factory is not known, or a number of it is NaN.
        TrainingDiverged: the loss is not finite.
    """
    check_factory(lineage(model))
    check_finite(model.state_dict(), infinite=True)
    first = code(model, bits, lambda shared: (shared, None))
    sizes = bytes_of(model), len(first.content)
    if data is None:
        steps = [
            CodingStep(name=AS_IT_WAS, bytes=sizes[0]),
            CodingStep(name=f"{coded_name(bits)}, k-means", bytes=sizes[1], taken=True),
        ]
        return _telling(first, bits, steps, "", 0)
    fitting = fit if isinstance(fit, Fitting) else Fitting.of_passes(3, data.train, rate=RATE)
    trainer = Trainer(data, fitting, None if isinstance(fit, Fitting) else fit)
    place = None if part is None else Checkpoints(part, key=coded_name(bits))
    model = copied(model).to(best_device())
    found = code(
        model, bits, lambda free: trainer.fit(free, seed, place, tick, shared=bits), held=False
    )
    networks = model, first.opened(), found.opened()
    judged = [accuracy(network, data.validation) for network in networks[1:]]
    taken: CodedNetwork[Any] = found if judged[1] > judged[0] else first
    right = [correct(network, data.tested) for network in networks]
    names = AS_IT_WAS, f"{coded_name(bits)}, k-means", f"{coded_name(bits)}, trained"
    steps = [
        CodingStep(
            name=name, bytes=size, accuracy=percent(own),
            p_value=None if own is right[0] else randomization_test(own, right[0]),
            taken=of is taken,
        )
        for name, size, own, of in zip(
            names, (*sizes, len(found.content)), right, (None, first, found), strict=True
        )
    ]  # fmt: skip
    tested: Literal["test", "validation"] = "validation" if data.test is None else "test"
    return _telling(taken, bits, steps, tested, len(data.tested))


def _telling(
    found: CodedNetwork[Any], bits: int, steps: list[CodingStep],
    tested: Literal["test", "validation", ""], samples: int,
) -> CodedNetwork[Coding]:  # fmt: skip
    """The same network and file, with what was measured."""
    told = Coding(
        bits=bits, parameters=parameters(found.model), nonzero=nonzero(found.model), tested=tested,
        samples=samples, steps=tuple(steps), unshared=unshared(found.model),
    )  # fmt: skip
    return CodedNetwork(found.model, found.content, told)
