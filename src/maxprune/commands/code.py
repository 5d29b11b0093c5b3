"""`maxprune code`: a network in a small file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maxprune.commands.on_data import Trained
from maxprune.commands.shared import AsJson, check_file, loading, show, takes, terminal
from maxprune.errors import UsageError

if TYPE_CHECKING:
    from maxprune.compression.coding import CodedNetwork, Coding


@dataclass(frozen=True, kw_only=True)
class Asked(Trained):
    """The options of the command."""

    data: Annotated[
        str | None,
        typer.Option(
            help="Train the shared values on it, and measure the accuracy: digits, mnist, cifar10, "
            "a folder with train/CLASS/ (and val/, test/), or my_data.py:loaders. Without it the "
            "values are those of k-means, and nothing is measured but bytes.",
            show_default=False,
        ),
    ] = None
    out: Annotated[Path, typer.Option(help="The file.")] = Path("model.mxp")
    bits: Annotated[
        int, typer.Option(help="The weights of a layer share 2^bits values beside zero.")
    ] = 5
    epochs: Annotated[float, typer.Option(help="Epochs in which the values are trained.")] = 3.0
    rate: Annotated[float, typer.Option(help="Learning rate of that training.")] = 0.01
    seed: Annotated[int, typer.Option(help="Seed of the split, order and augmentation.")] = 0


FOR_TRAINING = ("epochs", "rate", "batch", "fit", "augment", "shift", "validation")


@takes(Asked)
def code_command(asked: Asked, context: typer.Context, as_json: AsJson = False) -> None:
    """Put a network into one small file: shared values, gaps, entropy coding.

    The weights of each linear and convolution layer get 2^bits values, found by k-means (Han, Mao,
    Dally 2015, Deep Compression); with --data they are trained, and weights may go over to another
    value. Zeros stay zero, so prune first (compress --zero).
    What is measured is what the decoder makes of the file. Open it with maxprune.load, or with
    numpy alone by maxprune.coding.decode.

    After Ctrl-C the same command goes on with the training: until it ends its checkpoints are
    .model.mxp.part and .model.mxp.part.before, beside --out.

    maxprune code maxprune-out/model --data pictures --bits 5 --out model.mxp
    """
    from maxprune.report.coded import coding_table, remarks
    from maxprune.runs.alone import alone_with

    check_file(asked.out, Asked.out)
    given = [n for n in FOR_TRAINING if _is_typed(context, n)] if asked.data is None else []
    if given:
        raise UsageError(f"--{given[0]} is for what --data is for: give that, too")
    with alone_with(asked.out):
        found = _coded(asked)
        found.write(asked.out)
    show(found.told, lambda: [coding_table(found.told), *remarks(found.told)], as_json)
    if not as_json:
        terminal().print(f"The network: {loading(asked.out, found.model)}", soft_wrap=True)


def _is_typed(context: typer.Context, name: str) -> bool:
    """Whether an option was given."""
    source = context.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


def _coded(asked: Asked) -> CodedNetwork[Coding]:
    from maxprune.compression.coding import code_network
    from maxprune.files import sweep_beside
    from maxprune.report.progress import Steps
    from maxprune.store.source import open_network
    from maxprune.train import Fitting

    asked.check_trained()
    if asked.data is None:
        return code_network(open_network(asked.network, asked.weights, asked.factory), asked.bits)
    network, own, data = asked.read(asked.data, asked.seed)
    fitting = Fitting.of_passes(asked.epochs, data.train, batch=asked.batch, rate=asked.rate)
    part = asked.out.with_name(f".{asked.out.name}.part")
    sweep_beside(part)
    with Steps(terminal(stderr=True), None, "coding") as steps:
        try:
            return code_network(
                network, asked.bits, data, own or fitting, asked.seed, part,
                lambda done, total: steps.report("shared values", done, total),
            )  # fmt: skip
        except KeyboardInterrupt:
            if part.exists():
                says = f"{part} is the training's checkpoint: the same command goes on with it"
                terminal(stderr=True).print(says, soft_wrap=True)
            raise
