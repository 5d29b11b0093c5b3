"""An ONNX file as a torch module, so that it is measured like any network."""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from maxprune.errors import StoreError, UsageError, first_line
from maxprune.files import read_bytes
from maxprune.plural import plural
from maxprune.sessions import open_session


class OnnxNetwork(nn.Module):
    """A network that ONNX Runtime runs, on the CPU. It has no parameters of torch's.

    Args:
        file: the ONNX file, by its path or its bytes; of one input and one output.
        threads: None for as many as torch uses.

    Raises:
        StoreError: it is not there, is no ONNX file, or has several inputs or outputs.

    Example:
        >>> network = OnnxNetwork("net.onnx")  # doctest: +SKIP
        >>> maxprune.measure.accuracy(network, data.test)  # doctest: +SKIP
        97.5
    """

    def __init__(self, file: str | Path | bytes, threads: int | None = None) -> None:
        super().__init__()
        what = "the ONNX file" if isinstance(file, bytes) else str(file)
        content = file if isinstance(file, bytes) else read_bytes(Path(file))
        self.session = open_session(content, what, threads or torch.get_num_threads())
        inputs, outputs = self.session.get_inputs(), self.session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1:
            raise StoreError(
                f"{what} has {plural(len(inputs), 'input')} and {plural(len(outputs), 'output')}, "
                "where one of each is wanted"
            )
        self.what, self.input = what, str(inputs[0].name)

    def forward(self, x: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """The outputs, on the CPU.

        Raises:
            UsageError: the network does not take such inputs.
        """
        try:
            (found,) = self.session.run(None, {self.input: x.detach().cpu().numpy()})
        except Exception as error:
            raise UsageError(
                f"{self.what} does not take inputs of shape {tuple(x.shape)}: {first_line(error)}"
            ) from error
        return torch.from_numpy(found)
