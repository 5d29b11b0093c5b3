"""`maxprune quantize`: a network in 8-bit integers, as an ONNX file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maxprune.commands.on_data import Tested
from maxprune.commands.shared import (
    AsJson,
    Kind,
    check_file,
    numbers_of,
    random_inputs,
    show,
    takes,
    terminal,
)
from maxprune.errors import UsageError

if TYPE_CHECKING:
    from maxprune.compression.quantizing import Quantizing
    from maxprune.store import QuantizedNetwork


@dataclass(frozen=True, kw_only=True)
class Asked(Tested):
    """The options of the command."""

    data: Annotated[
        str | None,
        typer.Option(
            help="Calibrate on its training pictures and measure the accuracy: digits, mnist, "
            "cifar10, a folder with train/CLASS/ (and val/, test/), or my_data.py:loaders. "
            "Without it give --mode dynamic and --input; nothing is measured but bytes.",
            show_default=False,
        ),
    ] = None
    input_shape: Annotated[
        str | None,
        typer.Option(
            "--input",
            help="Bring the pictures of a folder to this shape: 3,64,64; without --data check the "
            "file on random inputs of it.",
        ),
    ] = None
    out: Annotated[Path, typer.Option(help="The file.")] = Path("model-int8.onnx")
    mode: Annotated[
        str,
        typer.Option(
            help="static: weights and activations of all layers, with ranges from training "
            "pictures; dynamic: linear layers alone, without them."
        ),
    ] = "static"
    samples: Annotated[
        int, typer.Option(help="Training pictures to calibrate with, spread over all.")
    ] = 512
    kind: Kind = "float"
    opset: Annotated[
        int | None, typer.Option(help="Of ONNX's operators, 18 to 23.", show_default=False)
    ] = None
    seed: Annotated[int, typer.Option(help="Seed of the split.")] = 0


@takes(Asked)
def quantize_command(asked: Asked, as_json: AsJson = False) -> None:
    """Bring a network to 8-bit integers, in an ONNX file a quarter as large.

    The file is made by ONNX Runtime's own tools, opened again, and measured on the test set beside
    the network as it was, with the paired randomization test. Nothing is trained; what the ranges
    are taken from is training pictures, never others.

    maxprune quantize maxprune-out/model --data pictures --out net-int8.onnx
    """
    from maxprune.report.quantized import quantizing_table, remarks

    check_file(asked.out, Asked.out)
    found, told = _quantized(asked)
    found.write(asked.out)
    show(told, lambda: [quantizing_table(told), *remarks(told)], as_json)
    if not as_json:
        terminal().print(f"The network: {asked.out}, for ONNX Runtime", soft_wrap=True)


def _quantized(asked: Asked) -> tuple[QuantizedNetwork, Quantizing]:
    from maxprune.compression.quantizing import check_asked, quantize_network
    from maxprune.data.samples import first_inputs
    from maxprune.store.same import CHECKED
    from maxprune.store.source import open_network

    mode = check_asked(asked.mode, asked.samples, asked.data is not None)
    numbers = numbers_of(asked.kind, random=asked.data is None)
    asked.check_trained()
    if asked.data is None:
        if asked.input_shape is None:
            raise UsageError("the network has to run: give --input for random inputs, or --data")
        network = open_network(asked.network, asked.weights, asked.factory, graph=True)
        inputs, data = random_inputs(network, asked.input_shape, numbers), None
    else:
        network, data = asked.opened_on(asked.data, asked.seed, graph=True)
        inputs = first_inputs(data.train, CHECKED)
    return quantize_network(
        network, inputs, data, mode, asked.samples, asked.seed, asked.opset
    )  # fmt: skip
