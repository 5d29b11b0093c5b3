"""`maxprune convert`: a network in the file of another program."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maxprune.commands.shared import (
    Factory,
    Kind,
    Network,
    Weights,
    numbers_of,
    random_inputs,
    terminal,
)
from maxprune.errors import UsageError
from maxprune.plural import plural

if TYPE_CHECKING:
    from torch import Tensor


def convert_command(
    network: Network,
    out: Annotated[
        Path,
        typer.Argument(
            help="The file; its ending says what it is: .onnx, .pt2 (torch.export), .safetensors "
            "(the weights alone), .maxprune (a saved model), .mxp (coded, without loss).",
            show_default=False,
        ),
    ],
    input_shape: Annotated[
        str | None,
        typer.Option(
            "--input", help="Shape of one input, to check the file on random ones: 3,32,32."
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="Check the file on real inputs: digits, mnist, cifar10, a folder with "
            "train/CLASS/, or my_data.py:loaders."
        ),
    ] = None,
    data_root: Annotated[
        Path | None, typer.Option(help="Folder of mnist/ and cifar10/ (else MAXPRUNE_DATA).")
    ] = None,
    kind: Kind = "float",
    opset: Annotated[
        int | None, typer.Option(help="Of ONNX's operators, 18 to 23.", show_default=False)
    ] = None,
    weights: Weights = None,
    factory: Factory = None,
) -> None:
    """Write a network as ONNX, torch.export, safetensors, one saved file or a coded one.

    What is written is run beside the network, with two sizes of batch, before the file gets its
    name. The number of samples stays free.

    maxprune convert maxprune-out/model net.onnx --data pictures
    """
    from maxprune.store.convert import KINDS, convert
    from maxprune.store.description import describe
    from maxprune.store.parts import SUFFIX
    from maxprune.store.source import is_built, open_network

    if input_shape is not None and data is not None:
        raise UsageError("give --input for random inputs or --data for real ones, not both")
    numbers = numbers_of(kind, random=input_shape is not None)
    model = open_network(network, weights, factory, graph=True)
    inputs = None if data is None else _real_inputs(data, data_root)
    if input_shape is not None:
        inputs = random_inputs(model, input_shape, numbers)
    convert(model, out, inputs, opset)
    graph = out.suffix == SUFFIX and describe(out).graph
    checked = inputs is not None and (out.suffix in (".onnx", ".pt2") or graph)
    on = f", checked on {len(inputs)} inputs" if inputs is not None and checked else ""
    size = plural(out.stat().st_size, "byte")
    what = KINDS[out.suffix] + (", with its graph" if graph else "")
    random = "; random weights, as --weights was not given" if is_built(network, weights) else ""
    terminal().print(f"{out}: {what}; {size}{on}{random}", soft_wrap=True)


def _real_inputs(data: str, root: Path | None) -> Tensor:
    """The first of those that are looked at last."""
    from maxprune.data.samples import first_inputs
    from maxprune.data.spec import DataOptions, open_data
    from maxprune.store.same import CHECKED

    splits = open_data(data, DataOptions(root=root))
    return first_inputs(splits.tested, CHECKED)
